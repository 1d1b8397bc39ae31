//! Access and refresh tokens, made and checked as SimpleJWT does.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::AlgorithmFamily;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::access::keys::Keys;
use crate::clock::Timestamp;
use crate::ids::{FamilyId, UserId};
use crate::limits;

/// A token that passed every check that needs no database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The token's user. Only the store knows whether the user exists and is active.
    pub user: UserId,
    /// The first second, since 1970, at which the token is no longer valid.
    pub expires: i64,
    /// The token's own id.
    pub jti: String,
    /// The login that the token descends from.
    pub family: FamilyId,
}

/// An access token and the refresh token that renews it.
#[derive(Clone, Serialize)]
pub struct Pair {
    /// Valid for the next 30 days.
    pub refresh: String,
    /// Valid for the next hour.
    pub access: String,
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pair(…)")
    }
}

/// Why a token is refused. The client's next step is always the same: log in or refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    /// It is not a token, has a wrong signature, or has expired.
    Invalid,
    /// A refresh token where an access token is needed, or the reverse.
    WrongType,
    /// No `token_type`.
    NoType,
    /// No `jti`.
    NoId,
    /// It has no valid `user_id`.
    NoUser,
}

impl TokenError {
    /// The text clients know.
    pub fn message(self) -> &'static str {
        match self {
            Self::Invalid => "El token es inválido o ha expirado",
            Self::WrongType => "El token tiene un tipo incorrecto",
            Self::NoType => "El token no tiene tipo",
            Self::NoId => "El token no tiene id",
            Self::NoUser => "El token no contenía identificación de usuario reconocible",
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for TokenError {}

/// The claims in the order in which SimpleJWT writes them.
#[derive(Serialize)]
struct NewClaims<'a> {
    token_type: &'a str,
    exp: i64,
    iat: i64,
    jti: String,
    user_id: UserId,
    family: FamilyId,
    /// Of a ticket: the end of the access token that it was made with.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
}

/// The claims that are checked. Numbers may have a fraction (RFC 7519 §2, NumericDate).
#[derive(Deserialize)]
struct Claims<'a> {
    #[serde(borrow)]
    token_type: Option<Cow<'a, str>>,
    exp: Option<f64>,
    nbf: Option<f64>,
    iat: Option<f64>,
    #[serde(borrow)]
    jti: Option<Cow<'a, str>>,
    user_id: Option<serde_json::Value>,
    family: Option<serde_json::Value>,
    until: Option<f64>,
    aud: Option<serde_json::Value>,
    iss: Option<serde_json::Value>,
}

/// Who tokens are for and from, if that is set: new ones say so, and those that do not are refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parties {
    /// `aud`, RFC 7519 §4.1.3: a text, or one of a list.
    pub audience: Option<String>,
    /// `iss`, §4.1.1.
    pub issuer: Option<String>,
}

/// Makes and checks tokens. What a token's header says chooses among the keys, but never a key's algorithm.
pub struct Tokens {
    keys: ArcSwap<Keys>,
    parties: Parties,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(…)")
    }
}

impl Tokens {
    /// With one secret for everything, used as it is, like Django's `JWT_SECRET_KEY`.
    pub fn new(secret: &[u8]) -> Self {
        Self::of(Keys::secret(secret), Parties::default())
    }

    /// With these keys.
    pub fn of(keys: Keys, parties: Parties) -> Self {
        Self { keys: ArcSwap::from_pointee(keys), parties }
    }

    /// The keys that count now.
    pub fn keys(&self) -> Arc<Keys> {
        self.keys.load_full()
    }

    /// Whether tokens have to say whom they are for.
    pub fn have_audience(&self) -> bool {
        self.parties.audience.is_some()
    }

    /// From now on other keys count. Open sockets stay until their tokens' times.
    pub fn replace(&self, keys: Keys) {
        self.keys.store(Arc::new(keys));
    }

