//! Certificates and keys that can and cannot be served, and what is said of them.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};

use super::*;

/// Files in a folder of a test.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// What is made of these texts.
    fn read(&self, certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Certificate, String> {
        let (certificate, key) = (self.write("certificate.pem", certificate), self.write("key.pem", key));
        read(&TlsFiles { certificate, key }, Timestamp::now())
    }
}

fn params(years: [i32; 2]) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["chat.example.com".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    [params.not_before, params.not_after] = years.map(|year| date_time_ymd(year, 1, 1));
    params
}

/// A self-signed certificate for these years, and its key.
fn made(years: [i32; 2]) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    (params(years).self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[test]
fn a_certificate_is_read_with_its_names_and_its_end() {
    let desk = Desk::new();
    let (certificate, key) = made([2020, 2090]);
    let read = desk.read(&certificate, &key).unwrap();
    assert_eq!(read.names, ["chat.example.com", "127.0.0.1"]);
    assert_eq!(read.not_after.to_string()[..10], *"2090-01-01");
    assert!(read.days_left(Timestamp::now()) > 10_000 && !read.is_without_issuer);
    for (host, is_for) in [
        ("chat.example.com", true),
        ("127.0.0.1", true),
        ("example.com", false),
        ("www.chat.example.com", false),
        ("[::1]", false),
        ("", false),
    ] {
        assert_eq!(read.is_for(host), is_for, "{host}");
    }
    // Both may be in one file.
    let both = desk.write("both.pem", [certificate, key].concat());
    assert!(super::read(&TlsFiles { certificate: both.clone(), key: both }, Timestamp::now()).is_ok());
}

#[test]
fn a_chain_without_its_issuer_is_noticed() {
    let desk = Desk::new();
    let issuer_key = KeyPair::generate().unwrap();
    let mut issuer = params([2020, 2090]);
    issuer.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    issuer.distinguished_name.push(rcgen::DnType::CommonName, "the issuer");
    let issuer_certificate = issuer.self_signed(&issuer_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let leaf = params([2020, 2090]).signed_by(&key, &Issuer::new(issuer, issuer_key)).unwrap().pem();
    assert!(desk.read(&leaf, key.serialize_pem()).unwrap().is_without_issuer);
    let chain = [leaf.clone(), issuer_certificate.clone()].concat();
    assert!(!desk.read(chain, key.serialize_pem()).unwrap().is_without_issuer);
    let upside_down = desk.read([issuer_certificate, leaf].concat(), key.serialize_pem()).unwrap_err();
    assert!(upside_down.contains("does not belong") && upside_down.contains("own certificate first"), "{upside_down}");
}

#[test]
fn each_fault_is_named_with_what_to_do() {
    let desk = Desk::new();
    let (certificate, key) = made([2020, 2090]);
    let damaged = certificate.replacen("MII", "MI!", 1);
    let cases: [(&str, &str, &str, &[&str]); 9] = [
        ("another key", &certificate, &made([2020, 2090]).1, &["PREGON_TLS_KEY", "does not belong", "made together"]),
        ("no key", &certificate, &certificate, &["PREGON_TLS_KEY", "no private key"]),
        ("no certificate", &key, &key, &["PREGON_TLS_CERT", "no certificate", "fullchain.pem"]),
        ("nothing", "", "", &["PREGON_TLS_CERT", "no certificate"]),
        ("damaged", &damaged, &key, &["PREGON_TLS_CERT", "damaged"]),
        ("cut off", &certificate[..certificate.len() / 2], &key, &["PREGON_TLS_CERT", "damaged"]),
        (
            "an encrypted key",
            &certificate,
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMII=\n-----END ENCRYPTED PRIVATE KEY-----\n",
            &["PREGON_TLS_KEY", "encrypted", "openssl pkey -in"],
        ),
        (
            "an older encrypted key",
            &certificate,
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nMII=\n-----END RSA PRIVATE KEY-----\n",
            &["PREGON_TLS_KEY", "encrypted"],
        ),
        (
            "a strange key",
            &certificate,
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            &["PREGON_TLS_KEY", "cannot be used", "P-256"],
        ),
    ];
    for (what, certificate, key, words) in cases {
        let said = desk.read(certificate, key).unwrap_err();
        assert!(words.iter().all(|word| said.contains(word)), "{what}: {said}");
        assert!(said.ends_with('.') && said.lines().count() == 1, "{what}: {said}");
    }
    for (years, word) in [([2000, 2001], "ended at 2001-01-01"), ([2080, 2090], "begins at 2080-01-01")] {
        let (certificate, key) = made(years);
        let said = desk.read(certificate, key).unwrap_err();
        assert!(said.contains(word), "{said}");
    }
    let missing = desk.0.path().join("missing.pem");
    let said = super::read(&TlsFiles { certificate: missing.clone(), key: missing }, Timestamp::now()).unwrap_err();
    assert!(said.contains("missing.pem") && said.contains("No such file"), "{said}");
    let long = desk.read(vec![b'x'; 300 * 1024], &key).unwrap_err();
    assert!(long.contains("more than 256 KiB"), "{long}");
}
