//! TLS of the load's connections: which servers speak it, whom they are trusted by, and the tickets that were given.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::crypto::{self, CryptoProvider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, NamedGroup, RootCertStore,
    SignatureScheme,
};

/// Tickets that wait to be used, at most.
const TICKETS_MAX: usize = 128 * 1024;

/// How servers are trusted.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct TlsOptions {
    /// With wss://: certificates (PEM) by which the server's is trusted
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// With wss://: trust whatever certificate a server on this machine shows
    #[arg(long, conflicts_with = "tls_ca")]
    pub tls_insecure: bool,
    /// With wss://: every handshake is a full one
    #[arg(long)]
    pub tls_full: bool,
}

/// A server that speaks TLS.
#[derive(Clone)]
struct Speaker {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    tickets: Arc<Tickets>,
}

static OPTIONS: OnceLock<TlsOptions> = OnceLock::new();
static SPEAKERS: LazyLock<Mutex<HashMap<SocketAddr, Speaker>>> = LazyLock::new(Mutex::default);
static RESUMED: AtomicU64 = AtomicU64::new(0);
static FULL: AtomicU64 = AtomicU64::new(0);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The options of this run.
pub fn take(options: &TlsOptions) {
    let _ = OPTIONS.set(options.clone());
}

fn options() -> TlsOptions {
    OPTIONS.get().cloned().unwrap_or_default()
}

/// The same as [`speak`] by the options of this run.
pub fn speak_as_told(address: SocketAddr, host: &str) -> Result<()> {
    speak(address, host, &options())
}

/// From now on connections to this address are encrypted. `host` is the server's name in its certificate.
pub fn speak(address: SocketAddr, host: &str, options: &TlsOptions) -> Result<()> {
    let host = host.trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(host.clone()).with_context(|| format!("{host} is no name of a server"))?;
    let tickets = Arc::<Tickets>::default();
    tickets.is_full.store(options.tls_full, Ordering::Relaxed);
    let config = Arc::new(config(address, options, tickets.clone())?);
    locked(&SPEAKERS).insert(address, Speaker { config, name, tickets });
    Ok(())
}

/// From now on connections to this address are not encrypted.
pub fn speak_plainly(address: SocketAddr) {
    locked(&SPEAKERS).remove(&address);
}

/// From now on no ticket of this server is used, or each is; those that come are kept in either case.
pub fn shake_in_full(address: SocketAddr, is_full: bool) {
    if let Some(speaker) = locked(&SPEAKERS).get(&address) {
        speaker.tickets.is_full.store(is_full, Ordering::Relaxed);
    }
}

/// A new certificate and its key, in files of this folder.
pub fn certificate(folder: &Path) -> Result<[PathBuf; 2]> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let files = ["certificate.pem", "key.pem"].map(|name| folder.join(name));
    std::fs::write(&files[0], made.cert.pem())?;
    std::fs::write(&files[1], made.signing_key.serialize_pem())?;
    Ok(files)
}

fn config(address: SocketAddr, options: &TlsOptions, tickets: Arc<Tickets>) -> Result<ClientConfig> {
    let provider = Arc::new(as_browsers_offer());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let builder = match &options.tls_ca {
        Some(file) => builder.with_root_certificates(roots(file)?),
        None if options.tls_insecure => {
            ensure!(address.ip().is_loopback(), "--tls-insecure: only servers on this machine are trusted blindly");
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Blind(provider)))
        }
        None => bail!("wss:// needs --tls-ca FILE, or --tls-insecure for a server on this machine"),
    };
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::store(tickets);
    Ok(config)
}

/// Cipher suites in the order in which browsers offer them where the processor knows AES: with keys of 128 bits first. The library
/// begins with 256, and a server does what its clients prefer.
fn as_browsers_offer() -> CryptoProvider {
    let mut provider = crypto::ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    provider
}

fn roots(file: &Path) -> Result<RootCertStore> {
    let named = || format!("--tls-ca {}", file.display());
    let reader = BufReader::new(File::open(file).with_context(named)?);
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_reader_iter(reader) {
        roots.add(certificate.with_context(named)?).with_context(named)?;
    }
    ensure!(!roots.is_empty(), "--tls-ca {}: it has no certificate", file.display());
    Ok(roots)
}

