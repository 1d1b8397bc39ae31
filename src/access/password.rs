//! Passwords as Django stores them, hashed off the async threads, a bounded number at a time.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::Rng;
use rand::distr::Alphanumeric;
use ring::pbkdf2;

use crate::access::client_address;
use crate::access::line::{Full, Line};
use crate::limits;
use crate::telemetry;

/// What Django 5.0 writes.
pub const ITERATIONS: u32 = 720_000;
/// Django's salt: 22 of 62 characters are 128 bits and more.
const SALT_CHARS: usize = 22;
const SCHEME: &str = "pbkdf2_sha256";

/// Django 5.0's list, without what is shorter than a password may be. Sorted, one a line, lower-case.
static COMMON: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("common_passwords.txt").lines().collect());

/// Why a new password is refused, in Django's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weakness {
    /// It is on the list.
    Common,
    /// Nothing but digits.
    Numeric,
}

impl Weakness {
    /// The text clients show.
    pub fn message(self) -> &'static str {
        match self {
            Self::Common => "Esta contraseña es demasiado común.",
            Self::Numeric => "Esta contraseña es completamente numérica.",
        }
    }
}

/// Everything that is wrong with a password of sufficient length.
pub fn weaknesses(password: &str) -> Vec<Weakness> {
    let common = COMMON.contains(password.trim().to_lowercase().as_str());
    let numeric = !password.is_empty() && password.chars().all(char::is_numeric);
    [(common, Weakness::Common), (numeric, Weakness::Numeric)]
        .into_iter()
        .filter_map(|(is_so, weakness)| is_so.then_some(weakness))
        .collect()
}

/// Too many are waiting for a hash already: come back in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

/// Computes hashes on blocking threads: `limits::HASHES_MAX` at a time, `limits::HASHES_WAITING_MAX` in line, in which
/// clients take turns.
#[derive(Debug, Clone)]
pub struct Hasher {
    line: Line<IpAddr>,
    iterations: u32,
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new(ITERATIONS)
    }
}

impl Hasher {
    /// New hashes get `iterations`; tests choose few.
    pub fn new(iterations: u32) -> Self {
        assert!(iterations > 0, "a hash has at least one iteration");
        Self { line: Line::new(limits::HASHES_MAX, limits::HASHES_WAITING_MAX), iterations }
    }

    /// Is `password` the one that `encoded` was made from? Without `encoded` (no such user) it takes as long and says no.
    ///
    /// # Errors
    /// The line is full.
    pub async fn verify(&self, client: Client, password: String, encoded: Option<String>) -> Result<bool, Busy> {
        let iterations = self.iterations;
        let work = move || match encoded {
            Some(encoded) => verify(&password, &encoded),
            None => {
                drop(encode(&password, iterations));
                false
            }
        };
        self.run(client, work).await
    }

    /// A new hash with a new salt.
    ///
    /// # Errors
    /// The line is full.
    pub async fn make(&self, client: Client, password: String) -> Result<String, Busy> {
        let iterations = self.iterations;
        self.run(client, move || encode(&password, iterations)).await
    }

    async fn run<T: Send + 'static>(
        &self,
        client: Client,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let client = client.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), client_address::site);
        let turn = self.line.turn(client).await.map_err(|Full| {
            telemetry::limit_hit("password hashes that wait", "-");
            Busy
        })?;
        // The turn goes with the work: a request that is given up does not make room for another before its hash ends.
        let handle = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(turn);
            result
        });
        handle.await.map_err(|_| Busy)
    }
}

/// Whose turn it is; nothing where the connection layer did not say.
type Client = Option<IpAddr>;

/// Blocks for as long as the hash takes.
pub fn encode(password: &str, iterations: u32) -> String {
    let salt: String = rand::rng().sample_iter(Alphanumeric).take(SALT_CHARS).map(char::from).collect();
    encode_with(password, &salt, NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN))
}

fn encode_with(password: &str, salt: &str, iterations: NonZeroU32) -> String {
    let mut hash = [0; ring::digest::SHA256_OUTPUT_LEN];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt.as_bytes(), password.as_bytes(), &mut hash);
    format!("{SCHEME}${iterations}${salt}${}", STANDARD.encode(hash))
}

/// Blocks for as long as the hash takes. The iterations are those of the string.
pub fn verify(password: &str, encoded: &str) -> bool {
    let (scheme, rest) = encoded.split_once('$').unwrap_or((encoded, ""));
    if scheme != SCHEME {
        if !scheme.starts_with('!') {
            let known = scheme.len() <= 32 && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            tracing::warn!(scheme = if known { scheme } else { "?" }, "password hash of a scheme that is not served");
        }
        return false;
    }
    matches(password, rest).unwrap_or(false)
}

