//! A certificate and its key, read from their files and checked; each fault is a sentence that says what to do.

use std::fmt::Display;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, crypto};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::clock::Timestamp;
use crate::config::TlsFiles;
use crate::limits::TLS_FILE_BYTES_MAX;

const SECONDS_A_DAY: i64 = 86_400;

/// A certificate that can be served.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The chain with the key.
    pub(super) certified: Arc<CertifiedKey>,
    /// The moment from which on clients refuse it.
    pub not_after: Timestamp,
    /// The names for which it stands.
    pub names: Vec<String>,
    /// It was made by another one, which the file does not have.
    pub is_without_issuer: bool,
}

impl Certificate {
    /// Whole days until clients refuse it.
    pub fn days_left(&self, now: Timestamp) -> i64 {
        (self.not_after.seconds() - now.seconds()).div_euclid(SECONDS_A_DAY)
    }

    /// Whether it stands for a host, by the rules of clients.
    pub fn is_for(&self, host: &str) -> bool {
        let host = host.trim_matches(['[', ']']).to_owned();
        let Ok(name) = ServerName::try_from(host) else { return false };
        let leaf = self.certified.end_entity_cert().and_then(ParsedCertificate::try_from);
        leaf.is_ok_and(|leaf| verify_server_name(&leaf, &name).is_ok())
    }
}

/// Reads both files, and checks that they can be served now.
///
/// # Errors
/// The sentence to print.
pub fn read(files: &TlsFiles, now: Timestamp) -> Result<Certificate, String> {
    let chain = chain(&files.certificate)?;
    let key = key(&files.key)?;
    let leaf = chain.first().map(|leaf| leaf.as_ref().to_vec()).unwrap_or_default();
    let wrong = |why: &dyn Display| wrong("PREGON_TLS_CERT", &files.certificate, why);
    let (_, parsed) = X509Certificate::from_der(&leaf)
        .map_err(|error| wrong(&format!("its first certificate is damaged ({error})")))?;
    let is_without_issuer = chain.len() == 1 && parsed.subject() != parsed.issuer();
    let certified = CertifiedKey::from_der(chain, key, &crypto::ring::default_provider());
    let certified = Arc::new(certified.map_err(|error| unfit(files, &error))?);
    let [not_before, not_after] = [parsed.validity().not_before, parsed.validity().not_after]
        .map(|time| Timestamp(time.timestamp().saturating_mul(1_000_000)));
    if now < not_before {
        return Err(wrong(&format!(
            "it begins at {not_before} only: check this machine's clock, or have a certificate for now"
        )));
    }
    if now >= not_after {
        return Err(wrong(&format!("it ended at {not_after}: have it renewed, for example with certbot renew")));
    }
    Ok(Certificate { certified, not_after, names: names(&parsed), is_without_issuer })
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |why: &dyn Display| wrong("PREGON_TLS_CERT", path, why);
    let text = read_file(path).map_err(|why| wrong(&why))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| wrong(&format!("it is damaged ({error})")))?;
    if chain.is_empty() {
        return Err(wrong(
            &"it has no certificate (-----BEGIN CERTIFICATE-----): it must be PEM, such as fullchain.pem",
        ));
    }
    Ok(chain)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let wrong = |why: &dyn Display| wrong("PREGON_TLS_KEY", path, why);
    let text = read_file(path).map_err(|why| wrong(&why))?;
    let has = |mark: &[u8]| memchr::memmem::find(&text, mark).is_some();
    if has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED") {
        let path = path.display();
        return Err(wrong(&format!(
            "it is encrypted: decrypt it with openssl pkey -in {path} -out key.pem, and chmod 600 key.pem"
        )));
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => {
            wrong(&"it has no private key (-----BEGIN PRIVATE KEY-----): it must be PEM, such as privkey.pem")
        }
        error => wrong(&format!("it is damaged ({error})")),
    })
}

/// Why a certificate and a key cannot be served together.
fn unfit(files: &TlsFiles, error: &Error) -> String {
    let TlsFiles { certificate, key } = files;
    match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => format!(
            "PREGON_TLS_KEY is {key:?}, but that key does not belong to the first certificate in {certificate:?}: name the two \
             files that were made together, with the server's own certificate first."
        ),
        _ => wrong(
            "PREGON_TLS_KEY",
            key,
            &format!(
                "it cannot be used ({error}): it must be an ECDSA key (P-256, P-384), an Ed25519 key or an RSA key of 2048 bits or more"
            ),
        ),
    }
}

fn wrong(setting: &str, path: &Path, why: &dyn Display) -> String {
    format!("{setting} is {path:?}, but that file cannot be used: {why}.")
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let read = || {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(TLS_FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes: Vec<u8> = read().map_err(|error: std::io::Error| error.to_string())?;
    if bytes.len() as u64 > TLS_FILE_BYTES_MAX {
        return Err(format!("it has more than {} KiB", TLS_FILE_BYTES_MAX / 1024));
    }
    Ok(bytes)
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let names = alternatives.iter().flat_map(|names| &names.value.general_names);
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes),
            _ => None,
        })
        .collect()
}

fn address(bytes: &[u8]) -> Option<String> {
    let four = <[u8; 4]>::try_from(bytes).ok().map(|four| std::net::IpAddr::from(four).to_string());
    four.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(|sixteen| std::net::IpAddr::from(sixteen).to_string()))
}

#[cfg(test)]
mod tests;
