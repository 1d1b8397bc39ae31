//! The objects of answers as JSON Schema, with the keys that the presenter writes.

use serde_json::{Map, Value, json};

/// An object with all of these keys; one whose name ends with `?` may be missing.
pub(super) fn object<const N: usize>(keys: [(&str, Value); N]) -> Value {
    let required: Vec<&str> = keys.iter().map(|(name, _)| *name).filter(|name| !name.ends_with('?')).collect();
    let properties: Map<String, Value> =
        keys.iter().map(|(name, schema)| (name.trim_end_matches('?').to_owned(), schema.clone())).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

/// A reference to an object of [`all`].
pub(super) fn of(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

pub(super) fn text() -> Value {
    json!({"type": "string"})
}

pub(super) fn flag() -> Value {
    json!({"type": "boolean"})
}

pub(super) fn number() -> Value {
    json!({"type": "integer", "minimum": 0})
}

pub(super) fn id() -> Value {
    json!({"type": "string", "format": "uuid"})
}

fn time() -> Value {
    json!({"type": "string", "description": "RFC 3339 in UTC with six digits, unless the operator has set naive times"})
}

pub(super) fn list(of: Value) -> Value {
    json!({"type": "array", "items": of})
}

pub(super) fn or_null(schema: Value) -> Value {
    json!({"anyOf": [schema, {"type": "null"}]})
}

fn one_of(words: &[&str]) -> Value {
    json!({"type": "string", "enum": words})
}

/// A page of a list.
pub(super) fn page(name: &str) -> Value {
    object([("count", number()), ("next", or_null(text())), ("previous", or_null(text())), ("results", list(of(name)))])
}

/// An answer that is a text.
pub(super) fn message() -> Value {
    object([("message", text())])
}

/// One schema with the keys of several.
fn joined(schemas: &[Value]) -> Value {
    let mut all = json!({"type": "object", "properties": {}, "required": []});
    for schema in schemas {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            all["properties"][name] = property.clone();
        }
        if let (Some(all), Some(required)) = (all["required"].as_array_mut(), schema["required"].as_array()) {
            all.extend(required.iter().cloned());
        }
    }
    all
}

/// All objects by their names.
pub(super) fn all() -> Map<String, Value> {
    people()
        .into_iter()
        .chain(chat())
        .chain(posts())
        .chain(others())
        .map(|(name, schema)| (name.to_owned(), schema))
        .collect()
}

fn basic() -> Value {
    object([
        ("id", id()),
        ("username", text()),
        ("display_name", text()),
        ("avatar", text()),
        ("avatar_url", text()),
        ("is_verified", flag()),
    ])
}

fn profile() -> Value {
    object([
        ("id", id()),
        ("email", text()),
        ("username", text()),
        ("display_name", text()),
        ("full_name", text()),
        ("avatar", text()),
        ("avatar_url", text()),
        ("cover_photo", or_null(text())),
        ("cover_photo_url", or_null(text())),
        ("bio", text()),
        ("position", text()),
        ("team", text()),
        ("contact_number", text()),
        ("interests", list(json!({}))),
        ("social_links", list(json!({}))),
        ("followers_count", number()),
        ("following_count", number()),
        ("posts_count", number()),
        ("is_verified", flag()),
        ("is_private", flag()),
        ("show_email", flag()),
        ("show_phone", flag()),
        ("created_at", time()),
        ("last_active", time()),
        ("account_type", text()),
        ("company_name", text()),
        ("industry", text()),
        ("website", text()),
    ])
}

fn people() -> Vec<(&'static str, Value)> {
    let relation = object([
        ("first_name", text()),
        ("last_name", text()),
        ("is_following", flag()),
        ("is_friend", flag()),
        ("is_blocked", flag()),
        ("friend_request_status", or_null(text())),
    ]);
    let in_lists = object([
        ("bio", text()),
        ("position", text()),
        ("team", text()),
        ("followers_count", number()),
        ("following_count", number()),
        ("posts_count", number()),
        ("is_following", flag()),
        ("is_friend", flag()),
        ("friend_request_status", or_null(text())),
    ]);
    let request = object([
        ("id", id()),
        ("sender", of("UserBasic")),
        ("receiver", of("UserBasic")),
        ("message", text()),
        ("status", one_of(&["pending", "accepted", "rejected"])),
        ("created_at", time()),
        ("updated_at", time()),
    ]);
    vec![
        ("UserBasic", basic()),
        ("UserProfile", profile()),
        ("UserDetail", joined(&[profile(), relation])),
        ("Person", joined(&[basic(), in_lists])),
        ("FriendRequest", request),
    ]
}

/// A participant's settings of a room.
fn settings() -> Value {
    object([
        ("other_user_nickname", text()),
        ("chat_background", text()),
        ("chat_color", text()),
        ("other_message_color", text()),
        ("notifications_enabled", flag()),
        ("sound_enabled", flag()),
        ("is_muted", flag()),
    ])
}

const REACTIONS: &[&str] = &["like", "love", "laugh", "wow", "sad", "angry", "fire", "golazo"];
const MESSAGES: &[&str] = &["text", "image", "video", "audio", "file", "emoji", "system", "story_reply"];

fn message_object() -> Value {
    object([
        ("id", id()),
        ("chat_room", id()),
        ("sender", of("UserProfile")),
        ("content", text()),
        ("message_type", one_of(MESSAGES)),
        ("image", or_null(text())),
        ("video", or_null(text())),
        ("audio", or_null(text())),
        ("file_url", text()),
        ("file_name", text()),
        ("file_size", or_null(number())),
        ("reply_to", or_null(of("Reply"))),
        ("is_edited", flag()),
        ("is_deleted", flag()),
        ("created_at", time()),
        ("updated_at", time()),
        ("reactions", list(of("MessageReaction"))),
        ("reaction_counts", json!({"type": "object", "additionalProperties": number()})),
        ("user_reaction", or_null(one_of(REACTIONS))),
        ("is_read", flag()),
        ("read_by_count", number()),
        ("is_reply", flag()),
        ("story_id", or_null(id())),
        ("story_preview", or_null(of("Story"))),
    ])
}

fn chat() -> Vec<(&'static str, Value)> {
    let names = || object([("username", text()), ("display_name", text())]);
    let member = object([
        ("id", id()),
        ("user", of("UserProfile")),
        ("role", text()),
        ("joined_at", time()),
        ("last_read_at", or_null(time())),
        ("unread_count", number()),
    ]);
    let last = object([
        ("id", id()),
        ("content", text()),
        ("message_type", one_of(MESSAGES)),
        ("sender", names()),
        ("created_at", time()),
    ]);
    let room = object([
        ("id", id()),
        ("name", text()),
        ("chat_type", one_of(&["private", "group"])),
        ("description", text()),
        ("avatar", or_null(text())),
        ("is_active", flag()),
        ("created_at", time()),
        ("updated_at", time()),
        ("last_activity", time()),
        ("participants", list(of("Participant"))),
        ("participants_count", number()),
        ("last_message", or_null(last)),
        ("unread_count", number()),
        ("other_user", or_null(of("UserProfile"))),
        ("display_name", text()),
        ("user_settings", or_null(of("RoomSettings"))),
    ]);
    let reply = object([
        ("id", id()),
        ("sender", names()),
        ("content", text()),
        ("message_type", one_of(MESSAGES)),
        ("is_deleted?", flag()),
    ]);
    let reaction =
        object([("id", id()), ("user", of("UserBasic")), ("reaction_type", one_of(REACTIONS)), ("created_at", time())]);
    let author = object([("id", id()), ("username", text()), ("display_name", text()), ("avatar_url", text())]);
    let story = object([
        ("id", id()),
        ("media_url", or_null(text())),
        ("media_type", text()),
        ("user", author),
        ("created_at", time()),
        ("is_expired", flag()),
    ]);
    vec![
        ("RoomSettings", settings()),
        ("Participant", joined(&[member, settings()])),
        ("Room", room),
        ("Reply", reply),
        ("MessageReaction", reaction),
        ("Story", story),
        ("Message", message_object()),
    ]
}

const POST_REACTIONS: &[&str] = &["like", "celebration", "golazo"];

fn posts() -> Vec<(&'static str, Value)> {
    let three = || object([("likes_count", number()), ("celebrations_count", number()), ("golazos_count", number())]);
    let five = || joined(&[three(), object([("laughs_count", number()), ("dislikes_count", number())])]);
    let post = object([
        ("id", id()),
        ("short_id", text()),
        ("user", of("UserProfile")),
        ("content", text()),
        ("images", list(json!({}))),
        ("video", or_null(text())),
        ("thumbnail", or_null(text())),
        ("podcast_url", text()),
        ("streaming_url", text()),
        ("post_type", one_of(&["text", "image", "video", "highlight", "podcast", "streaming"])),
        ("category", text()),
        ("comments_count", number()),
        ("shares_count", number()),
        ("views_count", number()),
        ("is_pinned", flag()),
        ("allow_comments", flag()),
        ("is_public", flag()),
        ("created_at", time()),
        ("updated_at", time()),
        ("reactions", list(of("PostReaction"))),
        ("comments", list(of("Comment"))),
        ("user_reaction", or_null(text())),
        ("is_bookmarked", flag()),
    ]);
    let reaction = object([
        ("id", id()),
        ("user", of("UserProfile")),
        ("reaction_type", one_of(POST_REACTIONS)),
        ("created_at", time()),
    ]);
    let comment = object([
        ("id", id()),
        ("post", id()),
        ("parent", or_null(id())),
        ("user", of("UserProfile")),
        ("content", text()),
        ("image", or_null(text())),
        ("likes_count", number()),
        ("replies_count", number()),
        ("is_edited", flag()),
        ("created_at", time()),
        ("updated_at", time()),
        ("replies", list(of("Comment"))),
        ("is_liked", flag()),
    ]);
    vec![
        ("Post", joined(&[post, five()])),
        ("PostReaction", reaction),
        ("Comment", comment),
        ("Counts", five()),
        ("CountsInShort", three()),
    ]
}

fn others() -> Vec<(&'static str, Value)> {
    let notification = object([
        ("id", id()),
        ("sender", of("UserBasic")),
        ("notification_type", text()),
        ("post_id", or_null(id())),
        ("comment_id", or_null(id())),
        ("friend_request_id", or_null(id())),
        ("message", text()),
        ("is_read", flag()),
        ("created_at", time()),
        ("read_at", or_null(time())),
        ("time_ago", text()),
    ]);
    let entry = object([
        ("route_key", text()),
        ("label", text()),
        ("path", text()),
        ("icon", text()),
        ("is_enabled", flag()),
        ("order", number()),
        ("requires_auth", flag()),
        ("badge_count", number()),
    ]);
    let album = object([
        ("id", json!({"type": "null"})),
        ("name", text()),
        ("files", list(json!({}))),
        ("file_count", number()),
    ]);
    let detail = object([("detail", text()), ("code?", text())]);
    let error = object([("error", text())]);
    let fields = json!({
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {"type": "array", "items": {"type": "string"}},
        "description": "texts by field; non_field_errors for the request as a whole",
    });
    let token = object([("token_class", text()), ("token_type", text()), ("message", text())]);
    let unauthorized = object([("detail", text()), ("code?", text()), ("messages?", list(token))]);
    let subscription = object([("id", id()), ("service", text()), ("created_at", time())]);
    vec![
        ("Notification", notification),
        ("MenuEntry", entry),
        ("Album", album),
        ("Tokens", object([("refresh", text()), ("access", text())])),
        ("PushSubscription", subscription),
        ("Fault", json!({"anyOf": [detail, error]})),
        ("Faults", json!({"anyOf": [detail, error, fields]})),
        ("Unauthorized", unauthorized),
    ]
}
