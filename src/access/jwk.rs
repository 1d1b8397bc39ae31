//! Reads keys from a JSON Web Key Set (RFC 7517), public ones and private ones.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use curve25519_dalek::edwards::CompressedEdwardsY;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use ring::agreement;
use ring::rand::{SecureRandom, SystemRandom};
use ring::rsa::{KeyPairComponents, PublicKeyComponents};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair, RsaKeyPair,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::access::crypto::SigningKey;
use crate::access::keys::Key;
use crate::limits::{KEYS_MAX, KID_BYTES_MAX};

/// The bits of an RSA modulus: what RFC 7518 §3.3 demands, and what ring takes.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// What a point of a curve begins with if both coordinates follow (SEC 1 §2.3.3).
const UNCOMPRESSED: u8 = 4;

/// A key set's keys, in its order.
#[derive(Debug)]
pub struct KeySet {
    /// Those that can be used here.
    pub keys: Vec<Key>,
    /// Which were left out, and why: RFC 7517 §5 wants unknown ones passed over. Each in a few words, without the key.
    pub left_out: Vec<String>,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

/// A key as RFC 7517 §4 and RFC 7518 §6 write it; members that are not known are passed over.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
    d: Option<String>,
    p: Option<String>,
    q: Option<String>,
    dp: Option<String>,
    dq: Option<String>,
    qi: Option<String>,
}

/// What becomes of one key.
enum Outcome {
    Use(Box<Key>),
    LeaveOut(String),
}

/// Reads a set. What is wrong with a key of a known kind makes the whole set wrong, so that nobody misses it.
///
/// # Errors
/// What is wrong, without the key itself. The sentence goes on after "it …" or a key's name.
pub fn read(json: &[u8]) -> Result<KeySet, String> {
    // The parser's message may quote the text, which holds secrets.
    let set: Set = serde_json::from_slice(json)
        .map_err(|error| format!("it is not {{\"keys\": [...]}} in JSON (line {})", error.line()))?;
    if set.keys.len() > KEYS_MAX {
        return Err(format!("it has {} keys, but may have {KEYS_MAX}", set.keys.len()));
    }
    let mut read = KeySet { keys: Vec::new(), left_out: Vec::new() };
    for (number, value) in (1..).zip(set.keys) {
        let jwk = serde_json::from_value::<Jwk>(value)
            .map_err(|_| format!("key {number} has no kty, or a member that is no text"))?;
        let name = match &jwk.kid {
            Some(kid) if kid.is_empty() || kid.len() > KID_BYTES_MAX => {
                return Err(format!(
                    "key {number} has a kid of {} bytes, but it may have 1 to {KID_BYTES_MAX}",
                    kid.len()
                ));
            }
            Some(kid) => format!("key {number} ({kid:?})"),
            None => format!("key {number}"),
        };
        match key(jwk).map_err(|why| format!("{name}: {why}"))? {
            Outcome::Use(key) => read.keys.push(*key),
            Outcome::LeaveOut(why) => read.left_out.push(format!("{name}: {why}")),
        }
    }
    Ok(read)
}

fn key(jwk: Jwk) -> Result<Outcome, String> {
    if jwk.usage.as_ref().is_some_and(|usage| usage != "sig") {
        return Ok(Outcome::LeaveOut("its use is not sig".to_owned()));
    }
    let may = |what: &str| jwk.key_ops.as_ref().is_none_or(|all| all.iter().any(|one| one == what));
    let (may_sign, may_verify) = (may("sign"), may("verify"));
    if !may_sign && !may_verify {
        return Ok(Outcome::LeaveOut("its key_ops have neither sign nor verify".to_owned()));
    }
    let Some(usual) = usual_algorithm(&jwk) else {
        return Ok(Outcome::LeaveOut("its kty or crv is not known here".to_owned()));
    };
    let algorithm = match jwk.alg.as_deref().map(str::parse::<Algorithm>) {
        None => usual,
        Some(Ok(named)) => named,
        Some(Err(_)) => return Ok(Outcome::LeaveOut("its alg is none that signs tokens".to_owned())),
    };
    let is_of_curve = !matches!(usual, Algorithm::ES256 | Algorithm::ES384) || algorithm == usual;
    if algorithm.family() != usual.family() || !is_of_curve {
        return Err("its alg is not one of its kty and crv".to_owned());
    }
    let (checks, signs) = match usual.family() {
        AlgorithmFamily::Hmac => secret(&jwk, algorithm)?,
        AlgorithmFamily::Rsa => rsa(&jwk, algorithm)?,
        AlgorithmFamily::Ec => elliptic(&jwk, algorithm)?,
        AlgorithmFamily::Ed => edwards(&jwk)?,
    };
    Ok(Outcome::Use(Box::new(Key::new(jwk.kid, algorithm, checks, signs.filter(|_| may_sign))?)))
}