    /// An access token of the usual lifetime.
    pub fn issue_access(&self, user: UserId, now: Timestamp) -> String {
        self.issue_access_for(user, now, limits::ACCESS_TOKEN_SECONDS)
    }

    /// An access token that lives `seconds`, for development and load tests.
    pub fn issue_access_for(&self, user: UserId, now: Timestamp, seconds: i64) -> String {
        let whose = Whose { user, family: FamilyId::begun(now) };
        self.sign("access", whose, now.seconds(), now.seconds().saturating_add(seconds))
    }

    /// The tokens of a login that begins now.
    pub fn issue_pair(&self, user: UserId, now: Timestamp) -> Pair {
        self.issue_pair_of(user, FamilyId::begun(now), now)
    }

    /// The tokens of a login that began earlier.
    pub fn issue_pair_of(&self, user: UserId, family: FamilyId, now: Timestamp) -> Pair {
        self.pair_since(Whose { user, family }, now, now.seconds())
    }

    /// New tokens for a checked refresh token. The access token keeps its `iat`, as in Django.
    pub fn renew(&self, refresh: &Refresh, now: Timestamp) -> Pair {
        let Access { user, family, .. } = refresh.token;
        self.pair_since(Whose { user, family }, now, refresh.issued)
    }

    /// Checks an access token. Called once for each request and connection.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn verify_access(&self, token: &str, now: Timestamp) -> Result<Access, TokenError> {
        self.verify(token, "access", now).map(|refresh| refresh.token)
    }

    /// Does checking this token take far longer than an HMAC (0.8 µs)? Signatures by pairs of keys do; the slowest, P-384, took 0.6 ms
    /// (docs/performance.md). Whether it is good does not count.
    pub fn is_costly(&self, token: &str) -> bool {
        let header = token.split_once('.').filter(|_| token.len() <= limits::TOKEN_BYTES_MAX).map(|(header, _)| header);
        let keys = self.keys.load();
        let key = header.and_then(|header| keys.meant_by(header));
        key.is_some_and(|key| key.algorithm().family() != AlgorithmFamily::Hmac)
    }

    /// A ticket for one socket of an access token's user, for browsers: it may be shown where a token should not be.
    pub fn issue_ticket(&self, access: &Access, now: Timestamp) -> String {
        let whose = Whose { user: access.user, family: access.family };
        let (begins, ends) = (now.seconds(), now.seconds().saturating_add(limits::TICKET_SECONDS));
        self.sign_until("ticket", whose, (begins, ends), Some(access.expires))
    }

    /// Checks a ticket. Only the store knows whether it was used.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn verify_ticket(&self, ticket: &str, now: Timestamp) -> Result<Ticket, TokenError> {
        let Refresh { token, until, .. } = self.verify(ticket, "ticket", now)?;
        let (ends, jti) = (token.expires, format!("ticket {}", token.jti));
        let expires = until.ok_or(TokenError::Invalid)?;
        Ok(Ticket { access: Access { expires, jti, ..token }, ends })
    }

    /// Checks a refresh token.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn verify_refresh(&self, token: &str, now: Timestamp) -> Result<Refresh, TokenError> {
        self.verify(token, "refresh", now)
    }

    fn pair_since(&self, whose: Whose, now: Timestamp, issued: i64) -> Pair {
        let seconds = now.seconds();
        Pair {
            refresh: self.sign("refresh", whose, seconds, seconds + limits::REFRESH_TOKEN_SECONDS),
            access: self.sign("access", whose, issued, seconds + limits::ACCESS_TOKEN_SECONDS),
        }
    }

    fn sign(&self, token_type: &str, whose: Whose, issued: i64, expires: i64) -> String {
        self.sign_until(token_type, whose, (issued, expires), None)
    }

    fn sign_until(&self, token_type: &str, whose: Whose, (issued, expires): (i64, i64), until: Option<i64>) -> String {
        let jti = Uuid::new_v4().simple().to_string();
        let Whose { user, family } = whose;
        let (aud, iss) = (self.parties.audience.as_deref(), self.parties.issuer.as_deref());
        let claims = NewClaims { token_type, exp: expires, iat: issued, jti, user_id: user, family, until, aud, iss };
        let keys = self.keys.load();
        let key = keys.signer();
        let mut token = String::with_capacity(384);
        token.push_str(key.header());
        token.push('.');
        let json = serde_json::to_vec(&claims).expect("claims are plain values");
        URL_SAFE_NO_PAD.encode_string(json, &mut token);
        let signature = key.sign(token.as_bytes()).expect("it signed when it was read");
        token.push('.');
        token.push_str(&signature);
        token
    }

    fn verify(&self, token: &str, token_type: &str, now: Timestamp) -> Result<Refresh, TokenError> {
        if token.len() > limits::TOKEN_BYTES_MAX {
            return Err(TokenError::Invalid);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Invalid)?;
        let (header, payload) = message.split_once('.').ok_or(TokenError::Invalid)?;
        let keys = self.keys.load();
        let key = keys.meant_by(header).ok_or(TokenError::Invalid)?;
        if !key.fits(message.as_bytes(), signature) {
            return Err(TokenError::Invalid);
        }
        let json = URL_SAFE_NO_PAD.decode(payload).map_err(|_| TokenError::Invalid)?;
        // serde would read an array as the claims in order.
        if !json.trim_ascii_start().starts_with(b"{") {
            return Err(TokenError::Invalid);
        }
        let claims: Claims<'_> = serde_json::from_slice(&json).map_err(|_| TokenError::Invalid)?;
        if !self.parties.are_those_of(&claims) {
            return Err(TokenError::Invalid);
        }
        check(&claims, token_type, now)
    }
}

