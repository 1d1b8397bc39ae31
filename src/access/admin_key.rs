//! The key by which operators are known, compared in constant time.

use ring::hmac;

/// The key's tag under a key of this process, so that neither its length nor its bytes decide how long a comparison takes.
pub struct AdminKey {
    own: hmac::Key,
    tag: hmac::Tag,
}

impl AdminKey {
    /// The right key.
    pub fn new(key: &[u8]) -> Self {
        let own = hmac::Key::new(hmac::HMAC_SHA256, &rand::random::<[u8; 32]>());
        let tag = hmac::sign(&own, key);
        Self { own, tag }
    }

    /// Is this `Authorization` header `Bearer` with the right key?
    pub fn opens(&self, authorization: Option<&[u8]>) -> bool {
        let given = authorization.and_then(|line| line.strip_prefix(b"Bearer ")).unwrap_or_default();
        // `verify` compares in constant time.
        hmac::verify(&self.own, given, self.tag.as_ref()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_key_opens() {
        let key = AdminKey::new(b"the operators' key");
        assert!(key.opens(Some(b"Bearer the operators' key")));
        for wrong in [
            "",
            "Bearer ",
            "Bearer the operators' ke",
            "Bearer the operators' key ",
            "bearer the operators' key",
            "the operators' key",
        ] {
            assert!(!key.opens(Some(wrong.as_bytes())), "{wrong}");
        }
        assert!(!key.opens(None));
    }
}
