//! What every result can do: show itself as a table, be judged, be drawn.

use std::fmt::{Display, Formatter};

use serde::Serialize;

use crate::meter::Refused;
use crate::oracle::Violations;
use crate::plot::Plot;

/// A result that can be shown and judged.
pub trait Report: Display + Serialize {
    /// Whether everything arrived as it should.
    fn clean(&self) -> bool;

    /// What `--html` shows beside the table.
    fn plots(&self) -> Vec<Plot> {
        Vec::new()
    }
}

/// What the server would not take, by its own words.
pub fn write_refused(out: &mut Formatter<'_>, refused: &Refused) -> std::fmt::Result {
    if refused.total == 0 {
        return Ok(());
    }
    writeln!(out, "refused by the server: {} (neither delivered nor lost)", refused.total)?;
    for (reason, count) in &refused.reasons {
        writeln!(out, "  {count:>9} × {reason}")?;
    }
    Ok(())
}

pub fn write_verdict(out: &mut Formatter<'_>, checked: u64, bad: &Violations) -> std::fmt::Result {
    if bad.total() == 0 {
        return writeln!(out, "oracle: {checked} deliveries checked: none lost, doubled, reordered or damaged");
    }
    writeln!(
        out,
        "oracle: {checked} deliveries checked, VIOLATIONS: {} lost, {} duplicated, {} reordered, \
         {} damaged, {} receivers with another order, {} in a foreign room, {} misdirected, {} disconnected",
        bad.lost,
        bad.duplicated,
        bad.reordered,
        bad.damaged,
        bad.order_differs,
        bad.foreign_room,
        bad.misdirected,
        bad.disconnected
    )?;
    for sample in &bad.samples {
        writeln!(out, "  {sample}")?;
    }
    Ok(())
}
