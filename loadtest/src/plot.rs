//! Plots, drawn as inline SVG.

use std::fmt::Write;

use crate::meter::Sample;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 30.0;
const TICKS: f64 = 5.0;
/// The approximate width of a label's character.
const LABEL_CHARACTER: f64 = 7.0;
/// The number of available colours.
pub const LINES_MAX: usize = 4;

/// One plot: lines over one axis.
#[derive(Clone, Debug, Default)]
pub struct Plot {
    pub title: String,
    /// The unit of the y axis.
    pub unit: &'static str,
    /// The name of the x axis.
    pub x_name: &'static str,
    pub is_logarithmic: bool,
    /// The marks of the x axis, if they are not even.
    pub x_marks: Vec<(f64, String)>,
    /// Unmeasured stretches: warm-up and draining.
    pub shaded: Vec<(f64, f64)>,
    pub lines: Vec<Line>,
}

#[derive(Clone, Debug)]
pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

impl Line {
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points }
    }
}

/// Throughput, latency, CPU and memory over a run's time.
pub fn series_plots(series: &[Sample]) -> Vec<Plot> {
    let line = |name: &str, value: fn(&Sample) -> Option<f64>| {
        let points = series.iter().filter_map(|sample| Some((sample.seconds, value(sample)?))).collect();
        Line::new(name, points)
    };
    let shaded = shaded(series);
    let plot = |title: &str, unit, is_logarithmic, lines| Plot {
        title: title.to_owned(),
        unit,
        x_name: "seconds",
        is_logarithmic,
        shaded: shaded.clone(),
        lines,
        ..Plot::default()
    };
    let mut throughput = vec![
        line("deliveries", |sample| Some(sample.deliveries_per_second)),
        line("messages", |sample| Some(sample.messages_per_second)),
    ];
    if series.iter().any(|sample| sample.refused_per_second > 0.0) {
        throughput.push(line("refused", |sample| Some(sample.refused_per_second)));
    }
    vec![
        plot("Throughput", "/s", false, throughput),
        plot(
            "Delivery latency",
            "ms",
            true,
            vec![line("p50", |sample| sample.p50_ms), line("p99", |sample| sample.p99_ms)],
        ),
        plot("Server memory", "MiB", false, vec![line("resident", |sample| sample.server_rss_mib)]),
        plot(
            "Server CPU per delivery",
            "µs",
            false,
            vec![line("user + system", |sample| sample.server_us_per_delivery)],
        ),
        plot(
            "Cores in use",
            "cores",
            false,
            vec![line("server", |sample| sample.server_cores), line("load", |sample| Some(sample.load_cores))],
        ),
        plot(
            "Messages sent late by the load itself",
            "ms",
            false,
            vec![line("latest", |sample| Some(sample.late_max_ms))],
        ),
    ]
}

/// The percentile curve with a stretched tail: each step to the right covers a tenth of the remaining share.
pub fn curve_plot(curve: &[(f64, f64)]) -> Plot {
    let place = |quantile: f64| -(1.0 - quantile).max(3e-6).log10();
    let marks = [(0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %"), (1.0, "max")];
    Plot {
        title: "Delivery latency by percentile".to_owned(),
        unit: "ms",
        x_name: "share of deliveries",
        is_logarithmic: true,
        x_marks: marks.into_iter().map(|(quantile, name)| (place(quantile), name.to_owned())).collect(),
        lines: vec![Line::new("at most", curve.iter().map(|(quantile, ms)| (place(*quantile), *ms)).collect())],
        ..Plot::default()
    }
}

fn shaded(series: &[Sample]) -> Vec<(f64, f64)> {
    let mut found: Vec<(f64, f64)> = Vec::new();
    let mut from = 0.0;
    for sample in series {
        if !sample.measured {
            match found.last_mut() {
                Some(last) if last.1 == from => last.1 = sample.seconds,
                _ => found.push((from, sample.seconds)),
            }
        }
        from = sample.seconds;
    }
    found
}

/// Converts values to positions on one axis.
struct Scale {
    low: f64,
    high: f64,
    is_logarithmic: bool,
    marks: Vec<f64>,
}

impl Scale {
    fn even(high: f64) -> Self {
        let step = round_step(high.max(1e-9) / TICKS);
        let count = (high / step).ceil().max(1.0);
        let marks = (0..=count as u32).map(|mark| f64::from(mark) * step).collect();
        Self { low: 0.0, high: count * step, is_logarithmic: false, marks }
    }

    fn logarithmic(low: f64, high: f64) -> Self {
        let (low, high) = (low.max(1e-3), high.max(low * 1.01).max(1e-3));
        let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
        let all: Vec<f64> = decades.flat_map(|power| [1.0, 2.0, 5.0].map(|by| by * 10_f64.powi(power))).collect();
        let from = all.iter().rposition(|mark| *mark <= low).unwrap_or_default();
        let to = all.iter().position(|mark| *mark >= high).unwrap_or(all.len() - 1);
        let marks = all[from..=to].to_vec();
        Self { low: marks[0], high: marks[marks.len() - 1], is_logarithmic: true, marks }
    }

    /// The position of a value, from 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let span = if self.is_logarithmic {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln().max(1e-9)
        } else {
            (value - self.low) / (self.high - self.low).max(1e-9)
        };
        span.clamp(0.0, 1.0)
    }
}

