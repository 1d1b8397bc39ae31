//! The protocol's JSON Schema: a frame of the server is right or says where it is wrong.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

use super::expect::shown;

/// The schema of this repository.
const OURS: &str = include_str!("../../../docs/protocol/pregon.v1.schema.json");
/// Any address will do: nothing is fetched.
const ADDRESS: &str = "https://pregon.invalid/pregon.v1.schema.json";

/// The parts of the schema that frames are held against.
pub struct Schema {
    schemas: Schemas,
    server: SchemaIndex,
    client: SchemaIndex,
    own_event: SchemaIndex,
    /// The types of events that have a form of their own here; all others are those of older sockets.
    own_kinds: Vec<String>,
}

impl Schema {
    /// This repository's, or the one in a file.
    pub fn load(path: Option<&Path>) -> Result<Self> {
        let text = match path {
            Some(path) => std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?,
            None => OURS.to_owned(),
        };
        let schema: Value = serde_json::from_str(&text).context("the schema is no JSON")?;
        let kinds =
            schema["$defs"]["OwnEvent"]["oneOf"].as_array().context("the schema has no $defs/OwnEvent/oneOf")?;
        let kinds = kinds.iter().filter_map(|kind| kind["properties"]["type"]["const"].as_str());
        let own_kinds = kinds.map(str::to_owned).collect();
        let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
        let wrong = |error: boon::CompileError| anyhow!("the schema cannot be used: {error}");
        compiler.add_resource(ADDRESS, schema).map_err(wrong)?;
        let mut part = |name: &str| compiler.compile(&format!("{ADDRESS}#/$defs/{name}"), &mut schemas).map_err(wrong);
        let (server, client, own_event) = (part("ServerFrame")?, part("ClientFrame")?, part("OwnEvent")?);
        Ok(Self { schemas, server, client, own_event, own_kinds })
    }

    /// Checks a frame of the server.
    pub fn check(&self, frame: &Value) -> Result<()> {
        self.hold(frame, self.server)?;
        let event = &frame["event"];
        // The schema has any event pass that could be one of an older socket; one that has a form here must have that.
        let is_own = event["type"].as_str().is_some_and(|kind| self.own_kinds.iter().any(|own| own == kind));
        if frame["type"] == "event" && is_own { self.hold(event, self.own_event) } else { Ok(()) }
    }

    /// Checks a frame of this client, which the checks should not spell wrongly by chance.
    pub fn is_request(&self, frame: &Value) -> bool {
        self.schemas.validate(frame, self.client).is_ok()
    }

    fn hold(&self, frame: &Value, part: SchemaIndex) -> Result<()> {
        let Err(error) = self.schemas.validate(frame, part) else { return Ok(()) };
        // The whole error has a line for each kind of frame that this one is not.
        let words = error.to_string();
        let words: Vec<&str> = words.lines().map(str::trim).filter(|line| !line.is_empty()).take(3).collect();
        bail!("expected a frame that follows the schema, came {}: {}", shown(frame), words.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn frames_are_held_against_the_repositorys_own_schema() {
        let schema = Schema::load(None).expect("it is right");
        for line in include_str!("../../../docs/protocol/pregon.v1.server.jsonl").lines() {
            let frame = serde_json::from_str(line).expect("JSON");
            schema.check(&frame).expect("an example of the documentation");
        }
        let event = |event: Value| json!({"type": "event", "topic": "feed", "cursor": "1.2", "event": event});
        for wrong in [
            json!({"type": "pang"}),
            json!({"type": "pong", "more": 1}),
            json!({"type": "gap", "topic": "feed"}),
            event(json!({"type": "message_deleted", "message_id": "a"})),
        ] {
            assert!(schema.check(&wrong).is_err(), "{wrong}");
        }
        schema.check(&event(json!({"type": "new_comment", "comment": {}}))).expect("an older socket's");
        assert!(
            schema.is_request(&json!({"type": "ping", "id": 7}))
                && !schema.is_request(&json!({"type": "ping", "to": 7}))
        );
    }
}
