//! The keys of tokens: each is found by its name and has one algorithm; one of them signs.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto;
use jsonwebtoken::signature::Signer;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::{Deserialize, Serialize};

use crate::access::crypto::SigningKey;

/// A key that checks tokens, and may sign them.
pub struct Key {
    /// Its name in the header of tokens (`kid`, RFC 7515 §4.1.4).
    kid: Option<String>,
    algorithm: Algorithm,
    checks: DecodingKey,
    signs: Option<SigningKey>,
    /// The encoded header of tokens that it signs.
    header: String,
}

impl Key {
    /// A key and its public half.
    ///
    /// # Errors
    /// The halves do not belong together.
    pub(crate) fn new(
        kid: Option<String>,
        algorithm: Algorithm,
        checks: DecodingKey,
        signs: Option<SigningKey>,
    ) -> Result<Self, &'static str> {
        crate::access::crypto::install();
        let header = NewHeader { alg: algorithm, typ: "JWT", kid: kid.as_deref() };
        let header = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header).expect("a header is plain values"));
        let key = Self { kid, algorithm, checks, signs, header };
        if key.signs.is_some() {
            let signature = key.sign(b"a trial").ok_or("its private half cannot sign")?;
            if !key.fits(b"a trial", &signature) {
                return Err("its private and its public half do not belong together");
            }
        }
        Ok(key)
    }

    /// A secret for HS256. Nothing names it.
    pub fn secret(secret: &[u8]) -> Self {
        let signs = SigningKey::secret(Algorithm::HS256, secret);
        Self::new(None, Algorithm::HS256, DecodingKey::from_secret(secret), signs).expect("any bytes are a secret")
    }

    /// Its name.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The one algorithm that it is for.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Can it sign?
    pub fn can_sign(&self) -> bool {
        self.signs.is_some()
    }

    /// The encoded header of tokens that it signs.
    pub(crate) fn header(&self) -> &str {
        &self.header
    }

    /// The encoded signature; `None` if it cannot sign.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<String> {
        let signature = self.signs.as_ref()?.try_sign(message).ok()?;
        Some(URL_SAFE_NO_PAD.encode(signature))
    }

    /// Is this the encoded signature of the message?
    pub(crate) fn fits(&self, message: &[u8], signature: &str) -> bool {
        matches!(crypto::verify(signature, message, &self.checks, self.algorithm), Ok(true))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?}, {:?})", self.kid, self.algorithm)
    }
}

/// The header of a token that is signed here.
#[derive(Serialize)]
struct NewHeader<'a> {
    alg: Algorithm,
    typ: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

/// What counts of a token's header. Where it says what key checks it (`jwk`, `jku`, `x5u`, `x5c`) is not looked at.
#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow)]
    kid: Option<Cow<'a, str>>,
    /// Demands extensions that are not known here (RFC 7515 §4.1.11).
    crit: Option<serde::de::IgnoredAny>,
}

/// Why a set of keys is none to work with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeysError {
    /// Two keys have this name, or none: which one a token means is not said.
    Twice(Option<String>),
    /// None of them can sign.
    NoneSigns,
}

impl fmt::Display for KeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice(Some(kid)) => write!(f, "two of its keys have the kid {kid:?}: give one of them another"),
            Self::Twice(None) => f.write_str(
                "two keys have no kid, the secret (PREGON_JWT_SECRET) counted: give each but one a kid, or remove the secret",
            ),
            Self::NoneSigns => f.write_str(
                "none of its keys can sign: add a private key (pregon keys add), or set PREGON_JWT_SECRET, by which tokens are \
                 signed then",
            ),
        }
    }
}

/// All keys that count at one time.
#[derive(Debug)]
pub struct Keys {
    keys: Vec<Key>,
    by_kid: HashMap<Box<str>, usize>,
    unnamed: Option<usize>,
    /// The first that can sign.
    signer: usize,
}

impl Keys {
    /// Keys in the order in which they are wanted for signing.
    ///
    /// # Errors
    /// Which key a token means must be clear, and one of them must sign.
    pub fn of(keys: Vec<Key>) -> Result<Self, KeysError> {
        let mut by_kid = HashMap::new();
        let mut unnamed = None;
        for (place, key) in keys.iter().enumerate() {
            let before = match &key.kid {
                Some(kid) => by_kid.insert(kid.as_str().into(), place),
                None => unnamed.replace(place),
            };
            if before.is_some() {
                return Err(KeysError::Twice(key.kid.clone()));
            }
        }
        let signer = keys.iter().position(Key::can_sign).ok_or(KeysError::NoneSigns)?;
        Ok(Self { keys, by_kid, unnamed, signer })
    }

    /// One secret for everything.
    pub fn secret(secret: &[u8]) -> Self {
        Self { keys: vec![Key::secret(secret)], by_kid: HashMap::new(), unnamed: Some(0), signer: 0 }
    }

    /// All of them.
    pub fn all(&self) -> &[Key] {
        &self.keys
    }

    /// The one that signs.
    pub fn signer(&self) -> &Key {
        &self.keys[self.signer]
    }

    /// The key that a token's encoded header means, if the header names that key's algorithm.
    ///
    /// A header without a name means the key without one. Where no key has a name, names mean nothing.
    pub(crate) fn meant_by(&self, header: &str) -> Option<&Key> {
        let signer = self.signer();
        if header == signer.header {
            return Some(signer);
        }
        let json = URL_SAFE_NO_PAD.decode(header).ok()?;
        // serde would read an array as the fields in order.
        if !json.trim_ascii_start().starts_with(b"{") {
            return None;
        }
        let header: Header<'_> = serde_json::from_slice(&json).ok()?;
        let place = match &header.kid {
            Some(kid) if !self.by_kid.is_empty() => self.by_kid.get(&**kid).copied(),
            _ => self.unnamed,
        };
        let key = &self.keys[place?];
        (header.crit.is_none() && header.alg.parse() == Ok(key.algorithm)).then_some(key)
    }
}

#[cfg(test)]
mod tests;
