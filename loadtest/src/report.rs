//! The trait of all results: a table, a verdict, plots.

use std::fmt::{Display, Formatter};

use serde::Serialize;

use crate::meter::Refused;
use crate::oracle::Violations;
use crate::plot::Plot;

/// Whether everything arrived as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Right,
    Wrong,
    /// Nothing was checked.
    Nothing,
}

impl Verdict {
    /// The verdict over this many checks.
    pub fn of(is_wrong: bool, checked: u64) -> Self {
        match (is_wrong, checked) {
            (true, _) => Self::Wrong,
            (false, 0) => Self::Nothing,
            (false, _) => Self::Right,
        }
    }
}

/// A result that can be presented and judged.
pub trait Report: Display + Serialize {
    fn verdict(&self) -> Verdict;

    /// The result in a sentence or two.
    fn answer(&self) -> String;

    /// The plots that `--html` shows beside the table.
    fn plots(&self) -> Vec<Plot> {
        Vec::new()
    }
}

/// Writes what the server refused, by its own texts.
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
    if bad.total() == 0 && checked == 0 {
        return writeln!(out, "oracle: nothing was delivered, so nothing was checked");
    }
    if bad.total() == 0 {
        return writeln!(out, "oracle: {checked} deliveries checked: none lost, doubled, reordered or damaged");
    }
    writeln!(
        out,
        "oracle: {checked} deliveries checked, VIOLATIONS: {} lost, {} duplicated, {} reordered, \
         {} damaged, {} receivers with another order, {} in a foreign room, {} misdirected, {} disconnected, {} \
         unanswered",
        bad.lost,
        bad.duplicated,
        bad.reordered,
        bad.damaged,
        bad.order_differs,
        bad.foreign_room,
        bad.misdirected,
        bad.disconnected,
        bad.unanswered
    )?;
    for sample in &bad.samples {
        writeln!(out, "  {sample}")?;
    }
    Ok(())
}

/// `1 room`, `2 rooms`.
pub fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_neither_right_nor_wrong() {
        assert_eq!(Verdict::of(false, 0), Verdict::Nothing);
        assert_eq!((Verdict::of(false, 1), Verdict::of(true, 0)), (Verdict::Right, Verdict::Wrong));
        assert_eq!((counted(1, "room"), counted(0, "room")), ("1 room".to_owned(), "0 rooms".to_owned()));
    }
}
