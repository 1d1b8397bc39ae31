//! Says what was expected and what came.

use anyhow::{Result, bail};
use serde_json::Value;

/// The most of a frame that an error shows, in bytes.
const SHOWN_BYTES_MAX: usize = 600;

/// The frame has these values; objects in it may have more.
pub fn has(frame: &Value, expected: &Value) -> Result<()> {
    if is_within(expected, frame) {
        return Ok(());
    }
    bail!("expected a frame with {expected}, came {}", shown(frame))
}

/// The request was refused with this code.
pub fn refused(frame: &Value, code: &str) -> Result<()> {
    has(frame, &serde_json::json!({"type": "error", "code": code}))
}

/// Both are the same.
pub fn same(what: &str, came: &Value, expected: &Value) -> Result<()> {
    if came == expected {
        return Ok(());
    }
    bail!("{what}: expected {expected}, came {}", shown(came))
}

/// It is so.
pub fn that(is_so: bool, expected: &str, came: &Value) -> Result<()> {
    if is_so {
        return Ok(());
    }
    bail!("expected {expected}, came {}", shown(came))
}

/// A text in a frame.
pub fn text<'a>(frame: &'a Value, key: &str) -> Result<&'a str> {
    match frame[key].as_str() {
        Some(text) => Ok(text),
        None => bail!("expected a frame with a text in `{key}`, came {}", shown(frame)),
    }
}

/// A number in a frame.
pub fn number(frame: &Value, key: &str) -> Result<u64> {
    match frame[key].as_u64() {
        Some(number) => Ok(number),
        None => bail!("expected a frame with a number in `{key}`, came {}", shown(frame)),
    }
}

/// A list in a frame.
pub fn list<'a>(frame: &'a Value, key: &str) -> Result<&'a [Value]> {
    match frame[key].as_array() {
        Some(list) => Ok(list),
        None => bail!("expected a frame with a list in `{key}`, came {}", shown(frame)),
    }
}

fn is_within(expected: &Value, came: &Value) -> bool {
    match (expected, came) {
        (Value::Object(expected), Value::Object(came)) => {
            expected.iter().all(|(key, value)| is_within(value, came.get(key).unwrap_or(&Value::Null)))
        }
        _ => expected == came,
    }
}

/// A frame, cut if it is long.
pub fn shown(frame: &Value) -> String {
    let text = frame.to_string();
    if text.len() <= SHOWN_BYTES_MAX {
        return text;
    }
    format!("{} … ({} bytes)", &text[..text.floor_char_boundary(SHOWN_BYTES_MAX)], text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn objects_may_have_more_and_everything_else_is_compared() {
        let frame = json!({"type": "ack", "id": 1, "event": {"a": [1, 2], "b": null}});
        for same in
            [json!({"type": "ack"}), json!({"event": {"a": [1, 2]}}), json!({"event": {"b": null}, "none": null})]
        {
            assert!(has(&frame, &same).is_ok(), "{same}");
        }
        for other in [json!({"id": "1"}), json!({"event": {"a": [1]}}), json!({"event": 1})] {
            let said = has(&frame, &other).unwrap_err().to_string();
            assert!(said.starts_with("expected a frame with") && said.contains("came {"), "{said}");
        }
    }
}
