//! How this server shows push services who it is (RFC 8292): its key, its contact, and the signature of a request.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::json;
use url::{Host, Url};
use web_push_native::p256::SecretKey;
use web_push_native::p256::elliptic_curve::sec1::ToEncodedPoint;

use crate::clock::Timestamp;
use crate::limits::{PUSH_TOKEN_SECONDS, PUSH_TOKENS_MAX};

/// RFC 8292 §2: a signature ends within 24 hours.
const EXPIRES_SECONDS: i64 = 24 * 3600 - 60;

/// The private key: a number of P-256.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey([u8; 32]);

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}

/// A text that is no private key of P-256 in base64url.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadKey;

impl FromStr for PrivateKey {
    type Err = BadKey;

    /// 32 bytes as base64url, as the usual tools print them.
    fn from_str(text: &str) -> Result<Self, BadKey> {
        let bytes = URL_SAFE_NO_PAD.decode(text.trim().trim_end_matches('=')).map_err(|_| BadKey)?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| BadKey)?;
        SecretKey::from_slice(&bytes).map_err(|_| BadKey)?;
        Ok(Self(bytes))
    }
}

impl PrivateKey {
    /// A new one.
    pub fn fresh() -> Self {
        loop {
            // Of 2^32 numbers one is none of the curve's.
            let bytes: [u8; 32] = rand::random();
            if SecretKey::from_slice(&bytes).is_ok() {
                return Self(bytes);
            }
        }
    }

    /// As [`FromStr`] reads it.
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

/// Whom push services may write to: a `mailto:` or `https:` address that can be real.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact(String);

/// Why a contact is none. Apple refuses such contacts with 403 BadJwtToken, so only iPhones would get nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadContact;

impl FromStr for Contact {
    type Err = BadContact;

    fn from_str(text: &str) -> Result<Self, BadContact> {
        let host = match text.strip_prefix("mailto:") {
            Some(address) => {
                let (name, host) = address.split_once('@').ok_or(BadContact)?;
                let is_odd = |letter: char| letter.is_whitespace() || letter.is_control() || "@<>,;?".contains(letter);
                if name.is_empty() || address.split('@').count() != 2 || name.contains(is_odd) {
                    return Err(BadContact);
                }
                Host::parse(host).map_err(|_| BadContact)?
            }
            None => {
                let url = Url::parse(text).map_err(|_| BadContact)?;
                let host = url.host().filter(|_| url.scheme() == "https").ok_or(BadContact)?;
                host.to_owned()
            }
        };
        let Host::Domain(name) = host else { return Err(BadContact) };
        let last = name.rsplit('.').next().unwrap_or_default();
        // RFC 6761 and RFC 6762: names that nobody outside can have.
        let is_real =
            name.contains('.') && !["localhost", "local", "invalid", "test", "internal", "lan"].contains(&last);
        if is_real { Ok(Self(text.to_owned())) } else { Err(BadContact) }
    }
}

/// Signs requests to push services.
pub struct Vapid {
    pair: EcdsaKeyPair,
    public: String,
    contact: Contact,
    /// By push service: until when it is used, and the header's value.
    known: Mutex<HashMap<String, (Timestamp, String)>>,
    random: SystemRandom,
}

impl fmt::Debug for Vapid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vapid").field("public", &self.public).finish_non_exhaustive()
    }
}

