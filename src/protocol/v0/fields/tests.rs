//! simd-json against serde_json: the second accepts whatever the first accepts, with the same meaning.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::protocol::v0::command::{Command, parse};

/// Returns whether simd-json read it, and asserts that serde_json then reads the same.
fn check(json: &str) -> bool {
    let mut reader = Reader::default();
    // Leftovers of an earlier frame: texts, depth, an error in the middle.
    is_read(&mut reader, r#"{"type":"chat_message","content":["\u00f1\n","left",[[[{"behind":[1,2,3]}]]],"#);
    let compared = reader.read(json, |by_simd| {
        let by_serde = match Fields::raw(json) {
            Ok(fields) => fields,
            Err(error) => panic!("{json}: simd-json took it, serde_json says {error}"),
        };
        for (simd, serde) in values(by_simd).into_iter().zip(values(&by_serde)) {
            let text = simd.and_then(Value::text);
            let plain = serde.and_then(Value::text);
            assert_eq!(text, plain, "{json}");
            assert_eq!(simd.map(Value::flag), serde.map(Value::flag), "{json}");
            assert_eq!(simd.map(Value::is_null), serde.map(Value::is_null), "{json}");
        }
        Some(())
    });
    compared.is_some()
}

fn is_read(reader: &mut Reader, json: &str) -> bool {
    reader.read(json, |_| Some(())).is_some()
}

fn values<'a, V: ?Sized>(fields: &Fields<'a, V>) -> [Option<&'a V>; 11] {
    let Fields { kind, content, message_type, reply_to, client_id, is_typing, .. } = *fields;
    let Fields { message_id, reaction_type, data, echo, timestamp, .. } = *fields;
    [kind, content, message_type, reply_to, client_id, is_typing, message_id, reaction_type, data, echo, timestamp]
}

#[test]
fn simd_json_reads_what_clients_send() {
    for json in [
        "{}",
        " {\t} \n\r",
        r#"{"type":"typing","is_typing":true}"#,
        r#"{"type":"x","type":"chat_message","content":"a","content":"b","reply_to":null}"#,
        r#"{"t\u0079pe":"\ud83c\udf89 \" \\ \/ \b\f\n\r\t\u00e1","content":""}"#,
        r#"{ "a" : [ ] , "type" : { } , "data" : [ 1 , [ { "type" : null } , true ] , false ], "echo":false }"#,
        r#"{"a":{"b":{"c":[{},[],1]}},"content":"after"}"#,
        r#"{"data":-0.5e+10,"timestamp":0,"b":1E9,"c":18446744073709551615}"#,
        "{\"content\":\"\u{7f}\u{80}\u{2028}ñ🎉\"}",
    ] {
        assert!(check(json), "{json}");
    }
}

#[test]
fn what_is_no_object_is_left_to_serde_json() {
    for json in [
        "",
        " ",
        "{",
        "}",
        "[]",
        "1",
        "null",
        "\"a\"",
        "\u{feff}{}",
        "{}{}",
        "{} x",
        "{},",
        "{,}",
        "{}\0",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        r#"{"a" 1}"#,
        "{a:1}",
        r#"{"a":1 "b":2}"#,
        r#"{"a":01}"#,
        r#"{"a":-}"#,
        r#"{"a":1.}"#,
        r#"{"a":.5}"#,
        r#"{"a":1e}"#,
        r#"{"a":+1}"#,
        r#"{"a":tru}"#,
        r#"{"a":nulll}"#,
        r#"{"a":NaN}"#,
        r#"{"a":'b'}"#,
        r#"{"a":"\x"}"#,
        r#"{"a":"\u12g4"}"#,
        r#"{"a":"\u123"}"#,
        r#"{"a":"b}"#,
        r#"{"a":[}"#,
        r#"{"a":[1,]}"#,
        r#"{"a":{]}}"#,
        r#"{"a":{1:1}}"#,
        r#"{"a":[1}}"#,
        "{\"a\":\"\n\"}",
        "{\"a\":\"\0\"}",
        r#"{"\ud800":1}"#,
    ] {
        assert!(!check(json), "{json}");
        assert!(Fields::raw(json).is_err(), "{json}");
    }
}

