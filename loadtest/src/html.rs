//! The report as one self-contained page: the table and plots drawn as inline SVG, no script, light or dark.

use crate::plot::{draw, escaped};
use crate::report::Report;

/// The whole page of a report.
pub fn page(report: &impl Report) -> String {
    let table = report.to_string();
    let (title, _) = table.split_once('\n').unwrap_or((&table, ""));
    let mut body = String::new();
    for plot in report.plots().iter().filter(|plot| plot.lines.iter().any(|line| !line.points.is_empty())) {
        draw(&mut body, plot);
    }
    let verdict = if report.clean() { "every delivery was right" } else { "VIOLATIONS: see the table" };
    let class = if report.clean() { "good" } else { "bad" };
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n\
         <p class=\"{class}\">{verdict}</p>\n<main>\n{body}</main>\n<h2>Figures</h2>\n<pre>{table}</pre>\n\
         <footer>loadtest {version}</footer></body></html>\n",
        title = escaped(title),
        table = escaped(&table),
        version = env!("CARGO_PKG_VERSION"),
    )
}

const STYLE: &str = "\
:root{color-scheme:light dark;--back:#fff;--text:#1c1e21;--dim:#5d646e;--grid:#e1e4e8;--shade:#8881;\
--c0:#0b67d0;--c1:#c2410c;--c2:#15803d;--c3:#7c3aed}\
@media(prefers-color-scheme:dark){:root{--back:#14171c;--text:#e4e7eb;--dim:#9aa3af;--grid:#2a2f37;--shade:#fff1;\
--c0:#62aaff;--c1:#ff9457;--c2:#5fd38a;--c3:#b79bff}}\
body{margin:0 auto;padding:1rem;max-width:84rem;background:var(--back);color:var(--text);\
font:15px/1.45 system-ui,sans-serif}\
h1{font-size:1.15rem;overflow-wrap:anywhere}h2{font-size:1rem}\
.good{color:var(--c2)}.bad{color:var(--c1);font-weight:600}\
main{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));gap:1.2rem}\
figure{margin:0}figcaption{font-weight:600;margin-bottom:.2rem}\
.key{font-weight:400;color:var(--dim);font-size:.85rem;margin-left:.8rem;white-space:nowrap}\
.key i{display:inline-block;width:.9rem;height:.2rem;margin-right:.3rem;vertical-align:middle}\
svg{width:100%;height:auto;display:block}svg text{fill:var(--dim);font:11px system-ui,sans-serif}\
.grid{stroke:var(--grid)}.shade{fill:var(--shade)}polyline{fill:none;stroke-width:1.8;stroke-linejoin:round}\
pre{overflow-x:auto;font-size:12px;padding:.6rem;border:1px solid var(--grid);border-radius:.4rem}\
footer{color:var(--dim);font-size:.85rem}";