/// `None`: what follows the scheme is no hash.
fn matches(password: &str, rest: &str) -> Option<bool> {
    let (iterations, rest) = rest.split_once('$')?;
    let (salt, hash) = rest.split_once('$')?;
    let (iterations, hash) = (iterations.parse().ok()?, STANDARD.decode(hash).ok()?);
    // A hash that was cut off would be easier to meet.
    if hash.len() != ring::digest::SHA256_OUTPUT_LEN {
        return None;
    }
    let verified = pbkdf2::verify(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt.as_bytes(), password.as_bytes(), &hash);
    Some(verified.is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with Python's `hashlib.pbkdf2_hmac`, as Django does.
    const VECTOR: &str = "pbkdf2_sha256$1000$V9oT0q1Qm2c7dXk3LsB8fE$lWbHSq9/DmqBW0GWZnmTrzMzMKnR+h2PKzS0YLq41Xs=";
    const VECTOR_FULL: &str =
        "pbkdf2_sha256$720000$aB3dE6gH9jK2mN5pQ8sT1v$rDJDdpHD90EiP5RNmGsIYxZhTC3x+Gr0SrEzu6BA9FQ=";

    #[test]
    fn hashes_of_python_are_ours() {
        assert!(verify("contraseña ñandú", VECTOR));
        assert!(!verify("contraseña nandu", VECTOR));
        assert!(verify("Secreta-123", VECTOR_FULL));
        let ours = encode_with("contraseña ñandú", "V9oT0q1Qm2c7dXk3LsB8fE", NonZeroU32::new(1000).unwrap());
        assert_eq!(ours, VECTOR);
    }

    #[test]
    fn a_new_hash_has_djangos_form() {
        let hash = encode("Secreta-123", 1000);
        let parts: Vec<_> = hash.split('$').collect();
        assert_eq!((parts[0], parts[1], parts[2].len(), parts[3].len()), (SCHEME, "1000", 22, 44));
        assert!(parts[2].bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert!(verify("Secreta-123", &hash) && !verify("secreta-123", &hash));
        assert_ne!(hash, encode("Secreta-123", 1000), "a new salt each time");
    }

    #[test]
    fn what_is_no_hash_of_ours_matches_nothing() {
        for bad in [
            "",
            "!",
            "!Vx0",
            "pbkdf2_sha256",
            "pbkdf2_sha256$0$salt$",
            "pbkdf2_sha256$x$salt$",
            "pbkdf2_sha256$1000",
            "pbkdf2_sha256$4000000000$salt$x",
            "pbkdf2_sha256$4294967296$salt$lWbHSq9/DmqBW0GWZnmTrzMzMKnR+h2PKzS0YLq41Xs=",
            "pbkdf2_sha256$1$salt$",
            "pbkdf2_sha1$1000$salt$x",
            "argon2$argon2id$v=19$m=102400,t=2,p=8$c2FsdA$aGFzaA",
            "plain",
        ] {
            assert!(!verify("", bad) && !verify("plain", bad), "{bad}");
        }
    }

    #[test]
    fn common_and_numeric_passwords_are_named() {
        assert_eq!(weaknesses("Password1"), [Weakness::Common]);
        assert_eq!(weaknesses("12345678"), [Weakness::Common, Weakness::Numeric]);
        assert_eq!(weaknesses("90817263549081"), [Weakness::Numeric]);
        assert_eq!(weaknesses("correcto caballo"), []);
        assert!(COMMON.len() > 8000);
    }

    #[tokio::test]
    async fn a_full_line_says_so_and_empties() {
        let hasher = Hasher::new(1);
        let held = [
            hasher.line.turn([1, 1, 1, 1].into()).await.unwrap(),
            hasher.line.turn([1, 1, 1, 1].into()).await.unwrap(),
        ];
        let client = |number: u8| Some(IpAddr::from([10, 0, 0, number]));
        let waiting: Vec<_> = (0..limits::HASHES_WAITING_MAX)
            .map(|number| {
                let (hasher, client) = (hasher.clone(), client(u8::try_from(number % 2).unwrap()));
                tokio::spawn(async move { hasher.make(client, "x".into()).await })
            })
            .collect();
        while hasher.line.waiting() < limits::HASHES_WAITING_MAX {
            tokio::task::yield_now().await;
        }
        assert_eq!(hasher.verify(client(1), "x".into(), None).await, Err(Busy), "one's own line is full");
        let other = tokio::spawn({
            let hasher = hasher.clone();
            async move { hasher.verify(Some([10, 0, 0, 2].into()), "x".into(), None).await }
        });
        waiting[0].abort();
        drop(held);
        assert_eq!(other.await.unwrap(), Ok(false), "another client finds room");
        let ends = futures_util::future::join_all(waiting).await;
        let made = ends.iter().filter(|end| matches!(end, Ok(Ok(_)))).count();
        assert!(made >= limits::HASHES_WAITING_MAX - 2, "{made}");
        assert_eq!(hasher.verify(client(3), "x".into(), None).await, Ok(false));
        assert_eq!(hasher.line.waiting(), 0);
    }
}
