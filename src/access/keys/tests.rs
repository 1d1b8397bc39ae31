//! Keys and tokens together: examples of the RFCs, and what an attacker tries.

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use super::*;
use crate::access::jwk::{self, KeySet};
use crate::access::token::{Access, Parties, TokenError, Tokens};
use crate::clock::Timestamp;

const USER: &str = "c29e1460-2438-4c40-a229-7c210c701b1c";
const NOW: Timestamp = Timestamp(1_769_941_800_000_000);

/// RFC 7515, appendix A.1.
fn secret() -> Value {
    json!({"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"})
}

/// RFC 7515, appendix A.2.
fn rsa() -> Value {
    json!({
        "kty": "RSA",
        "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
        "e": "AQAB",
        "d": "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ",
        "p": "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc",
        "q": "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc",
        "dp": "BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71I3QCLdhrqE2e9YkxvuxdBfpT_PI7Yz-FOKnu1R6HsJeDCjn12Sk3vmAktV2zb34MCdy7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdYo0",
        "dq": "h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9xXDoRwbKgB719rrmI2oKr6N3Do9U0ajaHF-NKJnwgjMd2w9cjz3_-kyNlxAr2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU",
        "qi": "IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd-DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd_QJQ3ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp_gh6A5603k2-ZQwVK0JKSHuLFkuQ3U",
    })
}

/// RFC 7515, appendix A.3.
fn p256() -> Value {
    json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
    })
}

