//! Every frame of `pregon.v1` as a type, which yields the JSON Schema, the TypeScript types and the table of docs/protocol.md, and
//! against which the writers and readers of frames are held.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

/// A client's name for its request, given back with the reply.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum RequestId {
    Number(Number),
    /// At most 64 bytes of JSON.
    Text(String),
}

/// What a client does after an error.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Retry {
    /// The same request will never be done.
    Never,
    /// The request has a fault.
    Fix,
    /// The same request, after `retry_after_ms`.
    Later,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Durability {
    /// In the database, on disk.
    Stored,
    /// There, and with a replica of it.
    Replicated,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Person {
    id: String,
    username: String,
}

/// A user and the number that stands for them in the topic.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct User {
    n: u32,
    id: String,
    username: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar: Option<String>,
}

/// Somebody who takes part in a room.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Member {
    id: String,
    username: String,
    display_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar: Option<String>,
    /// `member`, `admin` or `owner`.
    role: String,
    present: bool,
}

/// Somebody who has read a message; `at` is in microseconds since 1970.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Reader {
    id: String,
    username: String,
    display_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar: Option<String>,
    at: u64,
}

/// A frame of the server.
#[expect(clippy::large_enum_variant, reason = "a few are made in tests")]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum ServerFrame {
    /// The socket is the user's; before `token_expires` (seconds since 1970) it needs a newer token.
    Welcome {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
        user: Person,
        token_expires: u64,
        topics_max: u32,
    },
    /// The socket has a newer token.
    Refreshed {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
        token_expires: u64,
    },
    /// What follows is everything in the topic behind `cursor`, which is null for a feed.
    Subscribed {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
        topic: String,
        cursor: Option<String>,
        resumed: bool,
    },
    /// Something was missed: read the list at `refetch` again. What follows is everything behind `cursor`.
    Gap { topic: String, cursor: Option<String>, refetch: String },
    /// The socket hears the topic no more; of all topics (`*`) if it reads too slowly. With a reason unless it was asked for.
    Unsubscribed {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
        topic: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry: Option<Retry>,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
    /// The request was not done.
    Error {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
        #[serde(skip_serializing_if = "Option::is_none")]
        topic: Option<String>,
        code: String,
        text: String,
        retry: Retry,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
    /// The write is stored. `repeated`: it was before, or there was nothing to write.
    Ack {
        id: Option<RequestId>,
        #[serde(skip_serializing_if = "Option::is_none")]
        client_id: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        message_id: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
        repeated: bool,
        durability: Durability,
    },
    /// How many take part in the room, and how many of them have a socket there, on any node.
    RoomInfo {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
        topic: String,
        participants: u32,
        present: u32,
    },
    /// Who takes part in the room, in no order that means anything: with `next` as `after` the next page comes.
    Roster {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
        topic: String,
        participants: u32,
        present: u32,
        members: Vec<Member>,
        next: Option<String>,
    },
    /// Messages of others behind `last_read_at` (microseconds since 1970) that are not deleted. `more`: only the newest were counted.
    Unread {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
        topic: String,
        count: u64,
        more: bool,
        last_read_at: u64,
    },
    /// How many have read the message, and who, page by page.
    Readers {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
        topic: String,
        message_id: String,
        count: u64,
        readers: Vec<Reader>,
        next: Option<String>,
    },
    /// The answer to a ping.
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
    },
    /// From here on, frames of the topic may use these numbers.
    Users { topic: String, users: Vec<User> },
    /// Something happened in the topic. What is not stored has no `cursor`, nor has what feeds hear.
    Event {
        topic: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
        event: TopicEvent,
    },
    /// Something passing was left out, because the client read too slowly.
    Skipped {},
    /// The server stops, or has more than its part: the client opens another socket, in these milliseconds from now.
    Drain { move_after_ms: u64, move_within_ms: u64 },
    /// The server's operator has something to say, or says it in a room.
    Notice {
        #[serde(skip_serializing_if = "Option::is_none")]
        topic: Option<String>,
        text: String,
    },
}