impl Parties {
    fn are_those_of(&self, claims: &Claims<'_>) -> bool {
        let is = |found: &serde_json::Value, wanted: &String| found.as_str() == Some(wanted.as_str());
        let is_for = |wanted: &String| match &claims.aud {
            Some(serde_json::Value::Array(all)) => all.iter().any(|one| is(one, wanted)),
            Some(one) => is(one, wanted),
            None => false,
        };
        let is_from = |wanted: &String| claims.iss.as_ref().is_some_and(|found| is(found, wanted));
        self.audience.as_ref().is_none_or(is_for) && self.issuer.as_ref().is_none_or(is_from)
    }
}

/// The user and the login of a token.
#[derive(Clone, Copy)]
struct Whose {
    user: UserId,
    family: FamilyId,
}

/// A refresh token that passed the checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refresh {
    /// Its user, end and name.
    pub token: Access,
    /// Its `iat`, which access tokens renewed from it inherit.
    pub issued: i64,
    /// Of a ticket: the end of the access token that it was made with.
    until: Option<i64>,
}

/// A ticket that passed the checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The access token that it stands for, under the ticket's own name.
    pub access: Access,
    /// When the ticket itself ends, in seconds since 1970.
    pub ends: i64,
}

/// Checks in SimpleJWT's order, so that a token with two faults gets the same text.
fn check(claims: &Claims<'_>, token_type: &str, now: Timestamp) -> Result<Refresh, TokenError> {
    let seconds = now.seconds();
    let expires = whole(claims.exp).ok_or(TokenError::Invalid)?;
    let begins = optional(claims.nbf)?;
    let issued = optional(claims.iat)?;
    if expires <= seconds || begins.is_some_and(|begins| begins > seconds) {
        return Err(TokenError::Invalid);
    }
    let jti = claims.jti.as_deref().ok_or(TokenError::NoId)?;
    match claims.token_type.as_deref() {
        None => return Err(TokenError::NoType),
        Some(found) if found != token_type => return Err(TokenError::WrongType),
        Some(_) => {}
    }
    let user_id = claims.user_id.as_ref().and_then(serde_json::Value::as_str);
    let user = user_id.and_then(|text| text.parse().ok()).ok_or(TokenError::NoUser)?;
    let named = claims.family.as_ref().and_then(serde_json::Value::as_str).and_then(|text| text.parse().ok());
    // Tokens of Django and of older servers name no login. All tokens issued to a user within one second then count as
    // one login.
    let family = named.filter(FamilyId::is_known).unwrap_or_else(|| FamilyId::issued(issued.unwrap_or(0)));
    let token = Access { user, expires, jti: jti.to_owned(), family };
    let until = optional(claims.until)?;
    Ok(Refresh { token, issued: issued.unwrap_or(seconds), until })
}

