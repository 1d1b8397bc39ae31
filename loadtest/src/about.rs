//! The circumstances of a report: when, where and how it was made.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::options::Common;
use crate::target::TargetKind;
use crate::tls;
use crate::v1::Protocol;

/// Flags whose values are secret.
const SECRET_FLAGS: [&str; 1] = ["--secret"];

/// The longest wait for the server's version, which is not worth more.
const METRICS_WITHIN: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, Serialize)]
pub struct About {
    /// RFC 3339, UTC: when the run began.
    pub date: String,
    pub host: String,
    /// Cores and processor.
    pub machine: String,
    pub kernel: String,
    pub loadtest_version: &'static str,
    /// The version in the server's metrics; `None` if they do not have it.
    pub server_version: Option<String>,
    /// What the clients spoke with the server.
    pub protocol: Protocol,
    pub command: String,
}

/// A report with its circumstances.
#[derive(Serialize)]
pub struct Told<'a, R> {
    pub about: &'a About,
    /// The run was cut short: the figures cover the time until then.
    pub cut_off: bool,
    /// The report's result in a sentence.
    pub answer: String,
    #[serde(flatten)]
    pub report: &'a R,
}

impl About {
    /// The circumstances of this process, now.
    pub fn now() -> Self {
        let system = rustix::system::uname();
        let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
        Self {
            date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            host: text(system.nodename()),
            machine: machine(),
            kernel: format!("{} {}", text(system.sysname()), text(system.release())),
            loadtest_version: env!("CARGO_PKG_VERSION"),
            server_version: None,
            protocol: Protocol::V0,
            command: command(std::env::args()),
        }
    }

    /// Adds the version that the server under test reports.
    pub fn with_server(mut self, common: &Common) -> Self {
        self.protocol = common.protocol;
        if common.target == TargetKind::Pregon {
            self.server_version = metrics(&format!("{}/metrics", common.api_url().trim_end_matches('/')))
                .as_deref()
                .and_then(build_version);
        }
        self
    }
}

/// The server's metrics; `None` if it does not answer with any.
pub fn metrics(url: &str) -> Option<String> {
    let config = ureq::Agent::config_builder().timeout_global(Some(METRICS_WITHIN));
    let config = if url.starts_with("https://") { config.tls_config(tls::for_requests().ok()?) } else { config };
    let agent: ureq::Agent = config.build().into();
    agent.get(url).call().ok()?.body_mut().read_to_string().ok()
}

/// Cores and processor.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let cores = processors.lines().filter(|line| line.starts_with("processor")).count();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("an unknown processor", |(_, model)| model.trim());
    format!("{cores} cores of {model}")
}

/// The command line, ready to be typed again, without secrets.
fn command(arguments: impl Iterator<Item = String>) -> String {
    let mut words = Vec::new();
    let mut is_secret = false;
    for argument in arguments {
        let secret = SECRET_FLAGS.iter().find(|flag| argument.starts_with(&format!("{flag}=")));
        let shown = match secret {
            _ if is_secret => "***".to_owned(),
            Some(flag) => format!("{flag}=***"),
            None => quoted(&argument),
        };
        is_secret = SECRET_FLAGS.contains(&argument.as_str());
        words.push(shown);
    }
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The label `version` of Prometheus' conventional `…_build_info`.
fn build_version(metrics: &str) -> Option<String> {
    let line = metrics.lines().find(|line| line.starts_with("pregon_build_info{"))?;
    let (_, rest) = line.split_once("version=\"")?;
    Some(rest.split_once('"')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_typed_again_and_tells_no_secret() {
        let shown = |words: &[&str]| command(words.iter().map(ToString::to_string));
        assert_eq!(
            shown(&["loadtest", "room", "--secret", "s3 cret", "--members", "5"]),
            "loadtest room --secret *** --members 5"
        );
        assert_eq!(shown(&["x", "--secret=abc", "a b", "it's"]), r"x --secret=*** 'a b' 'it'\''s'");
    }

    #[test]
    fn the_servers_version_is_read_from_its_metrics() {
        let metrics = "# TYPE pregon_build_info gauge\npregon_build_info{node=\"a\",version=\"0.3.1\"} 1\n";
        assert_eq!(build_version(metrics).as_deref(), Some("0.3.1"));
        assert_eq!(build_version("pregon_sessions 3\n"), None);
    }
}
