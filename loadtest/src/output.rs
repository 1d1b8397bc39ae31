//! Writes a report: the table to stdout, JSON and the page to files that are opened before the run begins.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::about::{About, Told};
use crate::html;
use crate::report::Report;

/// A file for a report. It is opened before the run, so that hours of measuring are not lost to a wrong path.
struct Sink {
    path: PathBuf,
    file: File,
    /// The file is new, so it is removed if it stays empty.
    is_new: bool,
    is_written: bool,
}

impl Sink {
    fn open(path: &Path) -> Result<Self> {
        let is_new = !path.exists();
        let mut options = OpenOptions::new();
        // An existing file keeps its content until there is a report.
        let file = options.write(true).create(true).truncate(false).open(path);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path: path.to_owned(), file, is_new, is_written: false })
    }

    fn write(&mut self, text: &str) -> Result<()> {
        // A pipe or device cannot be truncated.
        let _ = self.file.set_len(0);
        self.is_written = true;
        self.file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", self.path.display()))
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if self.is_new && !self.is_written {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The destinations of `--json` and `--html`.
pub struct Output {
    is_json_to_stdout: bool,
    json: Option<Sink>,
    html: Option<Sink>,
}

impl Output {
    /// Fails if a file cannot be written.
    pub fn open(json: Option<&Path>, html: Option<&Path>) -> Result<Self> {
        let is_json_to_stdout = json.is_some_and(|path| path.as_os_str() == "-");
        let json = json.filter(|_| !is_json_to_stdout).map(Sink::open).transpose()?;
        Ok(Self { is_json_to_stdout, json, html: html.map(Sink::open).transpose()? })
    }

    /// Prints the table first, so that it is shown even if a file fails.
    pub fn tell(mut self, report: &impl Report, about: &About, cut_off: bool) -> Result<()> {
        let told = Told { about, cut_off, answer: report.answer(), report };
        let json = serde_json::to_string_pretty(&told).context("the report as JSON")? + "\n";
        if self.is_json_to_stdout {
            print!("{json}");
        } else {
            if cut_off {
                println!("CUT OFF: what follows is what was measured until then");
            }
            print!("{report}");
        }
        if let Some(sink) = &mut self.json {
            sink.write(&json)?;
        }
        if let Some(sink) = &mut self.html {
            sink.write(&html::page(&told)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_kept_until_it_is_written_and_a_new_one_goes_if_it_never_is() {
        let folder = std::env::temp_dir().join(format!("loadtest-output-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let old = folder.join("old.json");
        let new = folder.join("new.json");
        std::fs::write(&old, "yesterday's").expect("a file");
        drop((Sink::open(&old).expect("writable"), Sink::open(&new).expect("writable")));
        assert_eq!(std::fs::read_to_string(&old).expect("it is there"), "yesterday's");
        assert!(!new.exists());
        Sink::open(&old).expect("writable").write("new").expect("room");
        assert_eq!(std::fs::read_to_string(&old).expect("it is there"), "new");
        assert!(Sink::open(&folder.join("no/such.json")).is_err());
        std::fs::remove_dir_all(&folder).expect("it goes");
    }
}
