//! Names for values that differ from run to run: ids, tokens, times, the server's address.

use std::collections::BTreeMap;

use pregon::clock::JsonTimes;
use serde_json::Value;
use uuid::Uuid;

/// The names of values, and the values of names. A name stands in angle brackets: `<room>`.
#[derive(Default)]
pub struct Names {
    by_value: BTreeMap<String, String>,
    by_name: BTreeMap<String, String>,
    /// The number of the server's ids that had no name when they were first seen.
    seen: usize,
}

impl Names {
    pub fn give(&mut self, name: &str, value: &str) {
        self.by_value.insert(value.to_owned(), name.to_owned());
        self.by_name.insert(name.to_owned(), value.to_owned());
    }

    /// A scenario's value with this run's ids in place of names. `<hex:room>` and `<upper:room>` are other spellings;
    /// `<new:1>` is an id that nobody has.
    pub fn filled(&mut self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.fill(text)),
            Value::Array(values) => values.iter().map(|value| self.filled(value)).collect(),
            Value::Object(values) => values.iter().map(|(key, value)| (key.clone(), self.filled(value))).collect(),
            other => other.clone(),
        }
    }

    fn fill(&mut self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, (name, after))) =
            rest.split_once('<').and_then(|(before, more)| Some((before, more.split_once('>')?)))
        {
            filled.push_str(before);
            match self.value(name) {
                Some(value) => filled.push_str(&value),
                None => filled.push_str(&format!("<{name}>")),
            }
            rest = after;
        }
        filled + rest
    }

    fn value(&mut self, name: &str) -> Option<String> {
        if let Some(of) = name.strip_prefix("hex:") {
            return Some(self.by_name[of].replace('-', ""));
        }
        if let Some(of) = name.strip_prefix("upper:") {
            return Some(self.by_name[of].to_uppercase());
        }
        if name.starts_with("new:") && !self.by_name.contains_key(name) {
            self.give(name, &Uuid::new_v4().to_string());
        }
        self.by_name.get(name).cloned()
    }

    /// The server's value, with names in place of values that differ from run to run.
    pub fn named(&mut self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.name(text)),
            Value::Array(values) => values.iter().map(|value| self.named(value)).collect(),
            Value::Object(values) => {
                let named = |(key, value): (&String, &Value)| match key.as_str() {
                    "short_id" => (key.clone(), Value::from("<short_id>")),
                    _ => (key.clone(), self.named(value)),
                };
                values.iter().map(named).collect()
            }
            other => other.clone(),
        }
    }

    fn name(&mut self, text: &str) -> String {
        if let Some(name) = self.by_value.get(text) {
            return format!("<{name}>");
        }
        if let (32 | 36, Ok(id)) = (text.len(), Uuid::parse_str(text)) {
            if let Some(name) = self.by_value.get(&id.to_string()) {
                return format!("<{}:{name}>", if text.len() == 32 { "hex" } else { "upper" });
            }
            self.seen += 1;
            let name = format!("id:{}", self.seen);
            self.give(&name, text);
            return format!("<{name}>");
        }
        if JsonTimes::Utc.read(text).is_some() { "<time>".to_owned() } else { text.to_owned() }
    }
}
