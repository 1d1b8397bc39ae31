//! Tokens and the keys that check them.

use std::sync::LazyLock;

use pregon::access::jwk;
use pregon::access::keys::{Key, Keys};
use pregon::access::token::{Parties, Tokens};
use pregon::clock::Timestamp;

const NOW: Timestamp = Timestamp(1_769_941_800_000_000);
const SECRET: &[u8] = b"a secret of more than thirty-two bytes";

static TOKENS: LazyLock<Tokens> = LazyLock::new(|| {
    // The public key of RFC 8037, whose private half is not among them.
    let set = br#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "e", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let mut keys = jwk::read(set).expect("a key of an RFC").keys;
    keys.push(Key::secret(SECRET));
    Tokens::of(Keys::of(keys).expect("keys"), Parties::default())
});

/// A token.
///
/// # Panics
/// One that nobody signed is taken.
pub fn tokens(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let taken = [
        TOKENS.verify_access(text, NOW).is_ok(),
        TOKENS.verify_refresh(text, NOW).is_ok(),
        TOKENS.verify_ticket(text, NOW).is_ok(),
    ];
    assert!(taken.iter().filter(|is_taken| **is_taken).count() <= 1, "a token is of one kind");
    // Header and claims as they come, rightly signed: the fuzzer cannot sign.
    let Some((header, claims)) = text.split_once('.') else { return };
    let message = format!("{}.{}", encoded(header), encoded(claims));
    let signature = sign(&message);
    let signed = format!("{message}.{signature}");
    let _ = TOKENS.verify_access(&signed, NOW);
    let _ = TOKENS.verify_refresh(&signed, NOW);
    let _ = TOKENS.verify_ticket(&signed, NOW);
}

fn encoded(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
}

/// With the secret.
fn sign(message: &str) -> String {
    use base64::Engine;
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET);
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, message.as_bytes()))
}

/// A file of keys.
///
/// # Panics
/// A key that came out does not check what it signs, or is weaker than it may be.
pub fn keys(data: &[u8]) {
    let Ok(read) = jwk::read(data) else { return };
    let Ok(keys) = Keys::of(read.keys) else { return };
    let tokens = Tokens::of(keys, Parties::default());
    let user = "c29e1460-2438-4c40-a229-7c210c701b1c".parse().expect("an id");
    let token = tokens.issue_access(user, NOW);
    assert!(tokens.verify_access(&token, NOW).is_ok(), "{:?}", tokens.keys());
}