#[test]
fn what_simd_json_refuses_and_json_allows_is_read_by_serde_json() {
    let deep = |levels: usize| format!("{{\"type\":\"typing\",\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
    let typing = Ok(Command::Typing { is_typing: false });
    for json in [
        r#"{"type":"typing","a":123456789012345678901234567890}"#.to_owned(),
        r#"{"type":"typing","a":1e999}"#.to_owned(),
        deep(JSON_DEPTH_MAX),
        deep(20_000),
    ] {
        assert!(!check(&json), "{json:.60}");
        assert_eq!(parse(&json, &mut Reader::default()), typing, "{json:.60}");
    }
    assert!(check(&deep(JSON_DEPTH_MAX - 1)));
}

#[test]
fn brackets_without_end_end_nobody() {
    for open in ["[", "{\"a\":", "{\"content\":", "{\"type\":[", "[{\"a\":["] {
        let json = open.repeat(MESSAGE_BYTES_MAX / open.len());
        assert!(!check(&json), "{open}");
        assert!(parse(&json, &mut Reader::default()).is_err(), "{open}");
    }
}

#[test]
fn what_is_kept_for_the_next_frame_is_bounded() {
    let mut reader = Reader::default();
    for frame in ["[],", "{},", "0,", "\"\\n\",", "\"\","] {
        let json = format!("{{\"a\":[{}0]}}", frame.repeat((MESSAGE_BYTES_MAX - 16) / frame.len()));
        assert!(is_read(&mut reader, &json), "{frame}");
    }
    assert!(!is_read(&mut reader, &format!("{{}}{}", " ".repeat(MESSAGE_BYTES_MAX))), "longer than any frame");
    let tape_bytes = reader.tape.0.capacity() * size_of::<Node<'_>>();
    assert!(reader.copy.capacity() <= 2 * MESSAGE_BYTES_MAX, "{}", reader.copy.capacity());
    assert!(tape_bytes <= 4 * 1024 * 1024, "{tape_bytes}");
}

/// A text may end anywhere in simd-json's blocks of 64 bytes, with any part of an escape left over.
#[test]
fn a_text_ends_where_it_ends_wherever_it_lies() {
    for length in 0..140 {
        for special in [
            "\"",
            "\\",
            "\\\\",
            "\\\"",
            "\\n",
            "\\u00f1",
            "\\ud83c\\udf89",
            "\\ud83c",
            "\\udf89",
            "\n",
            "\0",
            "ñ",
            "🎉",
        ] {
            let text = "a".repeat(length);
            check(&format!("{{\"content\":\"{text}{special}\"}}"));
            check(&format!("{{\"content\":\"{special}{text}\",\"type\":\"{text}{special}b\"}}"));
            check(&format!("{{\"{text}{special}\":1,\"content\":\"{special}{special}{text}{special}\"}}"));
            check(&format!("{{\"content\":\"{text}{special}"));
        }
    }
}

#[test]
fn each_escape_of_a_character_means_the_same() {
    for code in 0..=0xffff_u32 {
        let is_half = (0xd800..0xe000).contains(&code);
        assert_eq!(check(&format!("{{\"content\":\"a\\u{code:04x}\"}}")), !is_half, "{code:04x}");
        check(&format!("{{\"content\":\"\\ud83c\\u{code:04X}!\"}}"));
    }
}

const KEYS: [&str; 13] = [
    "type",
    "content",
    "message_type",
    "reply_to",
    "client_id",
    "is_typing",
    "message_id",
    "reaction_type",
    "data",
    "echo",
    "timestamp",
    "cont\\u0065nt",
    "other",
];

/// Values as clients and attackers write them.
fn json_value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,3})?",
        "\"([ -~&&[^\"\\\\]]|ñ|🎉|\\\\[\"\\\\/bfnrt]|\\\\u[0-9a-fA-F]{4}|\\\\ud83c\\\\udf89){0,60}\"",
        select(vec!["chat_message", "typing", "signal", "ping", "edit_message"]).prop_map(|kind| format!("\"{kind}\"")),
    ];
    leaf.prop_recursive(6, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(|values| format!("[{}]", values.join(", "))),
            prop::collection::vec((select(KEYS.to_vec()), inner), 0..6).prop_map(|pairs| {
                let pairs: Vec<_> = pairs.into_iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
                format!("{{{}}}", pairs.join(","))
            }),
        ]
    })
}

fn json_object() -> impl Strategy<Value = String> {
    prop::collection::vec(("[ \t\n\r]{0,2}", select(KEYS.to_vec()), json_value()), 0..8).prop_map(|pairs| {
        let pairs: Vec<_> = pairs
            .into_iter()
            .map(|(space, key, value)| format!("{space}\"{key}\"{space}:{space}{value}{space}"))
            .collect();
        format!("{{{}}}", pairs.join(","))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn objects_mean_the_same_to_both(json in json_object()) {
        let is_read = check(&json);
        let has_reason = json.contains("\\u") || json.contains(|byte: char| byte.is_ascii_digit());
        prop_assert!(is_read || has_reason, "only half a character and large numbers are too much for it: {json}");
    }

    #[test]
    fn spoilt_objects_mean_the_same_to_both(
        json in json_object(),
        place in any::<Index>(),
        spoilt in select(vec![
            "", "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "0", "-", ".", "e", "t", " ", "\n", "\0", "é", "{}", "\"a\":", "\u{feff}",
        ]),
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
    fn any_text_of_jsons_letters_means_the_same_to_both(json in "[{}\\[\\]:,\"\\\\ua0-9e.+ntrfls \n-]{0,40}") {
        check(&json);
        check(&format!("{{\"content\":{json}}}"));
    }
}
