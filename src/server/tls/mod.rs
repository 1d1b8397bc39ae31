//! TLS of the clients' listeners: the certificate, kept up to date with its files, and what all shards share.

pub(crate) mod certificate;
mod tickets;

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::anyhow;
use rustls::crypto;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, interval};

use crate::clock::Timestamp;
use crate::config::{Settings, TlsFiles};
use crate::limits::{TLS_FILES_LOOK, TLS_FILES_RETRY, TLS_WARN_DAYS};
use crate::telemetry::alarm;
use certificate::Certificate;
use tickets::Tickets;

/// The only protocol above TLS: a WebSocket of HTTP/2 would share its connection with others.
const ALPN: &[u8] = b"http/1.1";
const DAY: Duration = Duration::from_secs(86_400);

/// The TLS of a server.
pub(super) struct Encryption {
    config: Arc<ServerConfig>,
    kept: Kept,
}

/// The certificate that new handshakes get. Connections that are there keep theirs.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Encryption {
    /// The TLS that the settings ask for, if they do.
    ///
    /// # Errors
    /// When the certificate or its key cannot be served; the text says what to do.
    pub fn of(settings: &Settings) -> anyhow::Result<Option<Self>> {
        let Some(files) = &settings.tls else { return Ok(None) };
        let states = states(files);
        let certificate = certificate::read(files, Timestamp::now()).map_err(|sentence| anyhow!(sentence))?;
        let current = Arc::new(Current(RwLock::new(certificate.certified.clone())));
        let provider = Arc::new(crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.ticketer = Arc::new(tickets(settings));
        // Sessions that this process alone could resume would cost memory, and help nobody on another node.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        let (files, not_after) = (files.clone(), certificate.not_after);
        let mut kept = Kept { files, current, states, not_after, warned: None, failed: None };
        kept.tell(&certificate);
        Ok(Some(Self { config: Arc::new(config), kept }))
    }

    /// What shards need of it.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// Keeps the certificate up to date until the runtime ends: looks at its files, at SIGHUP at once.
    ///
    /// # Errors
    /// When the system does not deliver signals.
    pub fn keep(self, control: &Handle) -> io::Result<()> {
        let hangup = {
            let _entered = control.enter();
            signal(SignalKind::hangup())?
        };
        control.spawn(alarm::watched("the look at the certificate", self.kept.watch(hangup)));
        Ok(())
    }
}

/// Tickets that all nodes with the secret can open, or this process alone.
fn tickets(settings: &Settings) -> Tickets {
    if let Some(secret) = &settings.tls_ticket_secret {
        return Tickets::new(secret.bytes());
    }
    if settings.redis.is_some() {
        tracing::warn!(
            "clients resume TLS on this node alone and until its next start: set PREGON_TLS_TICKET_SECRET to the same text on all nodes"
        );
    }
    Tickets::new(&rand::random::<[u8; 32]>())
}

/// What is known of a file without reading it. The time of its last change of any kind is in it, so that new rights are a change.
type State = Result<(u64, u64, i64, i64), io::ErrorKind>;

fn states(files: &TlsFiles) -> [State; 2] {
    let state = |path: &Path| {
        let found = std::fs::metadata(path).map_err(|error| error.kind())?;
        Ok((found.ino(), found.size(), found.ctime(), found.ctime_nsec()))
    };
    [state(&files.certificate), state(&files.key)]
}

/// The certificate in use and its files.
struct Kept {
    files: TlsFiles,
    current: Arc<Current>,
    /// The files as they were read last.
    states: [State; 2],
    not_after: Timestamp,
    /// When the log last warned of the certificate's end.
    warned: Option<Instant>,
    /// When files that cannot be served were read, and why they cannot be.
    failed: Option<(Instant, String)>,
}

impl Kept {
    async fn watch(mut self, mut hangup: Signal) {
        let mut ticks = interval(TLS_FILES_LOOK);
        // A change is read when it is one look old: whoever renews a certificate writes two files, one after the other.
        let mut changed: Option<[State; 2]> = None;
        loop {
            let is_asked = tokio::select! {
                _ = ticks.tick() => false,
                _ = hangup.recv() => true,
            };
            let files = self.files.clone();
            let Ok(found) = tokio::task::spawn_blocking(move || states(&files)).await else { continue };
            let is_settled = changed.as_ref() == Some(&found);
            // What kept them from being read may go without a change of the files, or with one that shows in nothing.
            let is_due = self.failed.as_ref().is_some_and(|(at, _)| at.elapsed() >= TLS_FILES_RETRY);
            if is_asked || is_due || found != self.states && is_settled {
                self.read(found).await;
                changed = None;
            } else if found != self.states {
                changed = Some(found);
            }
            self.warn();
        }
    }

    /// Reads the files. A certificate that cannot be served changes nothing.
    async fn read(&mut self, states: [State; 2]) {
        self.states = states;
        let files = self.files.clone();
        let read = tokio::task::spawn_blocking(move || certificate::read(&files, Timestamp::now())).await;
        let outcome = match read {
            Ok(Ok(certificate)) => {
                self.failed = None;
                *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = certificate.certified.clone();
                self.tell(&certificate);
                "ok"
            }
            Ok(Err(sentence)) => self.cannot_serve(sentence),
            Err(error) => self.cannot_serve(format!("they could not be read ({error}).")),
        };
        metrics::counter!("pregon_tls_certificate_reads_total", "outcome" => outcome).increment(1);
    }

    /// Says once why the files cannot be served; they are tried again.
    fn cannot_serve(&mut self, sentence: String) -> &'static str {
        if self.failed.as_ref().is_none_or(|(_, before)| *before != sentence) {
            let until = self.not_after;
            tracing::error!(%until, "the certificate before goes on being served, and the files are tried again: {sentence}");
        }
        self.failed = Some((Instant::now(), sentence));
        "failed"
    }

    /// Says which certificate is served from now on.
    fn tell(&mut self, certificate: &Certificate) {
        (self.not_after, self.warned) = (certificate.not_after, None);
        #[expect(clippy::cast_precision_loss, reason = "gauges are floating-point numbers")]
        metrics::gauge!("pregon_tls_certificate_not_after_seconds").set(certificate.not_after.seconds() as f64);
        let (until, names) = (certificate.not_after, certificate.names.join(", "));
        tracing::info!(%until, names, "this certificate is served");
        self.warn();
    }

    /// Warns once a day of a certificate that ends soon.
    fn warn(&mut self) {
        let left = self.not_after.seconds() - Timestamp::now().seconds();
        let days = left.div_euclid(86_400);
        if days >= TLS_WARN_DAYS || self.warned.is_some_and(|warned| warned.elapsed() < DAY) {
            return;
        }
        self.warned = Some(Instant::now());
        let until = self.not_after;
        if left > 0 {
            tracing::warn!(%until, days, "the certificate ends soon: have it renewed; the new files are read by themselves");
        } else {
            tracing::error!(%until, "the certificate has ended, and clients refuse it: have it renewed; the new files are read by themselves");
        }
    }
}
