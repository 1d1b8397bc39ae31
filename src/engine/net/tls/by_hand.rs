//! Certificates, configurations and a client for tests.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::NoServerSessionStorage;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, SupportedProtocolVersion, crypto};

use super::{Sealed, Tls};
use crate::limits::TLS_RECORD_BYTES_MAX;

/// A server's configuration and that of a client which trusts it.
pub fn configs(versions: &[&'static SupportedProtocolVersion]) -> (Arc<ServerConfig>, ClientConfig) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])
        .expect("rcgen makes a key and a name that is ASCII");
    let certificate = CertificateDer::from(made.cert.der().to_vec());
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .expect("ring has suites for these versions");
    let mut server = server
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .expect("the key is the certificate's own");
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("the certificate has just been made");
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("ring has suites for these versions");
    (Arc::new(server), client.with_root_certificates(roots).with_no_client_auth())
}

/// A client of such a server.
pub fn client(config: ClientConfig) -> ClientConnection {
    ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").expect("localhost is a name"))
        .expect("the configuration is whole")
}

/// Bytes on their way, of which only so many have room.
#[derive(Debug)]
pub struct Wire {
    pub bytes: VecDeque<u8>,
    pub room: usize,
}

impl Default for Wire {
    fn default() -> Self {
        Self { bytes: VecDeque::new(), room: usize::MAX }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.bytes.read(buffer)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.room - self.bytes.len().min(self.room));
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.bytes.extend(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A server's connection and its client, with what is on its way between them.
pub struct Pair {
    pub server: Tls,
    pub client: ClientConnection,
    pub to_server: Wire,
    pub to_client: Wire,
    /// What the server has heard.
    pub heard: Vec<u8>,
}

impl Pair {
    /// Both before their handshake.
    pub fn new(server: Arc<ServerConfig>, client_config: ClientConfig) -> Self {
        let (server, client) = (Tls::new(server).expect("the configuration is whole"), client(client_config));
        Self { server, client, to_server: Wire::default(), to_client: Wire::default(), heard: Vec::new() }
    }

    /// Both after their handshake.
    pub fn shaken(versions: &[&'static SupportedProtocolVersion]) -> Self {
        let (server, client) = configs(versions);
        let mut pair = Self::new(server, client);
        pair.settle();
        assert_eq!(pair.server.is_resumed(), Some(false), "{:?}", pair.server);
        pair
    }

    /// Lets everything arrive. Returns what the client has heard.
    pub fn settle(&mut self) -> Vec<u8> {
        let mut heard = Vec::new();
        loop {
            while self.client.wants_write() {
                self.client.write_tls(&mut self.to_server).expect("a wire takes bytes while it has room");
            }
            let mut has_moved = self.server_reads();
            self.server.flush(&mut self.to_client).expect("what is sealed stays until the wire has room");
            while !self.to_client.bytes.is_empty() {
                has_moved = true;
                self.client.read_tls(&mut self.to_client).expect("a wire gives what it has");
                self.client.process_new_packets().expect("the server's records are whole");
                let _ = self.client.reader().read_to_end(&mut heard);
            }
            if !has_moved && !self.client.wants_write() {
                return heard;
            }
        }
    }

    /// The server reads what has come. True if anything had.
    pub fn server_reads(&mut self) -> bool {
        let mut scratch = vec![0; TLS_RECORD_BYTES_MAX];
        let mut has_moved = false;
        while !self.to_server.bytes.is_empty() {
            has_moved = true;
            self.server
                .receive(&mut self.to_server, &mut scratch, &mut self.heard)
                .expect("the client's records are whole");
        }
        has_moved
    }

    /// The server says something.
    pub fn server_says(&mut self, plain: &[u8]) {
        let mut sealed = Sealed::default();
        self.server.seal(plain, &mut sealed).expect("a short text has room");
        self.server.keep(sealed.bytes());
        self.server.flush(&mut self.to_client).expect("what is sealed stays until the wire has room");
    }
}
