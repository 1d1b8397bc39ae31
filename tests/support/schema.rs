//! Compares every answer of every test with the document at `/api/schema/`: its status is listed, and its body has the form.

use std::collections::HashMap;
use std::sync::OnceLock;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};

const DOCUMENT: &str = "http://tests.invalid/openapi.json";

struct Described {
    schemas: Schemas,
    /// By method, path and status; `None` without a body.
    answers: HashMap<(String, String, u16), Option<SchemaIndex>>,
    /// The paths, by their parts.
    paths: Vec<Vec<String>>,
}

/// Panics if the API's document does not describe this answer.
pub fn check(method: &str, path: &str, status: u16, body: &Value) {
    static DESCRIBED: OnceLock<Described> = OnceLock::new();
    let Some(parts) = path.split('?').next().unwrap_or_default().strip_prefix("/api").map(parts) else { return };
    let described = DESCRIBED.get_or_init(Described::new);
    let Some(known) = described.find(&parts) else {
        assert!(status == 404 || path.contains("/media/albums/"), "{method} {path} is in no document: {status}");
        return;
    };
    // Which methods there are is compared with the routes elsewhere.
    if status == 405 {
        return;
    }
    let key = (method.to_ascii_lowercase(), known.join("/"), status);
    let answer = described.answers.get(&key);
    let answer = answer.unwrap_or_else(|| panic!("the document has no {status} of {method} {path}: {body}"));
    match answer {
        Some(schema) => {
            if let Err(error) = described.schemas.validate(body, *schema) {
                panic!("{method} {path}: {status} {body:#} is not as the document says: {error:#}");
            }
        }
        None => assert!(body.is_null(), "{method} {path}: {status} has a body: {body}"),
    }
}

fn parts(path: &str) -> Vec<String> {
    path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

impl Described {
    fn new() -> Self {
        let mut document = pregon::rest::schema::document();
        close(&mut document["components"]["schemas"]);
        close(&mut document["paths"]);
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource(DOCUMENT, document.clone()).unwrap();
        let (mut answers, mut paths) = (HashMap::new(), Vec::new());
        for (path, operations) in document["paths"].as_object().unwrap() {
            let known = parts(path.strip_prefix("/api").unwrap());
            for (method, operation) in operations.as_object().unwrap() {
                for (status, answer) in operation["responses"].as_object().unwrap() {
                    let schema = answer.get("content").map(|_| {
                        let path = path.replace('~', "~0").replace('/', "~1").replace('{', "%7B").replace('}', "%7D");
                        let place =
                            format!("/paths/{path}/{method}/responses/{status}/content/application~1json/schema");
                        compiler
                            .compile(&format!("{DOCUMENT}#{place}"), &mut schemas)
                            .unwrap_or_else(|error| panic!("{error:#}"))
                    });
                    answers.insert((method.clone(), known.join("/"), status.parse().unwrap()), schema);
                }
            }
            paths.push(known);
        }
        Self { schemas, answers, paths }
    }

    /// The path of the document that fits best: words go before names of anything.
    fn find(&self, parts: &[String]) -> Option<&Vec<String>> {
        let is_name = |part: &str| part.starts_with('{');
        let fits = |known: &&Vec<String>| {
            known.len() == parts.len() && known.iter().zip(parts).all(|(known, part)| is_name(known) || known == part)
        };
        self.paths
            .iter()
            .filter(fits)
            .max_by_key(|known| known.iter().map(|part| !is_name(part)).collect::<Vec<bool>>())
    }
}

/// Objects have no keys that are not described.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(keys) => {
            if keys.contains_key("properties") && keys.get("type") == Some(&json!("object")) {
                keys.entry("additionalProperties").or_insert(json!(false));
            }
            keys.values_mut().for_each(close);
        }
        Value::Array(values) => values.iter_mut().for_each(close),
        _ => {}
    }
}
