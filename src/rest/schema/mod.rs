//! `/api/schema/`: the API as an OpenAPI 3.1 document, built from the table of operations.
//!
//! A test compares the table with the routes, and every answer of every test of the API is compared with the document.

#[expect(clippy::needless_pass_by_value, reason = "calls look like what they make")]
mod objects;
mod operations;

use std::io::Write as _;
use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Map, Value, json};

use crate::access::crypto;
use crate::rest::answer;
use crate::rest::encoding::Encoding;
use crate::rest::schema::operations::{Body, Operation};

/// The document as it is served: made once, at the first question.
struct Served {
    json: Vec<u8>,
    gzip: Vec<u8>,
    /// A hash of the JSON.
    hash: String,
}

static SERVED: LazyLock<Served> = LazyLock::new(|| {
    let json = document().to_string().into_bytes();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    // Memory takes everything; if not, nothing is offered.
    let gzip = gzip.write_all(&json).and_then(|()| gzip.finish()).unwrap_or_default();
    Served { hash: crypto::fingerprint(&json), json, gzip }
});

/// `GET /api/schema/`: the same for everybody, so no token is needed, and it may be compressed.
pub async fn show(headers: HeaderMap) -> Response {
    let offered: &[Encoding] = if SERVED.gzip.is_empty() { &[] } else { &[Encoding::Gzip] };
    let encoding = Encoding::accepted(&headers, offered);
    let body: &'static [u8] = if encoding == Encoding::Gzip { &SERVED.gzip } else { &SERVED.json };
    let tag = encoding.tag(&SERVED.hash);
    let mut response = if answer::names(&headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, "application/json")], axum::body::Body::from(body)).into_response()
    };
    encoding.describe(&mut response);
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// The document.
pub fn document() -> Value {
    let mut paths = Map::new();
    for operation in operations::all() {
        let path = paths.entry(format!("/api{}/", operation.path.replace("{*", "{"))).or_insert_with(|| json!({}));
        path[operation.method.to_ascii_lowercase()] = written(&operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "pregon",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "REST of a real-time server for chat and social feeds. A slash at the end of a path is optional. Texts of errors are Spanish.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": objects::all(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    })
}

fn written(operation: &Operation) -> Value {
    let Operation { method, path, summary, needs_token, query, body, answers, fails } = operation;
    let in_path = path.split('{').skip(1).filter_map(|rest| rest.split('}').next()).map(|name| {
        json!({"name": name.trim_start_matches('*'), "in": "path", "required": true, "schema": {"type": "string"}})
    });
    let in_query = query.iter().map(|(name, kind)| {
        let schema = match *kind {
            "number" => json!({"type": "integer", "minimum": 1, "maximum": 2_147_483_647}),
            "flag" => json!({"type": "string", "enum": ["true", "false"]}),
            _ => json!({"type": "string"}),
        };
        json!({"name": name, "in": "query", "required": false, "schema": schema})
    });
    let mut responses = Map::new();
    for (status, schema) in answers {
        responses.insert(status.to_string(), answer(*status, schema.as_ref()));
    }
    let mut faults: Vec<u16> = fails.clone();
    // Any request may come too often or while the database is away; bodies may be broken, too long or too late.
    faults.extend([500, 503]);
    faults.extend(needs_token.then_some([401, 429]).into_iter().flatten());
    faults.extend((!matches!(body, Body::None)).then_some([400, 408, 413]).into_iter().flatten());
    for status in faults {
        let name = match status {
            400 => "Faults",
            401 => "Unauthorized",
            _ => "Fault",
        };
        let fault = answer(status, Some(&json!({"$ref": format!("#/components/schemas/{name}")})));
        responses.entry(status.to_string()).or_insert(fault);
    }
    let id = format!("{}{}", method.to_ascii_lowercase(), path.replace(['/', '{', '}', '*', '-'], "_"));
    let mut written = json!({
        "operationId": id.trim_end_matches('_'),
        "summary": summary,
        "tags": [path.split('/').nth(1).filter(|tag| !tag.is_empty()).unwrap_or("server")],
        "parameters": in_path.chain(in_query).collect::<Vec<Value>>(),
        "responses": responses,
    });
    if *needs_token {
        written["security"] = json!([{"token": []}]);
    }
    if let Some(body) = body.written() {
        written["requestBody"] = body;
    }
    written
}

fn answer(status: u16, schema: Option<&Value>) -> Value {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
    let mut answer = json!({"description": reason});
    if let Some(schema) = schema {
        answer["content"] = json!({"application/json": {"schema": schema}});
    }
    if matches!(status, 429 | 503) {
        answer["headers"] =
            json!({"Retry-After": {"description": "seconds", "schema": {"type": "integer", "minimum": 0}}});
    }
    answer
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let served: BTreeSet<(String, String)> = crate::rest::table()
            .into_iter()
            .flat_map(|(path, verbs)| verbs.methods.into_iter().map(move |method| (path.to_owned(), method.to_owned())))
            .collect();
        let described = operations::all().into_iter().map(|one| (one.path.to_owned(), one.method.to_owned()));
        let described: Vec<_> = described.collect();
        assert_eq!(described.iter().cloned().collect::<BTreeSet<_>>(), served);
        assert_eq!(described.len(), served.len(), "each once");
        assert!(served.len() > 70, "{}", served.len());
    }

    #[test]
    fn every_reference_has_its_object_and_every_object_is_referred_to() {
        let document = document();
        let text = document.to_string();
        let named: BTreeSet<&str> =
            text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let objects = document["components"]["schemas"].as_object().unwrap();
        assert_eq!(named, objects.keys().map(String::as_str).collect());
        let ids: Vec<&str> =
            text.split("\"operationId\":\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
    }
}