/// 1, 2 or 5 times a power of ten, at least `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|by| by * power).find(|round| *round >= step * 0.999).unwrap_or(step)
}

impl Plot {
    /// Whether there is anything to draw.
    pub fn has_points(&self) -> bool {
        self.lines.iter().any(|line| !line.points.is_empty())
    }

    fn points(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.lines.iter().flat_map(|line| line.points.iter().copied())
    }

    fn scales(&self) -> (Scale, Scale) {
        let most = |of: fn((f64, f64)) -> f64| self.points().map(of).fold(f64::MIN, f64::max);
        let least = |of: fn((f64, f64)) -> f64| self.points().map(of).fold(f64::MAX, f64::min);
        let y = match self.is_logarithmic {
            true => Scale::logarithmic(least(|point| point.1), most(|point| point.1)),
            false => Scale::even(most(|point| point.1)),
        };
        let mut x = Scale::even(most(|point| point.0));
        (x.low, x.high) = if self.x_marks.is_empty() {
            (0.0, most(|point| point.0).max(1e-9))
        } else {
            (least(|point| point.0), most(|point| point.0))
        };
        (x, y)
    }
}

/// The plot as a figure: title with unit and key, then the drawing.
pub fn svg(plot: &Plot) -> String {
    let (x, y) = plot.scales();
    let at_x = |value: f64| LEFT + x.place(value) * (WIDTH - LEFT - RIGHT);
    let at_y = |value: f64| HEIGHT - BOTTOM - y.place(value) * (HEIGHT - TOP - BOTTOM);
    let mut out = String::new();
    caption(&mut out, plot);
    // Writing to a String cannot fail.
    let _ = write!(out, "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">");
    for (from, to) in &plot.shaded {
        let from = at_x(*from);
        let to = at_x(*to);
        let height = HEIGHT - TOP - BOTTOM;
        let width = to - from;
        let _ =
            write!(out, "<rect class=\"shade\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{height}\"/>");
    }
    for mark in &y.marks {
        let place = at_y(*mark);
        let end = WIDTH - RIGHT;
        let text = shown(*mark);
        let _ = write!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{end}\" y1=\"{place:.1}\" y2=\"{place:.1}\"/>\
             <text x=\"{x:.1}\" y=\"{below:.1}\" text-anchor=\"end\">{text}</text>",
            x = LEFT - 5.0,
            below = place + 4.0,
        );
    }
    let evenly = x.marks.iter().map(|mark| (*mark, shown(*mark))).filter(|_| plot.x_marks.is_empty());
    for (mark, text) in plot.x_marks.iter().cloned().chain(evenly).filter(|(mark, _)| *mark <= x.high) {
        let place = at_x(mark);
        let y = HEIGHT - BOTTOM + 14.0;
        let _ = write!(
            out,
            "<text x=\"{place:.1}\" y=\"{y}\" text-anchor=\"{}\">{}</text>",
            anchor(place, &text),
            escaped(&text)
        );
    }
    let middle = f64::midpoint(LEFT, WIDTH);
    let foot = HEIGHT - 3.0;
    let _ = write!(out, "<text x=\"{middle}\" y=\"{foot}\" text-anchor=\"middle\">{}</text>", plot.x_name);
    for (number, line) in plot.lines.iter().enumerate() {
        if let [(px, py)] = line.points[..] {
            let px = at_x(px);
            let py = at_y(py);
            let _ = write!(out, "<circle style=\"fill:var(--c{number})\" cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"3\"/>");
            continue;
        }
        let points: Vec<String> =
            line.points.iter().map(|(px, py)| format!("{:.1},{:.1}", at_x(*px), at_y(*py))).collect();
        let _ = write!(out, "<polyline style=\"stroke:var(--c{number})\" points=\"{}\"/>", points.join(" "));
    }
    out.push_str("</svg></figure>\n");
    out
}

