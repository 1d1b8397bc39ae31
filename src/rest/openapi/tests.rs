//! Makes the document and holds it against the routes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::operations;

type Schema = Arc<dyn Fn(&mut SchemaGenerator) -> Value>;

/// An answer's status and schema; none has no body.
#[derive(Clone)]
pub struct Answer(u16, Option<Schema>);

/// One method of one path.
#[derive(Clone)]
pub struct Operation {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    needs_token: bool,
    query: &'static [&'static str],
    body: Option<Schema>,
    files: &'static [&'static str],
    may: &'static [u16],
    gives: Vec<Answer>,
}

fn operation(method: &'static str, path: &'static str, summary: &'static str) -> Operation {
    let (query, files, may) = (&[][..], &[][..], &[][..]);
    Operation { method, path, summary, needs_token: true, query, body: None, files, may, gives: Vec::new() }
}

macro_rules! methods {
    ($($name:ident)*) => {
        $(pub fn $name(path: &'static str, summary: &'static str) -> Operation {
            operation(stringify!($name), path, summary)
        })*
    };
}

methods!(get post put patch delete);

fn schema_of<T: JsonSchema>() -> Schema {
    Arc::new(|generator| generator.subschema_for::<T>().to_value())
}

/// An answer with this body.
pub fn answer<T: JsonSchema>(status: u16) -> Answer {
    Answer(status, Some(schema_of::<T>()))
}

/// An answer with a list of these.
pub fn list<T: JsonSchema>(status: u16) -> Answer {
    Answer(status, Some(schema_of::<Vec<T>>()))
}

/// An answer without a body.
pub fn nothing(status: u16) -> Answer {
    Answer(status, None)
}

impl Operation {
    /// It needs no token.
    pub fn open(self) -> Self {
        Self { needs_token: false, ..self }
    }

    pub fn query(self, query: &'static [&'static str]) -> Self {
        Self { query, ..self }
    }

    pub fn body<T: JsonSchema>(self) -> Self {
        Self { body: Some(schema_of::<T>()), ..self }
    }

    /// Fields of a form that hold files.
    pub fn files(self, files: &'static [&'static str]) -> Self {
        Self { files, ..self }
    }

    /// Refusals beside those that all such operations have.
    pub fn may(self, may: &'static [u16]) -> Self {
        Self { may, ..self }
    }

    pub fn gives(self, gives: &[Answer]) -> Self {
        Self { gives: gives.to_vec(), ..self }
    }

    fn has_body(&self) -> bool {
        self.body.is_some() || !self.files.is_empty()
    }

    /// The statuses of refusals.
    fn refusals(&self) -> BTreeSet<u16> {
        let mut all = BTreeSet::from([429, 503]);
        all.extend(self.may);
        if self.needs_token {
            all.insert(401);
        }
        if self.path == "/auth/refresh" {
            all.insert(401);
        }
        if self.path.contains('{') {
            all.insert(404);
        }
        if self.query.iter().any(|name| matches!(*name, "page" | "after" | "participants_page")) {
            all.insert(404);
        }
        if !self.query.is_empty() {
            all.insert(400);
        }
        if self.has_body() {
            all.extend([400, 408, 413, 415]);
        }
        all
    }

    fn written(&self, answers: &mut SchemaGenerator, requests: &mut SchemaGenerator) -> Value {
        let parameter = |place: &str, name: &str, schema: Value| json!({"name": name, "in": place, "required": place == "path", "schema": schema});
        let segments = self.path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
        let schema = |name: &str| match name {
            "name" | "short_id" | "path" => json!({"type": "string"}),
            _ => json!({"type": "string", "format": "uuid"}),
        };
        let mut parameters: Vec<Value> = segments.map(|name| parameter("path", name, schema(name))).collect();
        parameters.extend(self.query.iter().map(|name| {
            let schema = if name.contains("page") {
                json!({"type": "integer", "minimum": 1})
            } else {
                json!({"type": "string"})
            };
            parameter("query", name, schema)
        }));
        let mut responses = Map::new();
        for Answer(status, body) in &self.gives {
            let text = if *status == 201 { "Done, and something is new." } else { "Done." };
            let mut response = json!({"description": text});
            if let Some(body) = body {
                response["content"] = json!({"application/json": {"schema": body(answers)}});
            }
            responses.insert(status.to_string(), response);
        }
        for status in self.refusals() {
            responses.insert(status.to_string(), json!({"$ref": format!("#/components/responses/{status}")}));
        }
        let mut written = json!({
            "operationId": self.name(),
            "tags": [self.path.split('/').nth(1).filter(|tag| !tag.is_empty()).unwrap_or("site")],
            "summary": self.summary,
            "responses": responses,
        });
        if !parameters.is_empty() {
            written["parameters"] = parameters.into();
        }
        if !self.needs_token {
            written["security"] = json!([]);
        }
        if self.has_body() {
            written["requestBody"] = self.request_body(requests);
        }
        written
    }

    fn request_body(&self, requests: &mut SchemaGenerator) -> Value {
        let plain = self.body.as_ref().map(|body| body(requests));
        let mut content = Map::new();
        if let Some(plain) = &plain {
            content.insert("application/json".into(), json!({"schema": plain}));
        }
        if !self.files.is_empty() {
            let file = |name: &&str| {
                ((*name).to_owned(), json!({"type": "string", "contentMediaType": "application/octet-stream"}))
            };
            let files: Map<String, Value> = self.files.iter().map(file).collect();
            let files = json!({"type": "object", "properties": files});
            let form = plain.map_or_else(|| files.clone(), |plain| json!({"allOf": [plain, files]}));
            content.insert("multipart/form-data".into(), json!({"schema": form}));
        }
        json!({"content": content})
    }

    /// `getUsersFriendsName`
    fn name(&self) -> String {
        let words = self.path.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let capital = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
        [self.method.to_owned()].into_iter().chain(words.map(capital)).collect()
    }
}