/// What the REST client needs to speak with an `https://` API.
pub fn for_requests() -> Result<ureq::tls::TlsConfig> {
    let options = options();
    let builder = ureq::tls::TlsConfig::builder().provider(ureq::tls::TlsProvider::Rustls);
    let builder = builder.unversioned_rustls_crypto_provider(Arc::new(crypto::ring::default_provider()));
    let Some(file) = &options.tls_ca else { return Ok(builder.disable_verification(options.tls_insecure).build()) };
    let text = std::fs::read(file).with_context(|| format!("--tls-ca {}", file.display()))?;
    let certificates: Result<Vec<_>, _> = ureq::tls::parse_pem(&text)
        .filter_map(|item| match item {
            Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(Ok(certificate)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
        .collect();
    let certificates = certificates.with_context(|| format!("--tls-ca {}", file.display()))?;
    Ok(builder.root_certs(ureq::tls::RootCerts::from(certificates)).build())
}

/// Handshakes that are over: full ones, and resumed ones.
pub fn handshakes() -> [u64; 2] {
    [FULL.load(Ordering::Relaxed), RESUMED.load(Ordering::Relaxed)]
}

/// The TLS of one connection.
pub struct Tls {
    connection: ClientConnection,
    is_counted: bool,
}

/// What came of a connection's bytes.
pub struct Opened {
    pub bytes: usize,
    /// The server has said that nothing more comes.
    pub has_closed: bool,
}

impl Tls {
    /// For a new connection; `None` if the server does not speak it.
    pub fn to(server: SocketAddr) -> Result<Option<Box<Self>>> {
        let Some(Speaker { config, name, .. }) = locked(&SPEAKERS).get(&server).cloned() else { return Ok(None) };
        let connection = ClientConnection::new(config, name)?;
        Ok(Some(Box::new(Self { connection, is_counted: false })))
    }

    /// Seals bytes, behind what must be said before. Before the end of the handshake they wait.
    pub fn seal(&mut self, bytes: &[u8], sealed: &mut Vec<u8>) {
        // Writing to memory does not fail, and rustls keeps what is said too early.
        let _ = self.connection.writer().write_all(bytes);
        self.said(sealed);
    }

    /// What must be said now.
    pub fn said(&mut self, sealed: &mut Vec<u8>) {
        while self.connection.wants_write() {
            let _ = self.connection.write_tls(sealed);
        }
    }

    /// Opens what came. `plain` has room for it.
    ///
    /// # Errors
    /// In words: the server broke the protocol, or is not trusted.
    pub fn open(&mut self, mut came: &[u8], plain: &mut [u8]) -> Result<Opened, String> {
        let mut opened = Opened { bytes: 0, has_closed: false };
        while !came.is_empty() {
            self.connection.read_tls(&mut came).map_err(|error| error.to_string())?;
            let state = self.connection.process_new_packets().map_err(|error| format!("TLS: {error}"))?;
            opened.has_closed |= state.peer_has_closed();
            loop {
                match self.connection.reader().read(&mut plain[opened.bytes..]) {
                    Ok(0) => break,
                    Ok(count) => opened.bytes += count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error.to_string()),
                }
            }
            if opened.has_closed {
                break;
            }
        }
        if !self.is_counted && !self.connection.is_handshaking() {
            self.is_counted = true;
            let is_resumed = self.connection.handshake_kind() == Some(HandshakeKind::Resumed);
            if is_resumed { &RESUMED } else { &FULL }.fetch_add(1, Ordering::Relaxed);
        }
        Ok(opened)
    }

    /// Has the server told that nothing more comes.
    pub fn say_goodbye(&mut self, sealed: &mut Vec<u8>) {
        self.connection.send_close_notify();
        self.said(sealed);
    }
}

/// Tickets of one server. Whoever connects next takes the oldest, whoever it was given to: all clients of a run are one program.
#[derive(Default)]
struct Tickets {
    waiting: Mutex<VecDeque<Tls13ClientSessionValue>>,
    /// None is given out.
    is_full: AtomicBool,
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        let mut tickets = locked(&self.waiting);
        if tickets.len() >= TICKETS_MAX {
            tickets.pop_front();
        }
        tickets.push_back(value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        if self.is_full.load(Ordering::Relaxed) { None } else { locked(&self.waiting).pop_front() }
    }
}

/// Trusts whatever certificate is shown, but not a signature that its key has not made.
#[derive(Debug)]
struct Blind(Arc<CryptoProvider>);

impl ServerCertVerifier for Blind {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
