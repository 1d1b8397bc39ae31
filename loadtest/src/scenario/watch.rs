//! Watches the server several times a second while connections come, stay and go.

use anyhow::Result;
use serde::Serialize;

use crate::plot::{Line, Plot};
use crate::proc::Watched;

const EVERY_NS: u64 = 250_000_000;

/// A quarter of a second.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Look {
    /// Seconds since the first connection was requested.
    pub seconds: f64,
    pub connections: usize,
    /// Whether the connections are held: the measured part.
    pub is_held: bool,
    /// `None`, like the cores, without `--server-pid`.
    pub server_rss_mib: Option<f64>,
    pub server_cores: Option<f64>,
}

pub struct Watch {
    server: Option<Watched>,
    last: Option<(u64, Option<u64>)>,
    began: u64,
    pub is_held: bool,
    pub looks: Vec<Look>,
}

impl Watch {
    pub fn new(server: Option<Watched>, now: u64) -> Self {
        Self { server, last: None, began: now, is_held: false, looks: Vec::new() }
    }

    /// Takes a sample if it is time.
    pub fn look(&mut self, now: u64, connections: usize) -> Result<()> {
        if self.last.is_some_and(|(at, _)| now < at + EVERY_NS) {
            return Ok(());
        }
        let used = self.server.map(|server| server.cpu_us()).transpose()?;
        let rss = self.server.map(|server| server.rss_kib()).transpose()?;
        let cores = self.last.and_then(|(at, before)| Some((used? - before?) as f64 * 1e3 / (now - at) as f64));
        self.looks.push(Look {
            seconds: (now - self.began) as f64 / 1e9,
            connections,
            is_held: self.is_held,
            server_rss_mib: rss.map(|kib| kib as f64 / 1024.0),
            server_cores: cores,
        });
        self.last = Some((now, used));
        Ok(())
    }
}

pub fn plots(looks: &[Look]) -> Vec<Plot> {
    let mut shaded = Vec::new();
    let mut from = 0.0;
    for look in looks {
        if !look.is_held {
            shaded.push((from, look.seconds));
        }
        from = look.seconds;
    }
    let plot = |title: &str, unit, value: fn(&Look) -> Option<f64>| Plot {
        title: title.to_owned(),
        unit,
        x_name: "seconds",
        shaded: shaded.clone(),
        lines: vec![Line::new("", looks.iter().filter_map(|look| Some((look.seconds, value(look)?))).collect())],
        ..Plot::default()
    };
    vec![
        plot("Connections", "connections", |look| Some(look.connections as f64)),
        plot("Server memory", "MiB", |look| look.server_rss_mib),
        plot("Server CPU", "cores", |look| look.server_cores),
    ]
}