/// The algorithm of a key that names none. Keys of one kind are for one algorithm, except RSA's and secrets: most are for the
/// first of its kind.
fn usual_algorithm(jwk: &Jwk) -> Option<Algorithm> {
    match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("oct", _) => Some(Algorithm::HS256),
        ("RSA", _) => Some(Algorithm::RS256),
        ("EC", Some("P-256")) => Some(Algorithm::ES256),
        ("EC", Some("P-384")) => Some(Algorithm::ES384),
        ("OKP", Some("Ed25519")) => Some(Algorithm::EdDSA),
        _ => None,
    }
}

type Halves = (DecodingKey, Option<SigningKey>);

/// RFC 7518 §3.2: a secret is at least as long as the hash.
fn secret(jwk: &Jwk, algorithm: Algorithm) -> Result<Halves, String> {
    let secret = bytes("k", jwk.k.as_ref())?;
    let bytes_min = match algorithm {
        Algorithm::HS384 => 48,
        Algorithm::HS512 => 64,
        _ => 32,
    };
    if secret.len() < bytes_min {
        return Err(format!("its secret has {} bytes, but {algorithm:?} needs {bytes_min}", secret.len()));
    }
    Ok((DecodingKey::from_secret(&secret), SigningKey::secret(algorithm, &secret)))
}

fn rsa(jwk: &Jwk, algorithm: Algorithm) -> Result<Halves, String> {
    let (n, e) = (number("n", jwk.n.as_ref())?, number("e", jwk.e.as_ref())?);
    let bits = n.len() * 8 - n.first().map_or(0, |first| first.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) {
        return Err(format!("its modulus has {bits} bits, but must have 2048 to 8192"));
    }
    // Small and even exponents are weak or a fault; 65537 is what nearly all keys have, and ring takes 33 bits.
    let exponent = e.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    if e.len() > 4 || exponent < 65_537 || exponent % 2 == 0 {
        return Err("its exponent is not 65537 or an odd number above it, of at most 4 bytes".to_owned());
    }
    let signs = match &jwk.d {
        None => None,
        Some(_) => {
            let part = |name, text: &Option<String>| number(name, text.as_ref());
            let components = KeyPairComponents {
                public_key: PublicKeyComponents { n: n.as_slice(), e: e.as_slice() },
                d: part("d", &jwk.d)?,
                p: part("p", &jwk.p)?,
                q: part("q", &jwk.q)?,
                dP: part("dp", &jwk.dp)?,
                dQ: part("dq", &jwk.dq)?,
                qInv: part("qi", &jwk.qi)?,
            };
            let pair = RsaKeyPair::from_components(&components)
                .map_err(|why| format!("its private half cannot be used to sign ({why}); up to 4096 bits can"))?;
            SigningKey::rsa(algorithm, pair)
        }
    };
    Ok((DecodingKey::from_rsa_raw_components(&n, &e), signs))
}

/// How a curve signs, and the bytes of its numbers.
fn curve(algorithm: Algorithm) -> (&'static EcdsaSigningAlgorithm, usize) {
    match algorithm {
        Algorithm::ES384 => (&ECDSA_P384_SHA384_FIXED_SIGNING, 48),
        _ => (&ECDSA_P256_SHA256_FIXED_SIGNING, 32),
    }
}

/// What to do about a public key that is none.
const MEND: &str = "copy the key again from where it was made, or have a new one made (pregon keys add)";

/// Is a point on its curve? A key that is not checks nothing, and nobody would hear of it (RFC 7518 §6.2.2 leaves it to the reader;
/// SEC 1 §3.2.2.1 says how).
fn is_on_curve(algorithm: Algorithm, point: &[u8]) -> Result<bool, String> {
    let curve = if algorithm == Algorithm::ES384 { &agreement::ECDH_P384 } else { &agreement::ECDH_P256 };
    // ring looks at a public key in full where two agree on a secret; the secret is of no use here.
    let own = agreement::EphemeralPrivateKey::generate(curve, &SystemRandom::new())
        .map_err(|_| "it could not be checked, for the system gives no random numbers: try again".to_owned())?;
    Ok(agreement::agree_ephemeral(own, &agreement::UnparsedPublicKey::new(curve, point), |_| ()).is_ok())
}

