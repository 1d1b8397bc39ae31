//! The report as one self-contained page: answer, plots and table, without scripts, light or dark.

use anyhow::{Context, Result};
use askama::Template;

use crate::about::{About, Told};
use crate::report::{Report, Verdict};

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    title: &'a str,
    cut_off: bool,
    answer: &'a str,
    verdict: &'a str,
    verdict_class: &'a str,
    about: &'a About,
    /// The plots as SVG.
    plots: Vec<String>,
    table: &'a str,
}

/// The whole page of a report.
pub fn page<R: Report>(told: &Told<'_, R>) -> Result<String> {
    let table = told.report.to_string();
    let (title, _) = table.split_once('\n').unwrap_or((&table, ""));
    let (verdict_class, verdict) = match told.report.verdict() {
        Verdict::Right => ("good", "Every delivery was right."),
        Verdict::Wrong => ("bad", "VIOLATIONS: see the table."),
        Verdict::Nothing => ("bad", "Nothing was measured."),
    };
    let page = Page {
        title,
        cut_off: told.cut_off,
        answer: &told.answer,
        verdict,
        verdict_class,
        about: told.about,
        plots: told.report.plots().iter().filter(|plot| plot.has_points()).map(crate::plot::svg).collect(),
        table: &table,
    };
    page.render().context("the page")
}
