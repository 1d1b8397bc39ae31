//! Checks the fields of `posts/`, and reports all faults at once.

use serde_json::Value;

use crate::domain::feed::post::{Category, NewPost, Post, PostPatch, PostType};
use crate::limits;
use crate::limits::frames::chars;
use crate::rest::auth::registration::address;
use crate::rest::error::{Error, Result};
use crate::rest::fields::{Faults, Fields, up_to};

/// Reads the fields; those that are not named are `None`. New posts and patches are read alike.
///
/// # Errors
/// 400 with every fault.
pub fn patch(fields: &Fields) -> Result<PostPatch> {
    let mut faults = Faults::default();
    let mut patch = PostPatch {
        images: images(fields, &mut faults),
        post_type: choice(fields, "post_type", PostType::from_text, &mut faults),
        category: choice(fields, "category", Category::from_text, &mut faults),
        allow_comments: fields.flag("allow_comments", &mut faults),
        is_public: fields.flag("is_public", &mut faults),
        is_pinned: fields.flag("is_pinned", &mut faults),
        ..PostPatch::default()
    };
    if fields.has("content") {
        patch.content = fields.optional("content", up_to(limits::CONTENT_CHARS_MAX), &mut faults);
    }
    if fields.has("podcast_url") {
        patch.podcast_url = Some(address(fields, "podcast_url", &mut faults));
    }
    if fields.has("streaming_url") {
        patch.streaming_url = Some(address(fields, "streaming_url", &mut faults));
    }
    faults.result()?;
    Ok(patch)
}

/// The new post that the fields describe, without files.
///
/// # Errors
/// 400 with every fault.
pub fn new_post(fields: &Fields) -> Result<NewPost> {
    let patch = patch(fields)?;
    let plain = NewPost::text(String::new());
    let new = NewPost {
        content: patch.content.unwrap_or_default(),
        images: patch.images.unwrap_or(plain.images),
        video: None,
        thumbnail: None,
        podcast_url: patch.podcast_url.unwrap_or_default(),
        streaming_url: patch.streaming_url.unwrap_or_default(),
        post_type: patch.post_type.unwrap_or(plain.post_type),
        category: patch.category.unwrap_or(plain.category),
        allow_comments: patch.allow_comments.unwrap_or(plain.allow_comments),
        is_public: patch.is_public.unwrap_or(plain.is_public),
    };
    has_its_address(new.post_type, &new.podcast_url, &new.streaming_url)?;
    Ok(new)
}

/// Checks that the post is still consistent after the patch.
///
/// # Errors
/// 400.
pub fn check_patched(post: &Post, patch: &PostPatch) -> Result<()> {
    let podcast_url = patch.podcast_url.as_ref().unwrap_or(&post.podcast_url);
    let streaming_url = patch.streaming_url.as_ref().unwrap_or(&post.streaming_url);
    has_its_address(patch.post_type.unwrap_or(post.post_type), podcast_url, streaming_url)
}

fn has_its_address(post_type: PostType, podcast_url: &str, streaming_url: &str) -> Result<()> {
    match post_type {
        PostType::Podcast if podcast_url.is_empty() => {
            Err(Error::field("podcast_url", "URL del podcast es requerida para posts de tipo podcast"))
        }
        PostType::Streaming if streaming_url.is_empty() => {
            Err(Error::field("streaming_url", "URL del streaming es requerida para posts de tipo streaming"))
        }
        _ => Ok(()),
    }
}

fn choice<T>(fields: &Fields, name: &str, read: impl Fn(&str) -> Option<T>, faults: &mut Faults) -> Option<T> {
    if !fields.has(name) {
        return None;
    }
    let text = fields.optional(name, up_to(20), faults)?;
    let found = read(&text);
    if found.is_none() {
        faults.add(name, format!("\"{text}\" no es una elección válida."));
    }
    found
}

