//! The cryptography of tokens: jsonwebtoken's HMAC, computed by ring, which also hashes passwords.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey};
use ring::digest::{SHA256, digest};
use ring::hmac;
use signature::{Error, Signer, Verifier};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key: &EncodingKey| {
        let secret = (key.family() == AlgorithmFamily::Hmac).then(|| key.as_bytes());
        Ok(Box::new(Hmac::new(*algorithm, secret)?))
    },
    verifier_factory: |algorithm, key: &DecodingKey| {
        let secret = (key.family() == AlgorithmFamily::Hmac).then(|| key.try_get_as_bytes()).transpose()?;
        Ok(Box::new(Hmac::new(*algorithm, secret)?))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

/// Installs the cryptography that jsonwebtoken uses in the whole process. A second call changes nothing.
pub(crate) fn install() {
    let _ = PROVIDER.install_default();
}

/// Tells contents apart: 128 bits of their SHA-256, as hexadecimal digits.
pub(crate) fn fingerprint(content: &[u8]) -> String {
    let hash = digest(&SHA256, content);
    hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// A number for a text that only those know who know the secret.
pub(crate) fn mark(secret: &hmac::Key, parts: [&[u8]; 2]) -> u64 {
    let mut context = hmac::Context::with_key(secret);
    parts.iter().for_each(|part| context.update(part));
    context.sign().as_ref().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// A secret that marks are made with. `purpose` tells it from the secret that it is made from.
pub(crate) fn marker(secret: &[u8], purpose: &[u8]) -> hmac::Key {
    let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), purpose);
    hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref())
}

struct Hmac {
    algorithm: Algorithm,
    key: hmac::Key,
}

impl Hmac {
    /// # Errors
    /// The algorithm is not an HMAC, or the key does not fit it (`secret` is `None`).
    fn new(algorithm: Algorithm, secret: Option<&[u8]>) -> Result<Self> {
        let hash = match algorithm {
            Algorithm::HS256 => hmac::HMAC_SHA256,
            Algorithm::HS384 => hmac::HMAC_SHA384,
            Algorithm::HS512 => hmac::HMAC_SHA512,
            _ => return Err(ErrorKind::InvalidAlgorithm.into()),
        };
        let secret = secret.ok_or(ErrorKind::InvalidKeyFormat)?;
        Ok(Self { algorithm, key: hmac::Key::new(hash, secret) })
    }
}

impl Signer<Vec<u8>> for Hmac {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, Error> {
        Ok(hmac::sign(&self.key, message).as_ref().to_vec())
    }
}

impl Verifier<Vec<u8>> for Hmac {
    /// Compares in constant time.
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        hmac::verify(&self.key, message, signature).map_err(|_| Error::new())
    }
}

impl JwtSigner for Hmac {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl JwtVerifier for Hmac {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    /// The example of RFC 7515, appendix A.1.
    #[test]
    fn the_signature_of_the_rfc_is_ours() {
        install();
        let key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        let secret = URL_SAFE_NO_PAD.decode(key).unwrap();
        let message = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQo\
                       gImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let right = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let encoding = EncodingKey::from_secret(&secret);
        let decoding = DecodingKey::from_secret(&secret);
        let signed = jsonwebtoken::crypto::sign(message.as_bytes(), &encoding, Algorithm::HS256);
        assert_eq!(signed.unwrap(), right);
        let verified = |signature: &str, algorithm| {
            jsonwebtoken::crypto::verify(signature, message.as_bytes(), &decoding, algorithm)
        };
        assert!(verified(right, Algorithm::HS256).unwrap());
        assert!(!verified(&right.replace('d', "e"), Algorithm::HS256).unwrap());
        assert!(!verified(right, Algorithm::HS512).unwrap(), "the algorithm counts");
        assert!(verified(right, Algorithm::RS256).is_err() && verified(right, Algorithm::EdDSA).is_err());
    }
}
