//! Opens the connections of a scenario, with a progress line.

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};

use super::connect::{self, Wanted};
use super::run::Run;
use crate::client::Links;
use crate::proc;

/// A progress bar that counts connections.
pub fn progress() -> Result<ProgressBar> {
    Ok(ProgressBar::new(0).with_style(style("{prefix} [{elapsed}] {pos}/{len} connected {wide_msg}")?))
}

/// A progress line, cut to the terminal's width, because a wrapped line would be redrawn below itself.
pub fn style(template: &str) -> Result<ProgressStyle> {
    ProgressStyle::with_template(template).context("progress line")
}

/// Opens the wanted connections on new links, with a progress bar.
pub fn open_links(run: &Run, wanted: &Wanted) -> Result<(Links, ProgressBar)> {
    let mut links = Links::new()?;
    let bar = progress()?;
    open_watched(run, wanted, &mut links, &bar, &mut |_, _| Ok(()))?;
    Ok((links, bar))
}

/// The same on existing links; `look` is called with the time and the number of admitted connections.
pub fn open_watched(
    run: &Run,
    wanted: &Wanted,
    links: &mut Links,
    bar: &ProgressBar,
    look: &mut dyn FnMut(u64, usize) -> Result<()>,
) -> Result<()> {
    proc::raise_file_limit(wanted.total)?;
    bar.set_prefix("connecting");
    connect::connect(links, &run.target, wanted, bar, look)?;
    bar.set_position(wanted.total as u64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use indicatif::{InMemoryTerm, ProgressDrawTarget};

    use super::*;

    #[test]
    fn a_line_of_progress_fits_the_terminal_and_is_drawn_in_its_place() {
        let terminal = InMemoryTerm::new(6, 80);
        let bar = progress().expect("a template");
        bar.set_draw_target(ProgressDrawTarget::term_like(Box::new(terminal.clone())));
        bar.set_prefix("round 1/3 warm-up");
        bar.set_length(1000);
        for number in 0..3 {
            let message = format!("{number}0000 deliveries/s, p99 12.3 ms, server 0.97 cores 120 MiB, load 0.51 cores");
            bar.set_message(message.repeat(2));
            bar.tick();
        }
        let shown = terminal.contents();
        assert!(!shown.contains('\n') && shown.chars().count() <= 80, "{shown}");
        assert!(shown.contains("round 1/3 warm-up") && shown.contains("20000 deliveries/s"), "{shown}");
    }
}