/// A list of addresses.
fn images(fields: &Fields, faults: &mut Faults) -> Option<String> {
    let list = fields.json_list("images", faults)?;
    if list.len() > limits::POST_IMAGES_MAX {
        faults.add("images", too_many_images());
        return None;
    }
    if !list.iter().all(|image| image.as_str().is_some_and(is_image_address)) {
        faults.add("images", "Introduzca una URL válida.");
        return None;
    }
    serde_json::to_string(&list).ok()
}

fn too_many_images() -> String {
    let most = limits::POST_IMAGES_MAX;
    format!("Asegúrese de que este campo no tenga más de {most} elementos.")
}

/// Whether it is an address on the web or on this server. It must not run a script.
fn is_image_address(text: &str) -> bool {
    let has_place = ["http://", "https://", "/"].iter().any(|start| text.starts_with(start));
    has_place && text.chars().count() <= chars::IMAGE && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

fn stored_list(images: &str) -> Result<Vec<Value>> {
    serde_json::from_str(images).map_err(|error| Error::Internal(error.to_string()))
}

/// Checks that the stored list has room for one more address.
///
/// # Errors
/// 400 if it is full; 500 if it is not a list.
pub fn check_room(images: &str) -> Result<()> {
    let is_full = stored_list(images)?.len() >= limits::POST_IMAGES_MAX;
    if is_full { Err(Error::field("images", too_many_images())) } else { Ok(()) }
}

/// The stored list with one more address.
///
/// # Errors
/// 500 if it is not a list.
pub fn with_image(images: &str, address: String) -> Result<String> {
    let mut list = stored_list(images)?;
    list.push(Value::String(address));
    serde_json::to_string(&list).map_err(|error| Error::Internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(fields: &Value) -> Result<NewPost, String> {
        new_post(&Fields(fields.as_object().unwrap().clone())).map_err(|error| match error {
            Error::Fields(fields) => serde_json::to_string(&fields).unwrap(),
            other => format!("{other:?}"),
        })
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        assert_eq!(read(&json!({})).unwrap(), NewPost::text(String::new()));
        let full = read(&json!({
            "content": " hola ", "post_type": "podcast", "podcast_url": "https://a.b/c", "category": "food",
            "is_public": "false", "allow_comments": false, "images": ["https://a.b/c.png", "/media/x.png"],
        }));
        let full = full.unwrap();
        assert_eq!((&*full.content, full.post_type, full.category), ("hola", PostType::Podcast, Category::Food));
        assert!(!full.is_public && !full.allow_comments);
        assert_eq!(full.images, r#"["https://a.b/c.png","/media/x.png"]"#);
        assert_eq!(with_image(&full.images, "z".into()).unwrap(), r#"["https://a.b/c.png","/media/x.png","z"]"#);
        assert_eq!(read(&json!({"images": "[\"http://x/y\"]"})).unwrap().images, r#"["http://x/y"]"#);
        assert_eq!(read(&json!({"images": "", "category": ""})).unwrap().images, "[]");
    }

    #[test]
    fn faults_are_told_by_field() {
        for (fields, expected) in [
            (json!({"content": "x".repeat(2001)}), "más de 2000 caracteres"),
            (json!({"post_type": "zz"}), r#"\"zz\" no es una elección válida."#),
            (json!({"category": "zz"}), r#"\"zz\" no es una elección válida."#),
            (json!({"post_type": "podcast"}), "URL del podcast es requerida para posts de tipo podcast"),
            (json!({"post_type": "streaming"}), "URL del streaming es requerida para posts de tipo streaming"),
            (json!({"podcast_url": "javascript://x.y"}), "Introduzca una URL válida."),
            (json!({"images": ["javascript:x"]}), "Introduzca una URL válida."),
            (json!({"images": [7]}), "Introduzca una URL válida."),
            (json!({"images": {"a": 1}}), "Se esperaba una lista de elementos."),
            (json!({"images": "[7"}), "El valor debe ser JSON válido."),
            (json!({"images": vec!["/a"; 21]}), "más de 20 elementos"),
            (json!({"is_public": "quizás"}), "Debe ser un booleano válido."),
        ] {
            let error = read(&fields).unwrap_err();
            assert!(error.contains(expected), "{fields}: {error}");
        }
    }
}