/// A claim that may be missing, but must be a valid time if present.
fn optional(date: Option<f64>) -> Result<Option<i64>, TokenError> {
    date.map(|date| whole(Some(date)).ok_or(TokenError::Invalid)).transpose()
}

/// The whole second of a NumericDate, if it is in range.
fn whole(date: Option<f64>) -> Option<i64> {
    /// 2^53: an f64 holds every whole number below it exactly.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let date = date.filter(|date| date.is_finite() && date.abs() < EXACT)?;
    #[expect(clippy::cast_possible_truncation, reason = "finite and below 2^53")]
    Some(date.floor() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = "c29e1460-2438-4c40-a229-7c210c701b1c";
    const NOW: Timestamp = Timestamp(1_769_941_800_000_000);

    fn tokens() -> Tokens {
        Tokens::new(b"a secret of more than sixteen bytes")
    }

    fn signed(header: &str, claims: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = tokens().keys().signer().sign(message.as_bytes()).unwrap();
        format!("{message}.{signature}")
    }

    fn hs256(claims: &str) -> Result<Access, TokenError> {
        tokens().verify_access(&signed(r#"{"alg":"HS256","typ":"JWT"}"#, claims), NOW)
    }

    #[test]
    fn a_token_has_the_shape_of_simplejwt() {
        let user: UserId = USER.parse().unwrap();
        let pair = tokens().issue_pair(user, NOW);
        for (token, kind, life) in [(&pair.access, "access", 3600), (&pair.refresh, "refresh", 2_592_000)] {
            let parts: Vec<_> = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
            assert_eq!(parts[0], br#"{"alg":"HS256","typ":"JWT"}"#);
            let claims: serde_json::Value = serde_json::from_slice(&parts[1]).unwrap();
            let jti = claims["jti"].as_str().unwrap();
            assert!(jti.len() == 32 && jti.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
            let family: FamilyId = claims["family"].as_str().unwrap().parse().unwrap();
            assert_eq!((family.is_known(), family.began_ms()), (true, 1_769_941_800_000));
            let text = format!(
                r#"{{"token_type":"{kind}","exp":{},"iat":1769941800,"jti":"{jti}","user_id":"{USER}","family":"{family}"}}"#,
                1_769_941_800 + life
            );
            assert_eq!(String::from_utf8(parts[1].clone()).unwrap(), text);
        }
    }

    #[test]
    fn a_ticket_stands_for_its_access_token_and_for_no_other() {
        let user: UserId = USER.parse().unwrap();
        let token = tokens().issue_access(user, NOW);
        let access = tokens().verify_access(&token, NOW).unwrap();
        let ticket = tokens().issue_ticket(&access, NOW);
        let found = tokens().verify_ticket(&ticket, NOW).unwrap();
        assert_eq!((found.access.user, found.access.family), (access.user, access.family));
        assert_eq!((found.access.expires, found.ends), (access.expires, NOW.seconds() + limits::TICKET_SECONDS));
        let later = NOW.plus_seconds(limits::TICKET_SECONDS);
        assert_eq!(tokens().verify_ticket(&ticket, later), Err(TokenError::Invalid));
        assert_eq!(tokens().verify_access(&ticket, NOW), Err(TokenError::WrongType), "it opens nothing else");
        assert_eq!(tokens().verify_ticket(&token, NOW), Err(TokenError::WrongType));
    }

    /// This token was made by Python's hmac, hashlib and json from SimpleJWT's claims.
    #[test]
    fn a_token_made_by_python_is_taken() {
        let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ0b2tlbl90eXBlIjoiYWNjZXNzIiwiZXhwIjoxNzY5OTQ1NDAwLCJpYXQiOjE3Njk5NDE4MDAsImp0aSI6IjVhMWRmYjljM2Q3ZjRkMGJhMWIwYjVhOGMyZjBlN2QxIiwidXNlcl9pZCI6ImMyOWUxNDYwLTI0MzgtNGM0MC1hMjI5LTdjMjEwYzcwMWIxYyJ9.Nq4FcHc4jhmZUBI1nNxyeVQR3UjSWt55k6vuEwsLe3k";
        let access = tokens().verify_access(token, NOW).unwrap();
        assert_eq!((access.user.to_string().as_str(), access.expires), (USER, 1_769_945_400));
    }

    #[test]
    fn each_fault_has_its_text() {
        let good = format!(r#"{{"token_type":"access","exp":1769941801,"iat":1,"jti":"x","user_id":"{USER}"}}"#);
        assert!(hs256(&good).is_ok());
        assert!(hs256(&good.replace('-', "")).is_ok(), "32 digits");
        assert!(hs256(&good.replace("41801", "41801.5")).is_ok(), "a fraction of a second");
        assert_eq!(hs256(&good.replace("41801", "41800")), Err(TokenError::Invalid), "no leeway");
        assert_eq!(hs256(&good.replace("\"exp\"", "\"ex\"")), Err(TokenError::Invalid));
        assert_eq!(hs256(&good.replace("\"iat\":1", "\"nbf\":1769941801")), Err(TokenError::Invalid));
        assert_eq!(hs256(&good.replace("jti", "jtj")), Err(TokenError::NoId));
        assert_eq!(hs256(&good.replace("token_type", "type")), Err(TokenError::NoType));
        assert_eq!(hs256(&good.replace("access", "refresh")), Err(TokenError::WrongType));
        assert_eq!(hs256(&good.replace("user_id", "user")), Err(TokenError::NoUser));
        assert_eq!(hs256(&good.replace(USER, "ana")), Err(TokenError::NoUser));
        assert_eq!(hs256(&good.replace(&format!("\"{USER}\""), "7")), Err(TokenError::NoUser));
        assert_eq!(hs256("[]"), Err(TokenError::Invalid));
        for moment in ["1e300", "-1e300", "9007199254740993"] {
            for claim in ["nbf", "iat"] {
                let far = good.replace("\"iat\":1", &format!("\"{claim}\":{moment}"));
                assert_eq!(hs256(&far), Err(TokenError::Invalid), "{far}");
            }
        }
    }

    #[test]
    fn claims_are_an_object() {
        let user = format!("\"{USER}\"");
        for in_order in [
            format!(r#"["access",1769941801,null,1,"x",{user}]"#),
            format!(r#"["access",1769941801,null,1,"x",{user},null]"#),
            format!(r#" ["access",1769941801,null,1,"x",{user},null,7]"#),
            "null".to_owned(),
            "\"{}\"".to_owned(),
            String::new(),
        ] {
            assert_eq!(hs256(&in_order), Err(TokenError::Invalid), "{in_order}");
        }
        let object = format!(r#"{{"token_type":"access","exp":1769941801,"iat":1,"jti":"x","user_id":{user}}}"#);
        assert!(hs256(&format!(" {object}")).is_ok());
        for odd in ["\"iat\":\"x\"", "\"iat\":{}", "\"iat\":1,\"jti\":\"y\"", "\"iat\":1e999", "\"iat\":[1]"] {
            assert_eq!(hs256(&object.replace("\"iat\":1", odd)), Err(TokenError::Invalid), "{odd}");
        }
    }

    #[test]
    fn a_token_belongs_to_its_login() {
        let claims = |more: &str| {
            format!(
                r#"{{"token_type":"access","exp":1769941801,"iat":1769941000.5,"jti":"x","user_id":"{USER}"{more}}}"#
            )
        };
        let of_iat = FamilyId::issued(1_769_941_000);
        assert_eq!(of_iat.began_ms(), 1_769_941_000_000);
        // No family, and families that are not ours: a v4 UUID, a value that is not a text.
        for more in ["", r#","family":"6ba7b810-9dad-41d1-80b4-00c04fd430c8""#, r#","family":7"#, r#","family":null"#] {
            assert_eq!(hs256(&claims(more)).unwrap().family, of_iat, "{more}");
        }
        let renewed = format!(r#","family":"{}""#, FamilyId::issued(5));
        assert_eq!(hs256(&claims(&renewed)).unwrap().family, FamilyId::issued(5), "renewed from one that named none");
        let own = FamilyId::begun(NOW);
        assert_ne!(own, FamilyId::begun(NOW));
        assert_eq!(hs256(&claims(&format!(r#","family":"{own}""#))).unwrap().family, own);
    }

    #[test]
    fn only_hs256_with_our_secret_is_taken() {
        let claims = format!(r#"{{"token_type":"access","exp":1769941801,"iat":1,"jti":"x","user_id":"{USER}"}}"#);
        let taken = |header: &str| tokens().verify_access(&signed(header, &claims), NOW).is_ok();
        assert!(taken(r#"{"typ":"JWT","alg":"HS256"}"#), "other key order");
        assert!(taken(r#"{"alg":"HS256","typ":"JWT","kid":"1"}"#), "what it need not know");
        for header in [
            r#"{"alg":"none"}"#,
            r#"{"alg":"HS512"}"#,
            r#"{"alg":"RS256"}"#,
            r#"{"alg":"HS256","crit":["exp"],"exp":1}"#,
            r#"{"alg":"HS256","crit":[]}"#,
            r#"["HS256"]"#,
            "{}",
            "",
        ] {
            assert!(!taken(header), "{header}");
        }
        let token = signed(r#"{"alg":"HS256","typ":"JWT"}"#, &claims);
        assert_eq!(Tokens::new(b"some other secret").verify_access(&token, NOW), Err(TokenError::Invalid));
        let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
        for bad in ["", ".", "..", "a.b", "mock_access_token_1", &unsigned, &format!("{token}.x"), &token[1..]] {
            assert_eq!(tokens().verify_access(bad, NOW), Err(TokenError::Invalid), "{bad}");
        }
    }

    #[test]
    fn a_refresh_passes_its_time_on() {
        let tokens = tokens();
        let pair = tokens.issue_pair(USER.parse().unwrap(), NOW);
        let later = NOW.plus_seconds(86_400);
        assert_eq!(tokens.verify_refresh(&pair.access, NOW), Err(TokenError::WrongType));
        let refresh = tokens.verify_refresh(&pair.refresh, later).unwrap();
        let renewed = tokens.renew(&refresh, later);
        let access = tokens.verify(&renewed.access, "access", later).unwrap();
        assert_eq!((access.issued, access.token.expires), (NOW.seconds(), later.seconds() + 3600));
        let again = tokens.verify_refresh(&renewed.refresh, later).unwrap();
        assert_eq!((again.issued, again.token.expires), (later.seconds(), later.seconds() + 2_592_000));
        assert_ne!(again.token.jti, refresh.token.jti);
        let families = [refresh.token.family, access.token.family, again.token.family];
        assert_eq!(families, [refresh.token.family; 3], "one login");
    }

    /// The plain twin: jsonwebtoken's own `decode`, on tokens with one byte changed.
    #[test]
    fn agrees_with_the_plain_decoder() {
        let tokens = tokens();
        let token = tokens.issue_access(USER.parse().unwrap(), NOW);
        let decoding = jsonwebtoken::DecodingKey::from_secret(b"a secret of more than sixteen bytes");
        let mut plain = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
        plain.validate_exp = false;
        for place in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            let twin = jsonwebtoken::decode::<serde_json::Value>(&changed, &decoding, &plain).is_ok();
            assert_eq!(tokens.verify_access(&changed, NOW).is_ok(), twin, "{place}");
        }
    }
}
