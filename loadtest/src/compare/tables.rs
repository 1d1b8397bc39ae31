//! The results as a table for the terminal and for docs/performance.md.

use std::fmt::{Display, Formatter, Write as _};
use std::path::Path;

use anyhow::{Context, Result};

use super::results::{Results, Row};
use super::statistics::Ratio;

const BEGIN: &str = "<!-- begin: written by `loadtest compare --write` -->";
const END: &str = "<!-- end -->";

impl Display for Results {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let base = self.contenders.get(self.base()).map_or("", |base| &base.name);
        for results in &self.cells {
            let rows = self.rows(results);
            if rows.is_empty() {
                continue;
            }
            writeln!(out, "{}: {} ({} bytes)", results.cell.name, results.cell.title(), results.bytes)?;
            writeln!(
                out,
                "  {:18}{:>9}{:>16}{:>10}{:>10}{:>14}{:>6}{:>8}  {base} ÷ it [90 %]",
                "", "µs each", "min–max", "p50 ms", "p99 ms", "deliveries/s", "load", "rounds"
            )?;
            for row in rows {
                writeln!(
                    out,
                    "  {:18}{:>9}{:>16}{:>10.2}{:>10.2}{:>14.0}{:>6.2}{:>8}  {}",
                    row.contender.name,
                    micros(row.cost.median),
                    format!("{}–{}", micros(row.cost.least), micros(row.cost.most)),
                    row.p50_ms,
                    row.p99_ms,
                    row.deliveries_per_second,
                    row.load_cores,
                    row.rounds,
                    interval(row.ratio)
                )?;
            }
        }
        if !self.verdicts.is_empty() {
            writeln!(out, "bars: met when the interval's upper end is at most the bar + 0.03")?;
            for verdict in &self.verdicts {
                writeln!(out, "  {verdict}")?;
            }
        }
        for note in &self.notes {
            writeln!(out, "note: {note}")?;
        }
        match self.violations {
            0 => writeln!(out, "oracle: no violation"),
            count => writeln!(out, "oracle: {count} VIOLATIONS, see above"),
        }
    }
}

/// The table of docs/performance.md. `command` is the command that made it.
pub fn markdown(results: &Results, command: &str, machine: &str) -> String {
    let mut out = format!(
        "{BEGIN}\n\n```sh\n{command}\n```\n\n{machine}. {} rounds of {} s in each cell, the servers in turns, the first one another each time.\n",
        results.pairs, results.seconds
    );
    let base = results.contenders.get(results.base()).map_or("", |base| &base.name);
    for cell in &results.cells {
        let rows = results.rows(cell);
        if rows.is_empty() {
            continue;
        }
        let _ = writeln!(out, "\n**{}** (`{}`, {} bytes)\n", cell.cell.title(), cell.cell.name, cell.bytes);
        let _ = writeln!(
            out,
            "| server | language | CPU per delivery, µs | min–max | p50, ms | p99, ms | deliveries/s | {base} ÷ it | 90 % |"
        );
        out.push_str("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n");
        rows.iter().for_each(|row| markdown_row(&mut out, row));
    }
    for note in &results.notes {
        let _ = write!(out, "\nNote: {note}.\n");
    }
    out.push('\n');
    out.push_str(END);
    out
}

fn markdown_row(out: &mut String, row: &Row<'_>) {
    let Row { contender, cost, p50_ms, p99_ms, .. } = row;
    let title = &contender.title;
    let language = contender.language;
    let name = if contender.is_pregon { format!("**{title}**") } else { title.clone() };
    let (ratio, interval) = row.ratio.map_or((String::new(), String::new()), |ratio| {
        (format!("{:.2}", ratio.median), format!("{:.2}–{:.2}", ratio.low, ratio.high))
    });
    let _ = writeln!(
        out,
        "| {name} | {language} | {} | {}–{} | {p50_ms:.2} | {p99_ms:.2} | {:.0} | {ratio} | {interval} |",
        micros(cost.median),
        micros(cost.least),
        micros(cost.most),
        row.deliveries_per_second,
    );
}

/// Replaces the text between the two marks of `file` by the table.
pub fn write_between_marks(file: &Path, table: &str) -> Result<()> {
    let (before, after) = marks(file)?;
    std::fs::write(file, format!("{before}{table}{after}")).with_context(|| format!("cannot write {}", file.display()))
}

/// The text before the first mark and after the second.
pub fn marks(file: &Path) -> Result<(String, String)> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.with_context(|| format!("{} lacks the lines {BEGIN} and {END}", file.display()))?;
    Ok((before.to_owned(), after.to_owned()))
}

/// Rounded to three significant digits.
fn micros(value: f64) -> String {
    let digits = match value {
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        value if value >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

fn interval(ratio: Option<Ratio>) -> String {
    ratio.map_or_else(String::new, |Ratio { median, low, high, .. }| format!("{median:.3} [{low:.3}–{high:.3}]"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::results::test_results;

    fn results() -> Results {
        test_results("w16-all", &[("pregon", &[0.5, 0.5, 0.5]), ("epoll", &[1.0, 1.0, 1.25])])
    }

    #[test]
    fn the_terminal_shows_cost_latency_and_ratio() {
        let mut results = results();
        results.notes.push("ws is left out: not installed".to_owned());
        results.judge();
        let text = results.to_string();
        let line = text.lines().find(|line| line.trim_start().starts_with("epoll")).expect("its line");
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[..5], ["epoll", "1.00", "1.00–1.25", "2.00", "3.00"]);
        assert_eq!(words[8..], ["0.500", "[0.400–0.500]"]);
        assert!(text.contains("undecided") && text.contains("ws is left out"), "{text}");
        assert!(text.ends_with("oracle: no violation\n"));
    }

    #[test]
    fn the_document_names_language_and_interval() {
        let text = markdown(&results(), "loadtest compare", "2 cores");
        assert!(
            text.contains("| **the pregon** | Rust | 0.500 | 0.500–0.500 | 1.00 | 1.50 | 1000 |  |  |\n"),
            "{text}"
        );
        assert!(
            text.contains("| the epoll | Rust | 1.00 | 1.00–1.25 | 2.00 | 3.00 | 1000 | 0.50 | 0.40–0.50 |\n"),
            "{text}"
        );
        assert!(text.contains("16 messages under way"), "{text}");
    }

    #[test]
    fn a_table_replaces_the_one_before() {
        let file = std::env::temp_dir().join(format!("loadtest-table-{}.md", std::process::id()));
        let table = markdown(&results(), "loadtest compare", "2 cores");
        std::fs::write(&file, format!("before\n{BEGIN}\nold\n{END}\nafter\n")).expect("a file");
        for _ in 0..2 {
            write_between_marks(&file, &table).expect("written");
            assert_eq!(std::fs::read_to_string(&file).expect("read"), format!("before\n{table}\nafter\n"));
        }
        std::fs::write(&file, "no marks").expect("a file");
        assert!(write_between_marks(&file, &table).is_err_and(|error| error.to_string().contains("lacks")));
        std::fs::remove_file(&file).expect("removed");
    }
}
