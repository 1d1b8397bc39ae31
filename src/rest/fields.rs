//! A request's fields, from JSON or a form, checked as REST Framework does and with its texts.

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{StatusCode, header};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use crate::domain::text;
use crate::limits;
use crate::rest::error::{Error, Result};
use crate::rest::uploads::disposition::Disposition;
use crate::telemetry;

/// The answer to a file in a field that takes none. If it were silently ignored, the user would notice too late.
pub const NO_FILE: &str = "Este campo no admite archivos.";

/// The fields of a body by name. Values of a form are texts; a repeated field is a list.
#[derive(Debug, Default)]
pub struct Fields(pub Map<String, Value>);

/// The faults of each field, collected so that all are reported at once.
#[derive(Debug, Default)]
pub struct Faults(Map<String, Value>);

impl Faults {
    /// Adds a text to a field's faults.
    pub fn add(&mut self, name: &str, text: impl Into<String>) {
        let texts = self.0.entry(name).or_insert_with(|| json!([]));
        if let Value::Array(texts) = texts {
            texts.push(Value::String(text.into()));
        }
    }

    /// Fails if there are any faults.
    pub fn result(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Fields(self.0)) }
    }
}

/// The allowed length of a text, in characters.
#[derive(Debug, Clone, Copy)]
pub struct Length {
    /// The minimum. A shorter text is refused with [`Length::min_text`] or REST Framework's own text.
    pub min: usize,
    /// The maximum.
    pub max: usize,
    /// The text for one that is too short.
    pub min_text: Option<&'static str>,
}

/// At most this many characters.
pub const fn up_to(max: usize) -> Length {
    Length { min: 0, max, min_text: None }
}

impl Fields {
    /// The value of an optional field; null counts as missing.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// Whether there is a value that is not null.
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// A required text, trimmed and not blank.
    pub fn required(&self, name: &str, length: Length, faults: &mut Faults) -> Option<String> {
        match self.0.get(name) {
            None => faults.add(name, "Este campo es requerido."),
            Some(value) => match self.text_of(name, value, length, faults) {
                Some(text) if text.is_empty() => faults.add(name, "Este campo no puede estar en blanco."),
                found => return found.and_then(|text| long_enough(name, text, length, faults)),
            },
        }
        None
    }

    /// A trimmed text; empty when it is missing, null or blank.
    pub fn optional(&self, name: &str, length: Length, faults: &mut Faults) -> Option<String> {
        match self.value(name) {
            None => Some(String::new()),
            Some(value) => {
                let text = self.text_of(name, value, length, faults)?;
                if text.is_empty() { Some(text) } else { long_enough(name, text, length, faults) }
            }
        }
    }

    /// A boolean; `None` if it is missing or null.
    pub fn flag(&self, name: &str, faults: &mut Faults) -> Option<bool> {
        let found = match self.value(name)? {
            Value::Bool(flag) => Some(*flag),
            Value::Number(number) if number.as_u64() == Some(0) => Some(false),
            Value::Number(number) if number.as_u64() == Some(1) => Some(true),
            Value::String(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
                "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
                _ => None,
            },
            _ => None,
        };
        if found.is_none() {
            faults.add(name, "Debe ser un booleano válido.");
        }
        found
    }

    /// A whole number that is not negative; `None` if it is missing, null or blank.
    pub fn count(&self, name: &str, faults: &mut Faults) -> Option<u32> {
        let number = match self.value(name)? {
            Value::String(text) if text.trim().is_empty() => return None,
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        match number.map(u32::try_from) {
            Some(Ok(count)) => return Some(count),
            Some(Err(_)) => faults.add(name, "Asegúrese de que este valor sea mayor o igual a 0."),
            None => faults.add(name, "Introduzca un número entero válido."),
        }
        None
    }

    /// A list's values. A single value of a form is a list of one.
    pub fn list(&self, name: &str) -> Result<&[Value]> {
        match self.value(name) {
            None => Ok(&[]),
            Some(Value::Array(values)) => Ok(values),
            Some(value @ Value::String(_)) => Ok(std::slice::from_ref(value)),
            Some(other) => {
                let kind = kind_of(other);
                Err(Error::field(
                    name,
                    format!("Se esperaba una lista de elementos, pero se recibió el tipo \"{kind}\"."),
                ))
            }
        }
    }

    /// A list as JSON, as JSON in a form's text, or as a repeated form field; `None` if it is missing or null.
    pub fn json_list(&self, name: &str, faults: &mut Faults) -> Option<Vec<Value>> {
        let value = self.value(name)?;
        let list = match value {
            Value::String(text) if text.trim().is_empty() => Value::Array(Vec::new()),
            Value::String(text) if text.trim_start().starts_with('[') => match serde_json::from_str(text) {
                Ok(list) => list,
                Err(_) => {
                    faults.add(name, "El valor debe ser JSON válido.");
                    return None;
                }
            },
            Value::String(_) => Value::Array(vec![value.clone()]),
            other => other.clone(),
        };
        match list {
            Value::Array(list) => Some(list),
            _ => {
                faults.add(name, "Se esperaba una lista de elementos.");
                None
            }
        }
    }

    /// The trimmed text of a patch; `None` if it is missing or null. A blank text empties the field.
    pub fn patched(&self, name: &str, most: usize, faults: &mut Faults) -> Option<String> {
        self.has(name).then(|| self.optional(name, up_to(most), faults)).flatten()
    }

    fn text_of(&self, name: &str, value: &Value, length: Length, faults: &mut Faults) -> Option<String> {
        let text = match value {
            Value::String(text) => Cow::Borrowed(text.as_str()),
            Value::Number(number) => Cow::Owned(number.to_string()),
            Value::Null => {
                faults.add(name, "Este campo no puede ser nulo.");
                return None;
            }
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                faults.add(name, "No es una cadena válida.");
                return None;
            }
        };
        match text::taken(&text, length.max) {
            Ok(text) => return Some(text.to_owned()),
            Err(text::Fault::Nul) => faults.add(name, "No se permiten caracteres nulos."),
            Err(text::Fault::TooLong) => {
                let max = length.max;
                faults.add(name, format!("Asegúrese de que este campo no tenga más de {max} caracteres."));
            }
        }
        None
    }
}

