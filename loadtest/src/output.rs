//! Where a report goes: the table to stdout, JSON and the page to files.

use std::path::Path;

use anyhow::{Context, Result};

use crate::html;
use crate::report::Report;

/// Table to stdout, or JSON where `--json` says.
pub fn emit(report: &impl Report, json: Option<&Path>) -> Result<()> {
    let text = || serde_json::to_string_pretty(report).context("the report as JSON");
    match json {
        Some(path) if path.as_os_str() == "-" => println!("{}", text()?),
        Some(path) => {
            std::fs::write(path, text()? + "\n").with_context(|| format!("cannot write {}", path.display()))?;
            print!("{report}");
        }
        None => print!("{report}"),
    }
    Ok(())
}

/// The page of `--html`.
pub fn emit_html(report: &impl Report, path: Option<&Path>) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, html::page(report)).with_context(|| format!("cannot write {}", path.display()))
}