fn document() -> Value {
    let generator = |settings: SchemaSettings| {
        settings.with(|settings| settings.definitions_path = "/components/schemas".into()).into_generator()
    };
    let mut answers = generator(SchemaSettings::draft2020_12().for_serialize());
    let mut requests = generator(SchemaSettings::draft2020_12());
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for operation in operations::all() {
        let written = operation.written(&mut answers, &mut requests);
        let path = format!("/api{}/", operation.path);
        let is_new = paths.entry(path).or_default().insert(operation.method.to_owned(), written).is_none();
        assert!(is_new, "{} {} stands twice", operation.method, operation.path);
    }
    let problem = answers.subschema_for::<super::bodies::Problem>().to_value();
    let refusals = [
        (400, "The request has a fault: texts by field, or one text."),
        (401, "Log in, or refresh the token."),
        (403, "The caller may not do that."),
        (404, "There is no such thing, or the caller may not know of it."),
        (408, "The body came too slowly."),
        (409, "Something else was done meanwhile that rules it out."),
        (413, "The body is too long."),
        (415, "The body is of another type."),
        (429, "Too fast: come again after Retry-After seconds."),
        (503, "The server is busy or its database away: come again after Retry-After seconds."),
    ];
    let by_field = json!({"type": "object", "additionalProperties": {"type": "array"}});
    let refusal = |(status, text): (u16, &str)| {
        let schema = if status == 400 { json!({"anyOf": [&problem, &by_field]}) } else { problem.clone() };
        (status.to_string(), json!({"description": text, "content": {"application/json": {"schema": schema}}}))
    };
    let responses: Map<String, Value> = refusals.into_iter().map(refusal).collect();
    let mut schemas = answers.take_definitions(true);
    schemas.extend(requests.take_definitions(true));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "pregon",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The REST API of pregon. A slash at the end of a path is optional. Texts in answers are Spanish. \
                Sockets are described in docs/protocol.md.",
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "responses": responses,
            "schemas": schemas,
        },
    })
}

#[test]
fn the_document_is_made_of_the_operations() {
    let made = format!("{:#}\n", document());
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocol/openapi.json");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let served = std::fs::read_to_string(&path).unwrap();
    assert!(served == made, "docs/protocol/openapi.json is old: UPDATE_DOCS=1 cargo test -p pregon --lib openapi");
}

/// The routes below `/api`, as `rest/mod.rs` writes them, with their methods.
fn routes() -> BTreeSet<(String, String)> {
    let source = include_str!("../mod.rs");
    let names = ["get", "post", "put", "patch", "delete"];
    let mut found = BTreeSet::new();
    let methods_in = |text: &str, known: &BTreeMap<&str, BTreeSet<&str>>| -> BTreeSet<&'static str> {
        let called = names
            .into_iter()
            .filter(|name| [" ", "(", "."].iter().any(|before| text.contains(&format!("{before}{name}("))));
        let of_variables = known
            .iter()
            .filter(|(name, _)| text.contains(&format!(", {name})")) || text.contains(&format!(".merge({name})")));
        let of_variables = of_variables.flat_map(|(_, methods)| methods.iter().copied());
        called.chain(of_variables.filter_map(|method| names.into_iter().find(|name| *name == method))).collect()
    };
    for function in source.split("\nfn ") {
        let mut handlers: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for statement in function.split(';') {
            if let Some((name, value)) =
                statement.trim_start().strip_prefix("let ").and_then(|rest| rest.split_once('='))
            {
                let mut methods = methods_in(value, &handlers);
                // `one.merge(…)`
                if let Some(before) = handlers.get(name.trim()) {
                    methods.extend(before.iter().filter_map(|method| names.into_iter().find(|name| name == method)));
                }
                handlers.insert(name.trim(), methods);
            }
            let Some(table) = statement.split_once("routes([").map(|(_, table)| table) else { continue };
            let table = table.split("])").next().unwrap_or(table);
            for entry in table.split("\"/").skip(1) {
                let (path, handler) = entry.split_once('"').unwrap();
                let methods = methods_in(handler, &handlers);
                let methods = if methods.is_empty() {
                    let named = handlers.iter().filter(|(name, _)| handler.contains(&format!(" {name}")));
                    named.flat_map(|(_, methods)| methods.iter().copied()).map(str::to_owned).collect::<Vec<_>>()
                } else {
                    methods.into_iter().map(str::to_owned).collect()
                };
                assert!(!methods.is_empty(), "no method of {path} is found: {handler}");
                found.extend(methods.into_iter().map(|method| (format!("/{path}"), method)));
            }
        }
    }
    found
}

#[test]
fn every_route_is_written_down_and_nothing_else() {
    let routed = routes();
    let is_table = |operation: &Operation| !operation.path.is_empty() && operation.path != "/media/albums/{path}";
    let all = operations::all();
    let written: BTreeSet<(String, String)> =
        all.iter().filter(|one| is_table(one)).map(|one| (one.path.to_owned(), one.method.to_owned())).collect();
    let missing: Vec<_> = routed.difference(&written).collect();
    let invented: Vec<_> = written.difference(&routed).collect();
    assert!(missing.is_empty() && invented.is_empty(), "not written: {missing:?}; no routes: {invented:?}");
    assert!(routed.len() > 70, "{}", routed.len());
}