/// RFC 8037, appendix A.1.
fn ed25519() -> Value {
    json!({
        "kty": "OKP", "crv": "Ed25519",
        "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    })
}

/// The key with other members.
fn with(mut jwk: Value, members: Value) -> Value {
    let Value::Object(members) = members else { panic!("an object") };
    jwk.as_object_mut().unwrap().extend(members);
    jwk
}

/// The public half.
fn public(mut jwk: Value) -> Value {
    jwk.as_object_mut().unwrap().retain(|name, _| !["d", "p", "q", "dp", "dq", "qi"].contains(&name.as_str()));
    jwk
}

fn read(jwks: &[Value]) -> Result<KeySet, String> {
    jwk::read(&serde_json::to_vec(&json!({ "keys": jwks })).unwrap())
}

fn tokens(jwks: &[Value]) -> Tokens {
    Tokens::of(Keys::of(read(jwks).unwrap().keys).unwrap(), Parties::default())
}

fn claims() -> Value {
    json!({"token_type": "access", "exp": 1_769_941_801, "iat": 1, "jti": "x", "user_id": USER})
}

/// A token with this header and these claims, signed by a key, whatever it is for.
fn forged(header: &Value, claims: &Value, key: &Key) -> String {
    let encoded = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let message = format!("{}.{}", encoded(header), encoded(claims));
    let signature = key.sign(message.as_bytes()).expect("it signs");
    format!("{message}.{signature}")
}

fn taken(tokens: &Tokens, token: &str) -> Result<Access, TokenError> {
    tokens.verify_access(token, NOW)
}

fn one(jwk: Value) -> Key {
    read(&[jwk]).unwrap().keys.remove(0)
}

/// RFC 7515, appendices A.2 and A.3, and RFC 8037, appendix A.4: whole tokens, whose signatures we make alike where that is possible.
#[test]
fn signatures_of_the_rfcs_are_ours() {
    let joe = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let cases = [
        (
            rsa(),
            format!("eyJhbGciOiJSUzI1NiJ9.{joe}"),
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
            true,
        ),
        (
            p256(),
            format!("eyJhbGciOiJFUzI1NiJ9.{joe}"),
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
            // By chance.
            false,
        ),
        (
            ed25519(),
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc".to_owned(),
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
            true,
        ),
    ];
    for (jwk, message, signature, is_alike) in cases {
        let key = one(jwk);
        assert!(key.fits(message.as_bytes(), signature), "{key:?}");
        assert!(!key.fits(b"another message", signature), "{key:?}");
        let ours = key.sign(message.as_bytes()).unwrap();
        assert!(key.fits(message.as_bytes(), &ours), "{key:?}");
        assert_eq!(ours == signature, is_alike, "{key:?}");
    }
}

/// The plain twin: jsonwebtoken's own `decode`, with its own reading of the public half.
#[test]
fn every_algorithm_signs_what_the_plain_decoder_takes() {
    // RFC 7515 has no key of P-384; this one was made by OpenSSL for this test.
    let p384 = P384.parse::<Value>().unwrap();
    let mut cases = vec![(secret(), "HS256"), (secret(), "HS384"), (secret(), "HS512")];
    cases.extend(["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"].map(|name| (rsa(), name)));
    cases.extend([(p256(), "ES256"), (p384, "ES384"), (ed25519(), "EdDSA")]);
    for (jwk, name) in cases {
        let jwk = with(jwk, json!({"kid": "k", "alg": name}));
        let tokens = tokens(std::slice::from_ref(&jwk));
        let token = tokens.issue_access(USER.parse().unwrap(), NOW);
        assert!(taken(&tokens, &token).is_ok(), "{name}");
        let decoding = DecodingKey::from_jwk(&serde_json::from_value(public(jwk)).unwrap()).unwrap();
        let algorithm: Algorithm = name.parse().unwrap();
        let mut plain = Validation::new(algorithm);
        plain.validate_exp = false;
        let twin = |token: &str| jsonwebtoken::decode::<Value>(token, &decoding, &plain);
        let header = twin(&token).unwrap_or_else(|why| panic!("{name}: {why}")).header;
        assert_eq!((header.alg, header.kid.as_deref(), header.typ.as_deref()), (algorithm, Some("k"), Some("JWT")));
        // A byte of each part.
        let (message, signature) = token.rsplit_once('.').unwrap();
        for place in [4, message.len() / 2, message.len() - 2, message.len() + 5, message.len() + signature.len() / 2] {
            let mut bytes = token.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(taken(&tokens, &changed).is_err() && twin(&changed).is_err(), "{name}: {place}");
        }
    }
}

const P384: &str = r#"{"kty":"EC","crv":"P-384","x":"_jyCg6MOKvqJszsg_YldL304ycpOEFcNiSAcVtSm2YGsPPfcVL4J0cCZiiLBvdhE","y":"iHBHhGVzGrWmkN2wZCKRbD4BXJLsTaC1EySzrtWbTxIMNTL716cgRyl8QSOamBWw","d":"1mORuaZ6pG6Tc6eR2aUmoHVcgUmkrWyQHCnQXn9hlkmKo2COWl1DEZXoBeB5dt0J"}"#;

/// A token's header says `HS256`, and its HMAC was made with what everybody knows of the RSA key.
#[test]
fn a_public_key_is_no_secret() {
    let named = with(rsa(), json!({"kid": "r"}));
    let tokens = tokens(std::slice::from_ref(&named));
    let known = ["n", "e"].map(|name| named[name].as_str().unwrap().as_bytes().to_vec());
    let whole = public(named).to_string().into_bytes();
    for guess in [known[0].clone(), URL_SAFE_NO_PAD.decode(&known[0]).unwrap(), whole] {
        for header in
            [json!({"alg": "HS256", "kid": "r"}), json!({"alg": "RS256", "kid": "r"}), json!({"alg": "HS256"})]
        {
            let token = forged(&header, &claims(), &Key::secret(&guess));
            assert_eq!(taken(&tokens, &token), Err(TokenError::Invalid), "{header}");
        }
    }
}

#[test]
fn a_key_has_one_algorithm() {
    let tokens = tokens(&[with(rsa(), json!({"kid": "r", "alg": "RS256"})), with(secret(), json!({"kid": "s"}))]);
    let signed = |kid: &str, by: &Value, alg: &str| {
        let key = one(with(by.clone(), json!({"alg": alg})));
        taken(&tokens, &forged(&json!({"alg": alg, "kid": kid}), &claims(), &key)).is_ok()
    };
    assert!(signed("r", &rsa(), "RS256") && signed("s", &secret(), "HS256"));
    for alg in ["RS384", "RS512", "PS256", "PS384", "PS512"] {
        assert!(!signed("r", &rsa(), alg), "{alg}");
    }
    for alg in ["HS384", "HS512"] {
        assert!(!signed("s", &secret(), alg), "{alg}");
    }
    assert!(!signed("s", &rsa(), "RS256") && !signed("r", &secret(), "HS256"), "another key's name");
    // Rightly signed, and the header says otherwise.
    for (kid, jwk, right) in [("r", rsa(), "RS256"), ("s", secret(), "HS256")] {
        let key = one(jwk);
        for alg in ["RS256", "RS512", "HS256", "HS512", "ES256", "none", "hs256", ""] {
            let token = forged(&json!({"alg": alg, "kid": kid}), &claims(), &key);
            assert_eq!(taken(&tokens, &token).is_ok(), alg == right, "{kid}: {alg}");
        }
    }
}

#[test]
fn unsigned_tokens_are_refused() {
    let tokens = tokens(&[with(ed25519(), json!({"kid": "e"}))]);
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        for kid in [json!({"alg": alg}), json!({"alg": alg, "kid": "e"})] {
            let message =
                format!("{}.{}", URL_SAFE_NO_PAD.encode(kid.to_string()), URL_SAFE_NO_PAD.encode(claims().to_string()));
            for end in ["", ".", ".AA"] {
                assert_eq!(taken(&tokens, &format!("{message}{end}")), Err(TokenError::Invalid), "{kid} {end:?}");
            }
        }
    }
}

#[test]
fn a_key_that_nobody_knows_checks_nothing() {
    let tokens = tokens(&[with(ed25519(), json!({"kid": "e"}))]);
    let key = one(ed25519());
    let with_header = |header: Value| taken(&tokens, &forged(&header, &claims(), &key));
    assert!(with_header(json!({"alg": "EdDSA", "kid": "e"})).is_ok());
    for kid in [json!("f"), json!("E"), json!(""), json!(null), json!(7), json!(["e"]), json!({"e": 1}), json!("e ")] {
        assert_eq!(with_header(json!({"alg": "EdDSA", "kid": kid})), Err(TokenError::Invalid), "{kid}");
    }
    assert_eq!(with_header(json!({"alg": "EdDSA"})), Err(TokenError::Invalid), "no kid, and all keys have one");
    // Which of two names counts is not guessed.
    let twice = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","kid":"f","kid":"e"}"#);
    let message = format!("{twice}.{}", URL_SAFE_NO_PAD.encode(claims().to_string()));
    let signature = key.sign(message.as_bytes()).unwrap();
    assert!(taken(&tokens, &format!("{message}.{signature}")).is_err());
}

/// The key that a token brings along would check anything.
#[test]
fn a_key_in_a_token_is_not_looked_at() {
    let tokens = tokens(&[with(ed25519(), json!({"kid": "e"}))]);
    let other = one(with(p256(), json!({"kid": "e"})));
    for more in [
        json!({"alg": "ES256", "jwk": public(p256())}),
        json!({"alg": "ES256", "kid": "e", "jwk": public(p256())}),
        json!({"alg": "ES256", "kid": "e", "jku": "https://evil.example/keys.json"}),
        json!({"alg": "ES256", "kid": "e", "x5c": ["AA"], "x5u": "https://evil.example/key.pem"}),
    ] {
        assert_eq!(taken(&tokens, &forged(&more, &claims(), &other)), Err(TokenError::Invalid), "{more}");
    }
    let ours = forged(&json!({"alg": "EdDSA", "kid": "e", "jwk": public(p256())}), &claims(), &one(ed25519()));
    assert!(taken(&tokens, &ours).is_ok(), "it does no harm either");
}

#[test]
fn a_token_without_kid_means_the_key_without_one() {
    let django = b"the secret of Django, which names no key";
    let mut keys = read(&[with(ed25519(), json!({"kid": "new"}))]).unwrap().keys;
    keys.push(Key::secret(django));
    let tokens = Tokens::of(Keys::of(keys).unwrap(), Parties::default());
    assert!(taken(&tokens, &forged(&json!({"alg": "HS256", "typ": "JWT"}), &claims(), &Key::secret(django))).is_ok());
    let named = forged(&json!({"alg": "HS256", "kid": "old"}), &claims(), &Key::secret(django));
    assert_eq!(taken(&tokens, &named), Err(TokenError::Invalid), "a name that no key has");
    let ours = tokens.issue_access(USER.parse().unwrap(), NOW);
    let header = jsonwebtoken::decode_header(&ours).unwrap();
    assert_eq!((header.alg, header.kid.as_deref()), (Algorithm::EdDSA, Some("new")), "the file's key signs");
    assert_eq!(taken(&tokens, &forged(&json!({"alg": "EdDSA"}), &claims(), &one(ed25519()))), Err(TokenError::Invalid));
}

#[test]
fn two_keys_of_one_name_are_refused() {
    let error = |jwks: &[Value]| Keys::of(read(jwks).unwrap().keys).unwrap_err();
    let twice = [with(ed25519(), json!({"kid": "a"})), with(p256(), json!({"kid": "a"}))];
    assert_eq!(error(&twice), KeysError::Twice(Some("a".to_owned())));
    assert_eq!(error(&[ed25519(), p256()]), KeysError::Twice(None));
    let mut with_secret = read(&[ed25519()]).unwrap().keys;
    with_secret.push(Key::secret(b"a secret beside it"));
    assert_eq!(Keys::of(with_secret).unwrap_err(), KeysError::Twice(None));
    assert_eq!(error(&[]), KeysError::NoneSigns);
    assert_eq!(error(&[public(with(rsa(), json!({"kid": "a"})))]), KeysError::NoneSigns);
}

#[test]
fn weak_and_broken_keys_are_refused() {
    let why = |jwk: Value| read(&[jwk]).unwrap_err();
    let text = |value: &Value, member: &str| value[member].as_str().unwrap().to_owned();
    // 1024 bits: the second half of a modulus of 2048 is no product of two primes, but that is not what is asked.
    let short = URL_SAFE_NO_PAD.encode(&URL_SAFE_NO_PAD.decode(text(&rsa(), "n")).unwrap()[..128]);
    assert!(why(with(public(rsa()), json!({"n": short}))).contains("1024 bits"));
    for exponent in ["AQ", "Aw", "AQAA", "AQAAAAE", ""] {
        assert!(why(with(public(rsa()), json!({"e": exponent}))).contains("exponent"), "{exponent}");
    }
    assert!(why(with(secret(), json!({"k": URL_SAFE_NO_PAD.encode([7; 31])}))).contains("31 bytes"));
    assert!(why(with(secret(), json!({"alg": "HS512", "k": URL_SAFE_NO_PAD.encode([7; 63])}))).contains("63 bytes"));
    assert!(why(with(secret(), json!({"k": "not base64!"}))).contains("base64url"));
    assert!(why(with(ed25519(), json!({"x": text(&p256(), "x")}))).contains("does not fit"));
    assert!(why(with(p256(), json!({"d": text(&ed25519(), "d")}))).contains("does not fit"));
    assert!(why(with(p256(), json!({"x": "AA"}))).contains("1 bytes"));
    assert!(why(with(rsa(), json!({"q": text(&rsa(), "p")}))).contains("private half"));
    assert!(why(json!({"kty": "EC", "crv": "P-256", "x": text(&p256(), "x")})).contains("has no y"));
    // An algorithm of another kind of key: the usual way to confuse a server.
    for (jwk, alg) in
        [(rsa(), "HS256"), (secret(), "RS256"), (p256(), "ES384"), (p256(), "EdDSA"), (ed25519(), "ES256")]
    {
        assert!(why(with(jwk, json!({"alg": alg}))).contains("alg is not one of its"), "{alg}");
    }
    assert!(why(with(secret(), json!({"kid": ""}))).contains("kid"));
    assert!(why(with(secret(), json!({"kid": "x".repeat(257)}))).contains("kid"));
    assert!(why(json!({"k": "AA"})).contains("no kty"));
    assert!(why(with(secret(), json!({"kid": 7}))).contains("no text"));
    for bad in ["", "[]", "{}", "{\"keys\": {}}", "{\"keys\": [7]}", "keys"] {
        assert!(jwk::read(bad.as_bytes()).is_err(), "{bad}");
    }
    let many = vec![public(ed25519()); crate::limits::KEYS_MAX + 1];
    assert!(read(&many).unwrap_err().contains("may have"));
}

/// Such a key would check nothing, and all who come with a token of its issuer would be refused.
#[test]
fn a_point_beside_its_curve_is_no_key() {
    let moved = |jwk: &Value, member: &str| {
        let mut bytes = URL_SAFE_NO_PAD.decode(jwk[member].as_str().unwrap()).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        with(public(jwk.clone()), json!({ member: URL_SAFE_NO_PAD.encode(bytes) }))
    };
    let p384 = P384.parse::<Value>().unwrap();
    for (jwk, member) in [(p256(), "x"), (p256(), "y"), (p384.clone(), "x"), (p384, "y")] {
        assert!(read(&[public(jwk.clone())]).is_ok());
        let why = read(&[with(moved(&jwk, member), json!({"kid": "k"}))]).unwrap_err();
        assert!(why.starts_with("key 1 (\"k\"): its x and y are no point of its curve: copy the key again"), "{why}");
    }
    // Neither is the point at infinity, nor numbers beyond the field.
    for number in [[0; 32], [0xff; 32]] {
        let number = URL_SAFE_NO_PAD.encode(number);
        assert!(read(&[with(public(p256()), json!({"x": number, "y": number}))]).is_err());
    }
    // Half of all numbers are the y of no point of edwards25519: 2 is one of them. 0 and 1 have points of a small order.
    for y in [0, 1, 2] {
        let mut bytes = [0; 32];
        bytes[0] = y;
        let why = read(&[with(public(ed25519()), json!({"x": URL_SAFE_NO_PAD.encode(bytes)}))]).unwrap_err();
        assert!(why.contains("its x is no public key of its curve: copy"), "{y}: {why}");
    }
    assert!(read(&[public(ed25519())]).is_ok());
}

/// What is said about a key tells nothing of it: it is logged.
#[test]
fn errors_and_debug_texts_hold_no_key() {
    let hidden = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldC0";
    let texts = [
        jwk::read(format!("{{\"keys\": [{{\"kty\": \"oct\", \"k\": \"{hidden}\"}}, }}").as_bytes()).unwrap_err(),
        read(&[json!({"kty": "oct", "k": [hidden]})]).unwrap_err(),
        read(&[json!({"kty": "oct", "k": format!("{hidden}!")})]).unwrap_err(),
        format!("{:?}", one(json!({"kty": "oct", "k": hidden}))),
        format!("{:?}", Keys::secret(hidden.as_bytes())),
    ];
    for text in texts {
        assert!(!text.contains("c2Vjcm") && !text.contains("secret-"), "{text}");
    }
}

#[test]
fn keys_that_are_not_for_tokens_are_left_out() {
    let left = |jwk: Value| {
        let read = read(&[jwk]).unwrap();
        assert_eq!((read.keys.len(), read.left_out.len()), (0, 1), "{:?}", read.left_out);
        read.left_out[0].clone()
    };
    assert!(left(with(rsa(), json!({"kid": "e1", "use": "enc"}))).contains("key 1 (\"e1\"): its use is not sig"));
    assert!(left(with(rsa(), json!({"key_ops": ["encrypt", "wrapKey"]}))).contains("key_ops"));
    assert!(left(with(rsa(), json!({"alg": "RSA-OAEP-256"}))).contains("alg"));
    assert!(left(json!({"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"})).contains("crv"));
    assert!(left(json!({"kty": "OKP", "crv": "X25519", "x": "AA"})).contains("crv"));
    assert!(left(json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"})).contains("kty"));
    // And what may only check, does not sign.
    let checks_only = read(&[with(rsa(), json!({"key_ops": ["verify"]}))]).unwrap();
    assert!(!checks_only.keys[0].can_sign() && checks_only.left_out.is_empty());
    assert!(one(with(rsa(), json!({"key_ops": ["sign"], "use": "sig"}))).can_sign());
    assert!(!one(public(with(rsa(), json!({"x5c": ["AA"], "x5t": "AA"})))).can_sign());
}

/// Rotation: a key is added, then moved to the front, then the old one is removed.
#[test]
fn keys_change_while_tokens_live() {
    let (old, new) = (with(p256(), json!({"kid": "old"})), with(ed25519(), json!({"kid": "new"})));
    let keys = |jwks: &[Value]| Keys::of(read(jwks).unwrap().keys).unwrap();
    let tokens = tokens(std::slice::from_ref(&old));
    let of_old = tokens.issue_access(USER.parse().unwrap(), NOW);
    tokens.replace(keys(&[old.clone(), new.clone()]));
    let kid = |token: &str| jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
    assert_eq!(kid(&tokens.issue_access(USER.parse().unwrap(), NOW)), "old", "the first that can sign");
    tokens.replace(keys(&[new.clone(), old.clone()]));
    let of_new = tokens.issue_access(USER.parse().unwrap(), NOW);
    assert_eq!(kid(&of_new), "new");
    assert!(taken(&tokens, &of_old).is_ok() && taken(&tokens, &of_new).is_ok());
    tokens.replace(keys(&[public(old), new.clone()]));
    assert_eq!(kid(&tokens.issue_access(USER.parse().unwrap(), NOW)), "new", "a public key is passed by");
    assert!(taken(&tokens, &of_old).is_ok());
    tokens.replace(keys(&[new]));
    assert_eq!(taken(&tokens, &of_old), Err(TokenError::Invalid));
    assert!(taken(&tokens, &of_new).is_ok());
}

#[test]
fn audience_and_issuer_count_if_they_are_set() {
    let secret = b"a secret of more than sixteen bytes";
    let header = json!({"alg": "HS256", "typ": "JWT"});
    let with_claims = |parties: &Parties, more: Value| {
        let tokens = Tokens::of(Keys::secret(secret), parties.clone());
        taken(&tokens, &forged(&header, &with(claims(), more), &Key::secret(secret))).is_ok()
    };
    let none = Parties::default();
    assert!(with_claims(&none, json!({"aud": "other", "iss": 7})), "nobody asks");
    let audience = Parties { audience: Some("chat".to_owned()), issuer: None };
    for (aud, is_taken) in [
        (json!("chat"), true),
        (json!(["other", "chat"]), true),
        (json!("Chat"), false),
        (json!("chat "), false),
        (json!([]), false),
        (json!(["other"]), false),
        (json!([["chat"]]), false),
        (json!({"chat": 1}), false),
        (json!(null), false),
    ] {
        assert_eq!(with_claims(&audience, json!({"aud": aud})), is_taken, "{aud}");
    }
    assert!(!with_claims(&audience, json!({})));
    let issuer = Parties { audience: None, issuer: Some("https://id.example".to_owned()) };
    for (iss, is_taken) in [
        (json!("https://id.example"), true),
        (json!("https://id.example/"), false),
        (json!(["https://id.example"]), false),
        (json!(null), false),
    ] {
        assert_eq!(with_claims(&issuer, json!({"iss": iss})), is_taken, "{iss}");
    }
    // What is made here says both, whatever kind it is.
    let both = Parties { audience: audience.audience, issuer: issuer.issuer };
    let tokens = Tokens::of(Keys::secret(secret), both);
    let pair = tokens.issue_pair(USER.parse().unwrap(), NOW);
    let access = taken(&tokens, &pair.access).unwrap();
    assert!(tokens.verify_refresh(&pair.refresh, NOW).is_ok());
    assert!(tokens.verify_ticket(&tokens.issue_ticket(&access, NOW), NOW).is_ok());
    assert!(taken(&Tokens::new(secret), &pair.access).is_ok());
}