#[expect(clippy::large_enum_variant, reason = "a few are made in tests")]
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum TopicEvent {
    Own(OwnEvent),
    Older(OlderEvent),
}

/// An event in the words of the older sockets.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct OlderEvent {
    #[serde(rename = "type")]
    kind: String,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum OwnEvent {
    Message(Message),
    MessageEdited(Message),
    MessageDeleted {
        message_id: String,
        user_id: String,
    },
    MessageRead {
        user: u32,
        count: u64,
        message_ids: Vec<String>,
    },
    MessageReaction {
        user: u32,
        message_id: String,
        reaction_type: String,
        added: bool,
    },
    /// The room has another name, description or picture, or participants have other roles: read it again.
    RoomChanged {
        user_id: String,
    },
    /// How many users have a socket in the room, on any node. Only where the room is too large to be told who comes and goes.
    PresenceCount {
        present: u32,
    },
    CommentsDeleted {
        comment_ids: Vec<String>,
        comments_count: u64,
    },
    PostShared {
        shares_count: u64,
    },
    NotificationsRead {
        notification_ids: Vec<String>,
        count: u64,
    },
    NotificationsDeleted {
        notification_ids: Vec<String>,
        unread_count: u64,
    },
}

/// A message without what is usual. `at` is in microseconds since 1970.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Message {
    id: String,
    user: u32,
    content: String,
    at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    video: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<Answered>,
    #[serde(skip_serializing_if = "Option::is_none")]
    story_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_edited: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
}

/// The message that another one answers.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Answered {
    id: String,
    username: String,
    content: String,
    message_type: String,
}

/// A frame of a client.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum ClientFrame {
    /// Says whose socket it is, or brings a newer token: one of `token` and `ticket`.
    Auth {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
        #[serde(skip_serializing_if = "Option::is_none")]
        token: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        ticket: Option<String>,
    },
    /// Hear a topic, behind `cursor` or from now on.
    Subscribe {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
        topic: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// Hear a topic no more.
    Unsubscribe {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
        topic: String,
    },
    /// Say something. The same `client_id` within a day means the same message.
    ChatMessage {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
        topic: String,
        content: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        message_type: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reply_to: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        client_id: Option<String>,
    },
    /// New text for one's own message.
    EditMessage {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
        topic: String,
        message_id: String,
        content: String,
    },
    /// One's own message goes.
    DeleteMessage {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
        topic: String,
        message_id: String,
    },
    /// A reaction comes or goes.
    ReactMessage {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
        topic: String,
        message_id: String,
        reaction_type: String,
    },
    /// A message was seen.
    ReadMessage {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
        topic: String,
        message_id: String,
    },
    /// Told to the others of the room, or of the post. No reply.
    Typing {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
        topic: String,
        is_typing: bool,
    },
    /// Told to the room's other sockets, with `echo` to this one too. No reply.
    Signal {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
        topic: String,
        data: Value,
        #[serde(skip_serializing_if = "Option::is_none")]
        echo: Option<bool>,
    },
    /// How many take part in a room, and how many are there.
    RoomInfo {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
        topic: String,
    },
    /// Who takes part in a room, and who is there: at most 200, behind `after`.
    Roster {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
        topic: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        after: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        limit: Option<u32>,
    },
    /// What the user has not read in a room.
    Unread {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
        topic: String,
    },
    /// Who has read a message, and when: at most 200, behind `after`.
    Readers {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
        topic: String,
        message_id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        after: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        limit: Option<u32>,
    },
    /// A notification was seen.
    MarkRead {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
        notification_id: String,
    },
    /// Asks for a pong.
    Ping {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
    },
}

/// What both sides say.
#[derive(Debug, JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct Protocol {
    server: ServerFrame,
    client: ClientFrame,
}

#[cfg(test)]
mod tests;
