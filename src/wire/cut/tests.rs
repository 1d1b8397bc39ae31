//! The cut beside its plain twin: serde_json's map of raw values.

use std::borrow::Cow;
use std::fmt;

use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::*;

/// An object's keys with their values' bytes.
type Pairs<'a> = Vec<(String, &'a str)>;

struct Plain<'a>(Pairs<'a>);

#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Plain<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Plain<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Plain<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
                    pairs.push((key.into_owned(), map.next_value::<&RawValue>()?.get()));
                }
                Ok(Plain(pairs))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

fn plain_depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_text, mut is_escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_text,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_text => depth -= 1,
            _ => {}
        }
    }
    deepest
}

/// The same objects are taken, and cut in the same places; their texts mean the same.
fn check(json: &str) -> bool {
    let mut pairs = Pairs::new();
    let cut = object(json, |key, value| {
        let text = value.text();
        let plain = value.json.starts_with('"').then(|| serde_json::from_str::<String>(value.json).ok()).flatten();
        assert_eq!(text.as_deref(), plain.as_deref(), "{}", value.json);
        pairs.push((key.to_owned(), value.json));
        assert_eq!(value.depth(), plain_depth(value.json), "{}", value.json);
    });
    match serde_json::from_str::<Plain<'_>>(json) {
        Ok(plain) => assert_eq!((cut, &pairs), (Ok(()), &plain.0), "{json}"),
        Err(error) => assert_eq!(cut, Err(NotAnObject), "{json}: {error}"),
    }
    cut.is_ok()
}

#[test]
fn what_is_an_object_and_what_is_none() {
    for json in [
        "{}",
        " {\t} \n\r",
        r#"{"a":1}"#,
        r#"{"a":-0.5e+10,"a":0,"b":1E9,"c":12345678901234567890123456789012345678901234567890}"#,
        r#"{"":"","\u00e1":"\ud83c\udf89 \" \\ \/ \b\f\n\r\t","x":"\ud800"}"#,
        r#"{ "a" : [ ] , "b" : { } , "c" : [ 1 , [ { "d" : null } , true ] , false ] }"#,
        r#"{"a":[[[]],{},{"b":{"c":[]}}]}"#,
        "{\"del\":\"\u{7f}\u{80}\u{2028}ñ🎉\"}",
    ] {
        assert!(check(json), "{json}");
    }
    for json in [
        "",
        " ",
        "{",
        "}",
        "[]",
        "1",
        "null",
        r#""a""#,
        "\u{feff}{}",
        "{}{}",
        "{} x",
        "{},",
        "{,}",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        r#"{"a" 1}"#,
        r#"{a:1}"#,
        r#"{"a":1 "b":2}"#,
        r#"{"a":01}"#,
        r#"{"a":-}"#,
        r#"{"a":-a}"#,
        r#"{"a":1.}"#,
        r#"{"a":.5}"#,
        r#"{"a":1e}"#,
        r#"{"a":1e+}"#,
        r#"{"a":+1}"#,
        r#"{"a":tru}"#,
        r#"{"a":nulll}"#,
        r#"{"a":NaN}"#,
        r#"{"a":'b'}"#,
        r#"{"a":"\x"}"#,
        r#"{"a":"\u12g4"}"#,
        r#"{"a":"\u123"}"#,
        r#"{"a":"b}"#,
        r#"{"\ud800":1}"#,
        "{\"a\":\"\n\"}",
        "{\"a\":\"\0\"}",
        "{\"a\":[1\u{b}]}",
        r#"{"a":[}"#,
        r#"{"a":[1,]}"#,
        r#"{"a":[,1]}"#,
        r#"{"a":[1 2]}"#,
        r#"{"a":{]}}"#,
        r#"{"a":{"b":1]}"#,
        r#"{"a":{"b":1,}}"#,
        r#"{"a":{"b" 1}}"#,
        r#"{"a":{1:1}}"#,
        r#"{"a":[}]}"#,
        r#"{"a":[{]}}"#,
        r#"{"a":{,}}"#,
        r#"{"a":[1}}"#,
        r#"{"a":[["b":1]]}"#,
    ] {
        assert!(!check(json), "{json}");
    }
}