fn caption(out: &mut String, plot: &Plot) {
    let _ = write!(out, "<figure><figcaption>{}", escaped(&plot.title));
    if !plot.unit.is_empty() {
        let _ = write!(out, " <span class=\"unit\">({})</span>", escaped(plot.unit));
    }
    for (number, line) in plot.lines.iter().enumerate().filter(|(_, line)| !line.name.is_empty()) {
        let _ = write!(
            out,
            "<span class=\"key\"><i style=\"background:var(--c{number})\"></i>{}</span>",
            escaped(&line.name)
        );
    }
    out.push_str("</figcaption>");
}

/// A label is centred below its mark unless it would cross the edge.
fn anchor(place: f64, text: &str) -> &'static str {
    let half = text.chars().count() as f64 * LABEL_CHARACTER / 2.0;
    match place {
        place if place + half > WIDTH => "end",
        place if place < half => "start",
        _ => "middle",
    }
}

fn shown(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        value if value >= 1e6 => format!("{}M", short(value / 1e6)),
        value if value >= 1e4 => format!("{}k", short(value / 1e3)),
        value => short(value),
    }
}

/// With no more digits than needed.
fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers_beyond_the_values() {
        let scale = Scale::even(97_000.0);
        assert_eq!((scale.high, scale.marks.len()), (100_000.0, 6));
        let scale = Scale::logarithmic(0.3, 42.0);
        assert_eq!((scale.low, scale.high), (0.2, 50.0));
        assert!((scale.place(0.2) - 0.0).abs() < 1e-9 && (scale.place(50.0) - 1.0).abs() < 1e-9);
        assert_eq!((shown(20_000.0), shown(0.25), shown(3.0)), ("20k".into(), "0.25".into(), "3".into()));
    }

    #[test]
    fn what_was_not_measured_is_shaded_in_whole_stretches() {
        let sample = |seconds, measured| Sample { seconds, measured, ..Sample::default() };
        let series =
            [sample(0.25, false), sample(0.5, false), sample(0.75, true), sample(1.0, true), sample(1.25, false)];
        assert_eq!(shaded(&series), [(0.0, 0.5), (1.0, 1.25)]);
    }

    #[test]
    fn a_plot_holds_every_line_and_no_markup_of_others() {
        let lines = vec![Line::new("<a>", vec![(0.0, 1.0), (2.0, 3.0)]), Line::new("b", vec![(0.0, 2.0)])];
        let out = svg(&Plot { title: "t & u".into(), unit: "ms", x_name: "s", lines, ..Plot::default() });
        assert_eq!((out.matches("<polyline").count(), out.matches("<circle").count()), (1, 1), "a line and a dot");
        assert!(out.contains("&lt;a&gt;") && out.contains("t &amp; u"), "{out}");
    }

    #[test]
    fn no_label_is_cut() {
        assert_eq!(
            (anchor(LEFT, "0"), anchor(WIDTH - RIGHT, "99.99 %"), anchor(3.0, "abc")),
            ("middle", "end", "start")
        );
    }
}
