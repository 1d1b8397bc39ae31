//! Checks the fields of a profile patch, and reports all faults at once.

use serde_json::Value;

use crate::domain::user::{PicturePatch, ProfilePatch, UserProfile};
use crate::limits;
use crate::protocol::v0::object::Presenter;
use crate::rest::auth::registration::{account_type, address, display_name, is_web_address};
use crate::rest::error::Result;
use crate::rest::fields::{Faults, Fields};

/// Characters of a first or last name.
const NAME_CHARS: usize = 150;
/// Characters of one interest, or of one text of a link.
const LIST_TEXT_CHARS: usize = 200;

/// Reads a patch; fields that are not named stay. A client may send back the whole profile as it received it, so fields
/// that cannot be changed here are ignored if they are the same.
///
/// # Errors
/// 400 with every fault.
pub fn patch(fields: &Fields, before: &UserProfile, presenter: &Presenter) -> Result<ProfilePatch> {
    let mut faults = Faults::default();
    for (name, current) in [("email", &before.email), ("username", &before.username)] {
        let is_same = |value: &Value| value.as_str().is_some_and(|text| text.trim().to_lowercase() == *current);
        if fields.0.get(name).is_some_and(|value| !is_same(value)) {
            faults.add(name, "Este campo no se puede cambiar.");
        }
    }
    let avatar = presenter.avatar(before);
    let cover = before.cover_photo.as_deref();
    let cover = cover.and_then(|path| presenter.media(path)).unwrap_or_default();
    let patch = ProfilePatch {
        display_name: fields.0.contains_key("display_name").then(|| display_name(fields, &mut faults)),
        first_name: name(fields, "first_name", &mut faults),
        last_name: name(fields, "last_name", &mut faults),
        bio: fields.patched("bio", 500, &mut faults),
        position: fields.patched("position", 100, &mut faults),
        team: fields.patched("team", 100, &mut faults),
        contact_number: fields.patched("contact_number", 20, &mut faults),
        interests: list(fields, "interests", is_interest, &mut faults),
        social_links: list(fields, "social_links", is_link, &mut faults),
        is_private: fields.flag("is_private", &mut faults),
        show_email: fields.flag("show_email", &mut faults),
        show_phone: fields.flag("show_phone", &mut faults),
        account_type: fields.has("account_type").then(|| account_type(fields, &mut faults)),
        company_name: fields.patched("company_name", 200, &mut faults),
        industry: fields.patched("industry", 100, &mut faults),
        website: fields.has("website").then(|| address(fields, "website", &mut faults)),
        avatar: picture(fields, "avatar", &avatar, &mut faults),
        cover_photo: picture(fields, "cover_photo", &cover, &mut faults),
    };
    faults.result()?;
    Ok(patch)
}

/// A first or last name, which may be empty.
fn name(fields: &Fields, name: &str, faults: &mut Faults) -> Option<String> {
    let text = fields.patched(name, NAME_CHARS, faults)?;
    if text.chars().any(char::is_control) {
        faults.add(name, "Este campo no puede contener caracteres de control.");
    }
    Some(text)
}

/// A list as the JSON that its column stores.
fn list(fields: &Fields, name: &str, is_right: fn(&Value) -> bool, faults: &mut Faults) -> Option<String> {
    let list = fields.json_list(name, faults)?;
    if !list.iter().all(is_right) {
        faults.add(name, "Algún elemento de la lista no es válido.");
        return None;
    }
    let json = serde_json::to_string(&list).ok()?;
    if json.len() > limits::PROFILE_LIST_BYTES_MAX {
        let most = limits::PROFILE_LIST_BYTES_MAX;
        faults.add(name, format!("Asegúrese de que este campo no tenga más de {most} bytes."));
        return None;
    }
    Some(json)
}

fn is_interest(value: &Value) -> bool {
    value.as_str().is_some_and(is_short_text)
}

fn is_short_text(text: &str) -> bool {
    text.chars().count() <= LIST_TEXT_CHARS && !text.chars().any(char::is_control)
}

/// A web address, or an object of short texts in which everything that looks like an address is a web address. Pages
/// turn them into links, and a link must not run a script.
fn is_link(value: &Value) -> bool {
    let is_safe = |text: &str| is_short_text(text) && (!has_scheme(text) || is_web_address(text));
    match value {
        Value::String(text) => is_safe(text) && is_web_address(text),
        Value::Object(texts) => texts
            .iter()
            .all(|(key, value)| is_short_text(key) && (value.is_null() || value.as_str().is_some_and(is_safe))),
        _ => false,
    }
}

