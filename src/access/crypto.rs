//! The cryptography of tokens: jsonwebtoken's algorithms, computed by ring, which also hashes passwords.

use std::fmt;

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::digest::{SHA256, digest};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, EcdsaKeyPair, Ed25519KeyPair,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use signature::{Error, Signer, Verifier};

static PROVIDER: CryptoProvider = CryptoProvider {
    // Only secrets come this way: private keys are read once, by `SigningKey`.
    signer_factory: |algorithm, key: &EncodingKey| {
        let secret = (key.family() == AlgorithmFamily::Hmac).then(|| key.as_bytes());
        Ok(Box::new(Hmac::new(*algorithm, secret)?))
    },
    verifier_factory: |algorithm, key: &DecodingKey| match (key.family(), algorithm.family()) {
        (AlgorithmFamily::Hmac, AlgorithmFamily::Hmac) => {
            Ok(Box::new(Hmac::new(*algorithm, Some(key.try_get_as_bytes()?))?))
        }
        (of_key, of_token) if of_key == of_token => Ok(Box::new(PublicKey { algorithm: *algorithm, key: key.clone() })),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
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
        let hash = hash(algorithm).ok_or(ErrorKind::InvalidAlgorithm)?;
        let secret = secret.ok_or(ErrorKind::InvalidKeyFormat)?;
        Ok(Self { algorithm, key: hmac::Key::new(hash, secret) })
    }
}

fn hash(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::HS256 => Some(hmac::HMAC_SHA256),
        Algorithm::HS384 => Some(hmac::HMAC_SHA384),
        Algorithm::HS512 => Some(hmac::HMAC_SHA512),
        _ => None,
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

/// A public key of any kind.
struct PublicKey {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Verifier<Vec<u8>> for PublicKey {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        let checked = match (self.key.kind(), self.algorithm) {
            (DecodingKeyKind::RsaModulusExponent { n, e }, algorithm) => rsa(algorithm).map(|(how, _)| {
                RsaPublicKeyComponents { n: n.as_slice(), e: e.as_slice() }.verify(how, message, signature)
            }),
            (DecodingKeyKind::SecretOrDer(point), algorithm) => {
                let how: Option<&'static dyn VerificationAlgorithm> = match algorithm {
                    Algorithm::ES256 => Some(&ECDSA_P256_SHA256_FIXED),
                    Algorithm::ES384 => Some(&ECDSA_P384_SHA384_FIXED),
                    Algorithm::EdDSA => Some(&ED25519),
                    _ => None,
                };
                how.map(|how| UnparsedPublicKey::new(how, point).verify(message, signature))
            }
        };
        checked.and_then(std::result::Result::ok).ok_or_else(Error::new)
    }
}

impl JwtVerifier for PublicKey {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

/// How RSA is verified and signed by an algorithm.
fn rsa(algorithm: Algorithm) -> Option<(&'static RsaParameters, &'static dyn RsaEncoding)> {
    match algorithm {
        Algorithm::RS256 => Some((&RSA_PKCS1_2048_8192_SHA256, &RSA_PKCS1_SHA256)),
        Algorithm::RS384 => Some((&RSA_PKCS1_2048_8192_SHA384, &RSA_PKCS1_SHA384)),
        Algorithm::RS512 => Some((&RSA_PKCS1_2048_8192_SHA512, &RSA_PKCS1_SHA512)),
        Algorithm::PS256 => Some((&RSA_PSS_2048_8192_SHA256, &RSA_PSS_SHA256)),
        Algorithm::PS384 => Some((&RSA_PSS_2048_8192_SHA384, &RSA_PSS_SHA384)),
        Algorithm::PS512 => Some((&RSA_PSS_2048_8192_SHA512, &RSA_PSS_SHA512)),
        _ => None,
    }
}

/// A secret or private key that signs by one algorithm. It is never printed.
pub(crate) struct SigningKey {
    algorithm: Algorithm,
    pair: Pair,
}

enum Pair {
    Secret(hmac::Key),
    Rsa(Box<RsaKeyPair>, &'static dyn RsaEncoding),
    Ecdsa(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl SigningKey {
    /// A secret of HS256, HS384 or HS512.
    pub fn secret(algorithm: Algorithm, secret: &[u8]) -> Option<Self> {
        Some(Self { algorithm, pair: Pair::Secret(hmac::Key::new(hash(algorithm)?, secret)) })
    }

    /// A key of RS256 and its like.
    pub fn rsa(algorithm: Algorithm, pair: RsaKeyPair) -> Option<Self> {
        Some(Self { algorithm, pair: Pair::Rsa(Box::new(pair), rsa(algorithm)?.1) })
    }

    /// A key of ES256 or ES384; the pair knows its curve.
    pub fn ecdsa(algorithm: Algorithm, pair: EcdsaKeyPair) -> Self {
        Self { algorithm, pair: Pair::Ecdsa(Box::new(pair)) }
    }

    /// A key of EdDSA.
    pub fn ed25519(pair: Ed25519KeyPair) -> Self {
        Self { algorithm: Algorithm::EdDSA, pair: Pair::Ed25519(Box::new(pair)) }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

impl Signer<Vec<u8>> for SigningKey {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, Error> {
        match &self.pair {
            Pair::Secret(secret) => Ok(hmac::sign(secret, message).as_ref().to_vec()),
            Pair::Rsa(pair, how) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(*how, &SystemRandom::new(), message, &mut signature).map_err(|_| Error::new())?;
                Ok(signature)
            }
            Pair::Ecdsa(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message).map_err(|_| Error::new())?;
                Ok(signature.as_ref().to_vec())
            }
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

impl JwtSigner for SigningKey {
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
