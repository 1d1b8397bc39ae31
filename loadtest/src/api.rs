//! The server's REST API, as far as a run needs it for users and rooms.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::interrupt;
use crate::tls;

/// Requests at a time: the server hashes two passwords at once.
const WORKERS: usize = 4;
const TIMEOUT: Duration = Duration::from_secs(60);
/// The number of consecutive "later" answers after which a request is given up.
const WAITS_MAX: usize = 30;
const WAIT_MAX: Duration = Duration::from_secs(60);
/// A post with all its reactions has some hundred bytes for each of them.
const BODY_BYTES_MAX: u64 = 256 * 1024 * 1024;

pub struct Api {
    agent: ureq::Agent,
    url: String,
    bar: ProgressBar,
}

impl Api {
    /// Fails if an `https://` server cannot be trusted as the options say.
    pub fn new(url: &str) -> Result<Self> {
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(TIMEOUT));
        let config = if url.starts_with("https://") { config.tls_config(tls::for_requests()?) } else { config };
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self { agent: config.build().into(), url, bar: ProgressBar::hidden() })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Runs `count` jobs, a few at a time and with progress. The first failure ends it.
    pub fn each<T: Send>(
        &self,
        what: &str,
        count: usize,
        one: impl Fn(&Self, usize) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let style = ProgressStyle::with_template("{prefix} {pos}/{len} [{elapsed}, {eta} left] {wide_msg}");
        let bar =
            ProgressBar::new(count as u64).with_style(style.context("progress line")?).with_prefix(what.to_owned());
        let api = Self { agent: self.agent.clone(), url: self.url.clone(), bar };
        let next = AtomicUsize::new(0);
        let done: Mutex<Vec<Option<T>>> = Mutex::new((0..count).map(|_| None).collect());
        let failure = Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..WORKERS.min(count) {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            return;
                        }
                        match one(&api, number) {
                            Ok(value) => locked(&done)[number] = Some(value),
                            Err(error) => {
                                locked(&failure).get_or_insert(error);
                                next.store(count, Ordering::Relaxed);
                                return;
                            }
                        }
                        api.bar.inc(1);
                    }
                });
            }
        });
        api.bar.finish_and_clear();
        if let Some(error) = locked(&failure).take() {
            return Err(error);
        }
        std::mem::take(&mut *locked(&done)).into_iter().collect::<Option<_>>().context("all were done")
    }

    /// Posts JSON. If the server is at a limit (429, 503), waits as long as it says.
    pub fn post<T: DeserializeOwned>(&self, path: &str, token: Option<&str>, body: &Value) -> Result<T> {
        let what = format!("POST {}{path}", self.url);
        let text = self.ask(&what, &[], |url| {
            let mut request = self.agent.post(url);
            if let Some(token) = token {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            request.send_json(body)
        })?;
        serde_json::from_str(&text).with_context(|| format!("{what} was answered with {text}"))
    }

    /// The same for a GET.
    pub fn get<T: DeserializeOwned>(&self, path: &str, token: &str) -> Result<T> {
        let what = format!("GET {}{path}", self.url);
        let text =
            self.ask(&what, &[], |url| self.agent.get(url).header("Authorization", format!("Bearer {token}")).call())?;
        serde_json::from_str(&text).with_context(|| format!("{what} was answered with something else"))
    }

    /// The same for a DELETE, whose body is ignored. Something that does not exist (400 or 404) need not be deleted.
    pub fn delete(&self, path: &str, token: &str) -> Result<()> {
        let what = format!("DELETE {}{path}", self.url);
        self.ask(&what, &[400, 404], |url| {
            self.agent.delete(url).header("Authorization", format!("Bearer {token}")).call()
        })?;
        Ok(())
    }

    /// The body of a good answer. `what` is the method and URL; the statuses in `also` are good, too.
    fn ask(
        &self,
        what: &str,
        also: &[u16],
        request: impl Fn(&str) -> Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<String> {
        let (_, url) = what.split_once(' ').unwrap_or_default();
        for _ in 0..WAITS_MAX {
            interrupt::check("making users and rooms")?;
            let mut response = request(url).with_context(|| what.to_owned())?;
            let status = response.status().as_u16();
            let body = response.body_mut().with_config().limit(BODY_BYTES_MAX);
            let text = body.read_to_string().with_context(|| what.to_owned())?;
            match status {
                200..300 => return Ok(text),
                status if also.contains(&status) => return Ok(text),
                429 | 503 => {
                    let wait = retry_after(&response);
                    self.bar.set_message(format!(
                        "the server says {status}, waiting {} s (PREGON_RATE_LIMITS=off lets it go on)",
                        wait.as_secs()
                    ));
                    interrupt::sleep(wait);
                    self.bar.set_message("");
                }
                _ => bail!("{what} was answered with {status}: {text}"),
            }
        }
        Err(anyhow!("{what}: the server is still at its limit after {WAITS_MAX} waits"))
    }
}

fn retry_after<T>(response: &ureq::http::Response<T>) -> Duration {
    let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let seconds = header.and_then(|text| text.parse().ok()).unwrap_or(1);
    Duration::from_secs(seconds).clamp(Duration::from_secs(1), WAIT_MAX)
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