/// Whether a browser would read it as an address with a scheme, such as `javascript:`. Browsers skip blanks before it.
fn has_scheme(text: &str) -> bool {
    let scheme = text.split_once(':').map(|(scheme, _)| scheme.trim_start());
    scheme.is_some_and(|scheme| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

/// A picture field without a file: null or blank removes the picture.
fn picture(fields: &Fields, name: &str, current: &str, faults: &mut Faults) -> PicturePatch {
    match fields.0.get(name) {
        None => PicturePatch::Keep,
        Some(Value::Null) => PicturePatch::Remove,
        Some(Value::String(text)) if text.trim().is_empty() => PicturePatch::Remove,
        Some(Value::String(text)) if text == current => PicturePatch::Keep,
        Some(_) => {
            let text = "La información enviada no era un archivo. Compruebe el tipo de codificación del formulario.";
            faults.add(name, text);
            PicturePatch::Keep
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rest::error::Error;

    fn read(fields: &Value) -> Result<ProfilePatch, String> {
        let before = UserProfile {
            email: "ana@example.com".into(),
            username: "ana".into(),
            display_name: "Ana".into(),
            cover_photo: Some("covers/a.png".into()),
            ..UserProfile::default()
        };
        let presenter = Presenter::new("http://localhost:8000", true);
        patch(&Fields(fields.as_object().unwrap().clone()), &before, &presenter).map_err(|error| match error {
            Error::Fields(fields) => serde_json::to_string(&fields).unwrap(),
            other => format!("{other:?}"),
        })
    }

    #[test]
    fn what_is_not_named_stays() {
        assert_eq!(read(&json!({})).unwrap(), ProfilePatch::default());
        let same = json!({
            "id": "x", "email": "Ana@example.com", "username": "ana", "followers_count": 7,
            "avatar": "https://ui-avatars.com/api/?name=Ana&background=00ff88&color=fff",
            "cover_photo": "http://localhost:8000/media/covers/a.png",
        });
        assert_eq!(read(&same).unwrap(), ProfilePatch::default());
        let nulls = json!({"bio": null, "first_name": null, "website": null, "account_type": null, "interests": null});
        assert_eq!(read(&nulls).unwrap(), ProfilePatch::default());
        let changed = read(&json!({
            "display_name": " Ana P. ", "first_name": "", "bio": "", "is_private": "true", "interests": ["fútbol"],
            "social_links": "[{\"platform\":\"x\",\"url\":\"https://x.com/ana\"}]", "avatar": null, "cover_photo": "",
        }));
        let expected = ProfilePatch {
            display_name: Some("Ana P.".into()),
            first_name: Some(String::new()),
            bio: Some(String::new()),
            is_private: Some(true),
            interests: Some(r#"["fútbol"]"#.into()),
            social_links: Some(r#"[{"platform":"x","url":"https://x.com/ana"}]"#.into()),
            avatar: PicturePatch::Remove,
            cover_photo: PicturePatch::Remove,
            ..ProfilePatch::default()
        };
        assert_eq!(changed.unwrap(), expected);
    }

    #[test]
    fn faults_are_told_by_field() {
        for (fields, expected) in [
            (json!({"email": "otra@example.com"}), "Este campo no se puede cambiar."),
            (json!({"username": null}), "Este campo no se puede cambiar."),
            (json!({"display_name": "A"}), "al menos 2 caracteres"),
            (json!({"display_name": "\u{200b}\u{200b}"}), "no puede estar en blanco"),
            (json!({"display_name": null}), "no puede ser nulo"),
            (json!({"last_name": "a\nb"}), "caracteres de control"),
            (json!({"last_name": "x".repeat(151)}), "más de 150 caracteres"),
            (json!({"bio": "x".repeat(501)}), "más de 500 caracteres"),
            (json!({"bio": "a\u{0}b"}), "No se permiten caracteres nulos."),
            (json!({"bio": ["x"]}), "No es una cadena válida."),
            (json!({"is_private": "quizás"}), "Debe ser un booleano válido."),
            (json!({"account_type": "zz"}), "no es una elección válida."),
            (json!({"website": "javascript://x"}), "Introduzca una URL válida."),
            (json!({"interests": {"a": 1}}), "Se esperaba una lista"),
            (json!({"interests": [7]}), "no es válido"),
            (json!({"interests": vec!["x"; 300]}), "más de 640 bytes"),
            (json!({"social_links": ["ana"]}), "no es válido"),
            (json!({"social_links": [{"url": " javascript:alert(1)"}]}), "no es válido"),
            (json!({"social_links": [{"url": {"a": 1}}]}), "no es válido"),
            (json!({"avatar": "http://elsewhere.example/a.png"}), "no era un archivo"),
            (json!({"cover_photo": 7}), "no era un archivo"),
        ] {
            let error = read(&fields).unwrap_err();
            assert!(error.contains(expected), "{fields}: {error}");
        }
        assert!(read(&json!({"social_links": [{"label": "Mi web: ana", "url": "https://a.co"}]})).is_ok());
    }
}