fn long_enough(name: &str, text: String, length: Length, faults: &mut Faults) -> Option<String> {
    if text.chars().count() >= length.min {
        return Some(text);
    }
    let min = length.min;
    faults.add(
        name,
        length
            .min_text
            .map_or_else(|| format!("Asegúrese de que este campo tenga al menos {min} caracteres."), str::to_owned),
    );
    None
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

/// A body's media type, without its parameters.
pub fn media_type(request: &Request) -> String {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The time for the whole body of a request; the router adds it to each.
#[derive(Debug, Clone, Copy)]
pub struct BodyDeadline(pub Duration);

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let deadline = request.extensions().get::<BodyDeadline>().map_or(limits::BODY_TIMEOUT, |deadline| deadline.0);
        timeout(deadline, read(request, state)).await.unwrap_or_else(|_| Err(too_slow()))
    }
}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Fields> {
    let written = request.headers().get(header::CONTENT_TYPE).cloned();
    match media_type(&request).as_str() {
        "application/json" => from_json(&whole_body(request, state).await?),
        "application/x-www-form-urlencoded" => {
            let body = whole_body(request, state).await?;
            few_values(&body, b"&")?;
            Ok(from_pairs(form_urlencoded::parse(&body).into_owned()))
        }
        "multipart/form-data" => {
            let form = Multipart::from_request(request, state).await.map_err(|error| rejected(error.status()))?;
            Ok(from_pairs(text_parts(form).await?.into_iter()))
        }
        _ if whole_body(request, state).await?.is_empty() => Ok(Fields::default()),
        _ => {
            let kind = written.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
            let text = format!("Tipo de medio \"{kind}\" incompatible en la solicitud.");
            Err(Error::Detail(StatusCode::UNSUPPORTED_MEDIA_TYPE, text.into()))
        }
    }
}

async fn whole_body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes> {
    Bytes::from_request(request, state).await.map_err(|rejection| rejected(rejection.status()))
}

/// Refuses a body with so many values, by the bytes between them, that it would take many times its length in memory.
fn few_values(body: &[u8], between: &[u8]) -> Result<()> {
    match body.iter().filter(|byte| between.contains(byte)).count() {
        count if count > limits::memory::BODY_VALUES_MAX => Err(rejected(StatusCode::PAYLOAD_TOO_LARGE)),
        _ => Ok(()),
    }
}

fn from_json(body: &[u8]) -> Result<Fields> {
    // Some programs put a byte order mark before UTF-8 text.
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if body.is_empty() {
        return Ok(Fields::default());
    }
    few_values(body, b"[{,")?;
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(Fields(fields)),
        Ok(other) => {
            let kind = kind_of(&other);
            Err(Error::whole(&format!("Datos inválidos. Se esperaba un diccionario pero es un {kind}.")))
        }
        Err(error) => {
            // The message holds only the parser's words and the position: serde_json never quotes its input.
            let text = format!("JSON parse error - {error}");
            Err(Error::Detail(StatusCode::BAD_REQUEST, text.into()))
        }
    }
}

async fn text_parts(mut form: Multipart) -> Result<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    while let Some(part) = form.next_field().await.map_err(|error| rejected(error.status()))? {
        let Disposition { name, file_name } = Disposition::of(part.headers());
        let bytes = part.bytes().await.map_err(|error| rejected(error.status()))?;
        match file_name {
            None => {
                let text = String::from_utf8(bytes.into()).map_err(|_| rejected(StatusCode::BAD_REQUEST))?;
                pairs.push((name, text));
            }
            Some(file) if file.is_empty() && bytes.is_empty() => {}
            Some(_) => return Err(Error::field(&name, NO_FILE)),
        }
    }
    Ok(pairs)
}

fn from_pairs(pairs: impl Iterator<Item = (String, String)>) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in pairs {
        fields.push(name, value);
    }
    fields
}

impl Fields {
    /// Adds a value of a form.
    pub fn push(&mut self, name: String, value: String) {
        let value = Value::String(value);
        match self.0.get_mut(&name) {
            None => drop(self.0.insert(name, value)),
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
}

/// The error for a body that could not be read, by the reader's status.
pub fn rejected(status: StatusCode) -> Error {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Error::hand(StatusCode::PAYLOAD_TOO_LARGE, "La solicitud es demasiado grande.")
        }
        _ => Error::Detail(StatusCode::BAD_REQUEST, "Solicitud con formato incorrecto.".into()),
    }
}

/// The error for a body that did not arrive in time.
pub fn too_slow() -> Error {
    telemetry::limit_hit("body's time", "-");
    Error::hand(StatusCode::REQUEST_TIMEOUT, "La solicitud tardó demasiado en llegar.")
}