#[test]
fn levels_are_told_apart_however_many() {
    for levels in [1, 2, 63, 64, 65, 127, 128, 129, 200, 20_000] {
        let opens: String = (0..levels).map(|level| if level % 3 == 0 { "{\"k\":" } else { "[" }).collect();
        let closes: String = (0..levels).rev().map(|level| if level % 3 == 0 { "}" } else { "]" }).collect();
        assert!(check(&format!("{{\"a\":{opens}1{closes}}}")), "{levels}");
        assert!(check(&format!("{{\"a\":{opens}1{closes},\"b\":[{opens}[]{closes},2]}}")), "{levels}");
        // One end of the wrong kind, at each power of two and beside it.
        for wrong in [0, 1, 2, 62, 63, 64, 65, 127, 128].into_iter().filter(|wrong| *wrong < levels) {
            let mut bad = closes.clone().into_bytes();
            bad[wrong] = if bad[wrong] == b']' { b'}' } else { b']' };
            let bad = String::from_utf8(bad).unwrap();
            assert!(!check(&format!("{{\"a\":{opens}1{bad}}}")), "{levels}, {wrong}");
        }
    }
}

#[test]
fn a_text_ends_where_it_ends_wherever_it_lies() {
    for length in 0..100 {
        for special in ['"', '\\', '\n', '\u{1f}', ' ', '!', '#', '[', ']', '\u{7f}', '\u{80}', '\u{a2}', '\u{dc}'] {
            for place in 0..=length {
                let mut text = "a".repeat(length);
                text.insert(place, special);
                check(&format!("{{\"k\":\"{text}\"}}"));
                check(&format!("{{\"k\":\"{text}\",\"l\":\"b\"}}"));
            }
        }
    }
}

/// Values as clients and their enemies write them.
fn json_value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,3})?",
        "\"([ -~&&[^\"\\\\]]|ñ|🎉|\\\\[\"\\\\/bfnrt]|\\\\u[0-9a-fA-F]{4}|\\\\ud83c\\\\udf89){0,60}\"",
    ];
    leaf.prop_recursive(6, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(|values| format!("[{}]", values.join(", "))),
            prop::collection::vec(("[a-z]{0,8}", inner), 0..6).prop_map(|pairs| {
                let pairs: Vec<_> = pairs.into_iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
                format!("{{{}}}", pairs.join(","))
            }),
        ]
    })
}

fn json_object() -> impl Strategy<Value = String> {
    prop::collection::vec(("[ \t\n\r]{0,2}", "([a-z_]|\\\\u00e1|\\\\\"){0,9}", json_value()), 0..6).prop_map(|pairs| {
        let pairs: Vec<_> = pairs
            .into_iter()
            .map(|(space, key, value)| format!("{space}\"{key}\"{space}:{space}{value}{space}"))
            .collect();
        format!("{{{}}}", pairs.join(","))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn objects_are_cut_as_serde_json_cuts_them(json in json_object()) {
        prop_assert!(check(&json) || json.contains("\\u"), "only half a character can be wrong: {json}");
    }

    #[test]
    fn spoilt_objects_are_refused_where_serde_json_refuses_them(
        json in json_object(),
        place in any::<prop::sample::Index>(),
        spoilt in prop::sample::select(vec!["", "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "0", "-", ".", "e", "t", " ", "\n", "\0", "é", "{}", "\"a\":"]),
        is_replaced in any::<bool>(),
    ) {
        let mut places: Vec<usize> = json.char_indices().map(|(at, _)| at).collect();
        places.push(json.len());
        let at = *place.get(&places);
        let end = if is_replaced { at + json[at..].chars().next().map_or(0, char::len_utf8) } else { at };
        check(&format!("{}{spoilt}{}", &json[..at], &json[end..]));
        check(&json[..at]);
    }

    #[test]
    fn any_text_of_jsons_letters(json in "[{}\\[\\]:,\"\\\\ua0-9e.+ntrfls \n-]{0,40}") {
        check(&json);
        check(&format!("{{\"a\":{json}}}"));
    }
}