fn elliptic(jwk: &Jwk, algorithm: Algorithm) -> Result<Halves, String> {
    let (how, length) = curve(algorithm);
    let part = |name, text: &Option<String>| sized(name, text.as_ref(), length);
    let point = [vec![UNCOMPRESSED], part("x", &jwk.x)?, part("y", &jwk.y)?].concat();
    let signs = match &jwk.d {
        None => None,
        Some(_) => {
            let pair =
                EcdsaKeyPair::from_private_key_and_public_key(how, &part("d", &jwk.d)?, &point, &SystemRandom::new())
                    .map_err(|why| format!("its d does not fit its x and y ({why})"))?;
            Some(SigningKey::ecdsa(algorithm, pair))
        }
    };
    if !is_on_curve(algorithm, &point)? {
        return Err(format!("its x and y are no point of its curve: {MEND}"));
    }
    Ok((DecodingKey::from_ec_der(&point), signs))
}

/// RFC 8037 §2.
fn edwards(jwk: &Jwk) -> Result<Halves, String> {
    let part = |name, text: &Option<String>| sized(name, text.as_ref(), 32);
    let public = part("x", &jwk.x)?;
    let signs = match &jwk.d {
        None => None,
        Some(_) => {
            let pair = Ed25519KeyPair::from_seed_and_public_key(&part("d", &jwk.d)?, &public)
                .map_err(|why| format!("its d does not fit its x ({why})"))?;
            Some(SigningKey::ed25519(pair))
        }
    };
    // RFC 8032 §5.1.3. Points of a small order are refused, too: almost anything would be a signature of theirs.
    let point = CompressedEdwardsY::from_slice(&public).ok().and_then(|point| point.decompress());
    if point.is_none_or(|point| point.is_small_order()) {
        return Err(format!("its x is no public key of its curve: {MEND}"));
    }
    Ok((DecodingKey::from_ed_der(&public), signs))
}

fn bytes(name: &str, text: Option<&String>) -> Result<Vec<u8>, String> {
    let text = text.ok_or_else(|| format!("it has no {name}"))?;
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| format!("its {name} is not in base64url"))
}

fn sized(name: &str, text: Option<&String>, length: usize) -> Result<Vec<u8>, String> {
    let bytes = bytes(name, text)?;
    if bytes.len() != length {
        return Err(format!("its {name} has {} bytes, but must have {length}", bytes.len()));
    }
    Ok(bytes)
}

/// A number without leading zeros, which some programs write.
fn number(name: &str, text: Option<&String>) -> Result<Vec<u8>, String> {
    let bytes = bytes(name, text)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    Ok(bytes[zeros..].to_vec())
}

/// A new key that signs, in JSON; `None` for algorithms whose keys are not made here.
pub fn make(algorithm: Algorithm, kid: &str) -> Option<Value> {
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let mut jwk = match algorithm {
        Algorithm::HS256 => json!({"kty": "oct", "k": text(&random()?)}),
        Algorithm::EdDSA => {
            let seed = random()?;
            let pair = Ed25519KeyPair::from_seed_unchecked(&seed).ok()?;
            json!({"kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref()), "d": text(&seed)})
        }
        Algorithm::ES256 | Algorithm::ES384 => {
            let (how, length) = curve(algorithm);
            let random = SystemRandom::new();
            let document = EcdsaKeyPair::generate_pkcs8(how, &random).ok()?;
            let pair = EcdsaKeyPair::from_pkcs8(how, document.as_ref(), &random).ok()?;
            let point = pair.public_key().as_ref();
            // The document has the private number somewhere; only the right one fits the point.
            let fits = |d: &&[u8]| EcdsaKeyPair::from_private_key_and_public_key(how, d, point, &random).is_ok();
            let d = document.as_ref().windows(length).find(fits)?;
            let (x, y) = point.strip_prefix(&[UNCOMPRESSED])?.split_at(length);
            let name = if length == 48 { "P-384" } else { "P-256" };
            json!({"kty": "EC", "crv": name, "x": text(x), "y": text(y), "d": text(d)})
        }
        _ => return None,
    };
    let common = json!({"kid": kid, "use": "sig", "alg": algorithm});
    jwk.as_object_mut()?.extend(common.as_object()?.clone());
    Some(jwk)
}

fn random() -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(bytes)
}

/// The half of a key that everybody may know; `None` if it is a secret.
pub fn public_half(jwk: &Value) -> Option<Value> {
    /// The members that RFC 7518 §6 calls public, and what says how to use them.
    const PUBLIC: [&str; 9] = ["kty", "kid", "use", "alg", "crv", "x", "y", "n", "e"];
    let members = jwk.as_object()?;
    let kept = PUBLIC.iter().filter_map(|name| members.get_key_value(*name));
    (members.get("kty")? != "oct").then(|| kept.map(|(name, value)| (name.clone(), value.clone())).collect())
}