impl Vapid {
    /// Signs with this key, as this contact.
    ///
    /// # Errors
    /// The key is none: never, for one that was read.
    pub fn new(key: &PrivateKey, contact: Contact) -> Result<Self, BadKey> {
        let secret = SecretKey::from_slice(&key.0).map_err(|_| BadKey)?;
        let point = secret.public_key().to_encoded_point(false);
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &key.0,
            point.as_bytes(),
            &random,
        );
        let public = URL_SAFE_NO_PAD.encode(point.as_bytes());
        Ok(Self { pair: pair.map_err(|_| BadKey)?, public, contact, known: Mutex::default(), random })
    }

    /// The public key as pages give it to browsers: `applicationServerKey`, base64url.
    pub fn public(&self) -> &str {
        &self.public
    }

    /// The `Authorization` of a request to a push service (RFC 8292 §3); `None` if the system has no randomness.
    pub(super) fn authorization(&self, origin: &str, now: Timestamp) -> Option<String> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, header)) = known.get(origin).filter(|(until, _)| *until > now) {
            return Some(header.clone());
        }
        let seconds = now.0.div_euclid(1_000_000) + EXPIRES_SECONDS;
        let claims = json!({"aud": origin, "exp": seconds, "sub": self.contact.0});
        let head = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"ES256"}"#);
        let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.pair.sign(&self.random, signed.as_bytes()).ok()?;
        let header = format!("vapid t={signed}.{}, k={}", URL_SAFE_NO_PAD.encode(signature), self.public);
        if known.len() >= PUSH_TOKENS_MAX {
            known.clear();
        }
        known.insert(origin.to_owned(), (now.plus_seconds(PUSH_TOKEN_SECONDS), header.clone()));
        Some(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    #[test]
    fn a_contact_is_one_that_apple_takes() {
        for good in ["mailto:ops@pregon.org", "https://pregon.org/contact", "mailto:a+b@sub.pregon.co"] {
            assert!(good.parse::<Contact>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "ops@pregon.org",
            "mailto:ops",
            "mailto:@pregon.org",
            "mailto: ops@pregon.org",
            "mailto:<ops@pregon.org>",
            "mailto:a@b@pregon.org",
            "mailto:ops@localhost",
            "mailto:ops@pregon.local",
            "mailto:ops@pregon.invalid",
            "mailto:ops@127.0.0.1",
            "https://localhost/",
            "https://chat.localhost/",
            "https://10.0.0.1/",
            "http://pregon.org/",
            "https://[::1]/",
        ] {
            assert_eq!(bad.parse::<Contact>(), Err(BadContact), "{bad}");
        }
    }

    #[test]
    fn a_key_is_read_as_it_is_written() {
        let key = PrivateKey::fresh();
        assert_eq!(key.text().parse(), Ok(key.clone()));
        assert_eq!(format!("{}=", key.text()).parse(), Ok(key));
        let zero = URL_SAFE_NO_PAD.encode([0; 32]);
        for bad in ["", "abc", &zero, &URL_SAFE_NO_PAD.encode([255; 32])] {
            assert_eq!(bad.parse::<PrivateKey>(), Err(BadKey), "{bad}");
        }
        // RFC 8291, appendix A.
        let key: PrivateKey = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw".parse().unwrap();
        let vapid = Vapid::new(&key, "mailto:ops@pregon.org".parse().unwrap()).unwrap();
        assert_eq!(
            vapid.public(),
            "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8"
        );
    }

    #[test]
    fn a_signature_says_for_whom_until_when_and_by_whom() {
        let vapid = Vapid::new(&PrivateKey::fresh(), "mailto:ops@pregon.org".parse().unwrap()).unwrap();
        let now = Timestamp(1_700_000_000_000_000);
        let header = vapid.authorization("https://push.example.org", now).unwrap();
        let (token, key) = header.strip_prefix("vapid t=").unwrap().split_once(", k=").unwrap();
        assert_eq!(key, vapid.public());
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let public = URL_SAFE_NO_PAD.decode(key).unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public).verify(signed.as_bytes(), &signature).unwrap();
        let claims = URL_SAFE_NO_PAD.decode(signed.split_once('.').unwrap().1).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["aud"], "https://push.example.org");
        assert_eq!(claims["sub"], "mailto:ops@pregon.org");
        let lasts = claims["exp"].as_i64().unwrap() - 1_700_000_000;
        assert!(lasts > PUSH_TOKEN_SECONDS && lasts < 24 * 3600, "{lasts}");
        assert_eq!(vapid.authorization("https://push.example.org", now.plus_seconds(3600)).unwrap(), header);
        let later = now.plus_seconds(PUSH_TOKEN_SECONDS + 1);
        assert_ne!(vapid.authorization("https://push.example.org", later).unwrap(), header);
        for number in 0..2 * PUSH_TOKENS_MAX {
            vapid.authorization(&format!("https://{number}.org"), now).unwrap();
        }
        assert!(vapid.known.lock().unwrap().len() <= PUSH_TOKENS_MAX);
    }
}
