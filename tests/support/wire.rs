//! A connection to a server: plain, or by TLS where the server speaks it, with the certificates that tests make.
#![allow(dead_code, reason = "some tests use a part")]

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, crypto};

/// A connection.
pub enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    /// A connection to `host:port`, by TLS if there is a configuration.
    pub async fn connect(address: &str, tls: Option<Arc<ClientConfig>>) -> io::Result<Self> {
        Self::over(TcpStream::connect(address).await?, tls).await
    }

    /// The same over a connection that the test has made.
    pub async fn over(stream: TcpStream, tls: Option<Arc<ClientConfig>>) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let Some(config) = tls else { return Ok(Self::Plain(stream)) };
        let name = ServerName::try_from("localhost").unwrap();
        Ok(Self::Tls(Box::new(TlsConnector::from(config).connect(name, stream).await?)))
    }

    /// The TCP connection below.
    pub fn tcp(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_mut().0,
        }
    }

    /// The TLS of an encrypted connection.
    pub fn tls(&mut self) -> &mut ClientConnection {
        match self {
            Self::Plain(_) => panic!("this connection is not encrypted"),
            Self::Tls(stream) => stream.get_mut().1,
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, into),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            // What is written is also sent: tests speak and wait for what comes of it.
            Self::Tls(stream) => {
                let written = Pin::new(&mut *stream).poll_write(context, bytes);
                if let Poll::Ready(Ok(_)) = written {
                    let _ = Pin::new(stream).poll_flush(context);
                }
                written
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

/// A certificate with its key in files, and clients that trust it.
#[derive(Clone)]
pub struct Papers {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// The certificate as a client is shown it.
    pub shown: CertificateDer<'static>,
    pub client: Arc<ClientConfig>,
}

impl Papers {
    /// New ones of this machine, in a folder, in place of those that were there.
    pub fn make(folder: &Path) -> Self {
        Self::make_from(folder, None)
    }

    /// The same, for a time that begins then.
    pub fn make_from(folder: &Path, begins: Option<SystemTime>) -> Self {
        let signing_key = rcgen::KeyPair::generate().unwrap();
        let mut of = rcgen::CertificateParams::new(["localhost", "127.0.0.1", "::1"].map(str::to_owned)).unwrap();
        if let Some(begins) = begins {
            of.not_before = begins.into();
        }
        let made = of.self_signed(&signing_key).unwrap();
        let shown = CertificateDer::from(made.der().to_vec());
        let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| folder.join(name));
        std::fs::write(&certificate, made.pem()).unwrap();
        std::fs::write(&key, signing_key.serialize_pem()).unwrap();
        let client = trusting([shown.clone()]).with_no_client_auth();
        Self { certificate, key, shown, client: Arc::new(client) }
    }

    /// A client of REST that trusts the certificate; each request has a connection of its own.
    pub fn http(&self) -> reqwest::Client {
        let root = reqwest::Certificate::from_pem(&std::fs::read(&self.certificate).unwrap()).unwrap();
        let builder = reqwest::Client::builder().tls_built_in_root_certs(false).add_root_certificate(root);
        builder.pool_max_idle_per_host(0).build().unwrap()
    }
}

type Trusting = tokio_rustls::rustls::ConfigBuilder<ClientConfig, tokio_rustls::rustls::client::WantsClientCert>;

/// The beginning of a client's configuration that trusts certificates.
pub fn trusting(certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> Trusting {
    let mut roots = RootCertStore::empty();
    certificates.into_iter().for_each(|certificate| roots.add(certificate).unwrap());
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    builder.with_root_certificates(roots)
}
