//! `/api/media/albums/`: pregon stores no albums, and answers in the form that album pages read.

use axum::Json;
use axum::extract::Path;
use serde_json::{Value, json};

use crate::rest::extract::Caller;

/// The longest name that is repeated in an answer, in characters.
const NAME_CHARS: usize = 100;

/// `GET media/albums/`: none.
pub async fn list(_caller: Caller) -> Json<Value> {
    Json(json!([]))
}

/// `GET media/albums/…/<name>/`: an empty album of this name.
pub async fn show(_caller: Caller, Path(path): Path<String>) -> Json<Value> {
    let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let name: String = name.chars().take(NAME_CHARS).collect();
    Json(json!({"id": null, "name": name, "files": [], "file_count": 0}))
}
