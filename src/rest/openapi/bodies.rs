//! What requests and answers of the REST API hold, as types that yield their JSON Schemas.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

/// A time as the server writes it: ISO 8601, by default of UTC with a `Z`, or without a zone as `PREGON_JSON_TIME_ZONE` says.
#[derive(Serialize)]
pub struct Time(String);

impl JsonSchema for Time {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "ISO 8601: of UTC with a Z, or as PREGON_JSON_TIME_ZONE says.",
            "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d",
        })
    }
}

macro_rules! bodies {
    ($($(#[$about:meta])* $name:ident { $($field:ident: $kind:ty,)* })*) => {
        $(
            $(#[$about])*
            #[derive(Serialize, JsonSchema)]
            pub struct $name { $(pub $field: $kind,)* }
        )*
    };
}

bodies! {
    /// A user. Others see neither address nor number unless their owner shows them.
    Profile {
        id: Uuid, email: String, username: String, display_name: String, full_name: String, avatar: String, avatar_url: String,
        cover_photo: Option<String>, cover_photo_url: Option<String>, bio: String, position: String, team: String,
        contact_number: String, interests: Vec<Value>, social_links: Vec<Value>, followers_count: u64, following_count: u64,
        posts_count: u64, is_verified: bool, is_private: bool, show_email: bool, show_phone: bool, created_at: Time,
        last_active: Time, account_type: String, company_name: String, industry: String, website: String,
    }
    /// A user with the relation between them and the caller.
    FullProfile {
        id: Uuid, email: String, username: String, display_name: String, full_name: String, avatar: String, avatar_url: String,
        cover_photo: Option<String>, cover_photo_url: Option<String>, bio: String, position: String, team: String,
        contact_number: String, interests: Vec<Value>, social_links: Vec<Value>, followers_count: u64, following_count: u64,
        posts_count: u64, is_verified: bool, is_private: bool, show_email: bool, show_phone: bool, created_at: Time,
        last_active: Time, account_type: String, company_name: String, industry: String, website: String, first_name: String,
        last_name: String, is_following: bool, is_friend: bool, is_blocked: bool, friend_request_status: Option<String>,
    }
    /// A user in short.
    Basic { id: Uuid, username: String, display_name: String, avatar: String, avatar_url: String, is_verified: bool, }
    /// A user in a list, with the relation between them and the caller.
    Person {
        id: Uuid, username: String, display_name: String, avatar: String, avatar_url: String, is_verified: bool, bio: String,
        position: String, team: String, followers_count: u64, following_count: u64, posts_count: u64, is_following: bool,
        is_friend: bool, friend_request_status: Option<String>,
    }
    /// A page of a list.
    PeoplePage { count: u64, next: Option<String>, previous: Option<String>, results: Vec<Person>, }
    /// Whose name a message shows.
    Names { username: String, display_name: String, }
    /// A reaction to a message.
    MessageReaction { id: Uuid, user: Basic, reaction_type: String, created_at: Time, }
    /// The message that another one answers.
    Reply { id: Uuid, sender: Names, content: String, message_type: String, }
    /// A message as the caller sees it.
    Message {
        id: Uuid, chat_room: Uuid, sender: Profile, content: String, message_type: MessageType, image: Option<String>,
        video: Option<String>, audio: Option<String>, file_url: String, file_name: String, file_size: Option<u32>,
        reply_to: Option<Reply>, is_edited: bool, is_deleted: bool, created_at: Time, updated_at: Time,
        reactions: Vec<MessageReaction>, reaction_counts: BTreeMap<String, u64>, user_reaction: Option<String>, is_read: bool,
        read_by_count: u64, is_reply: bool, story_id: Option<Uuid>, story_preview: Option<Value>,
    }
    /// A page of a list, newest first.
    MessagesPage { count: u64, next: Option<String>, previous: Option<String>, results: Vec<Message>, }
    /// Messages that were found, newest first. `next` goes on with older ones.
    MessagesFound { next: Option<String>, results: Vec<Message>, }
    /// The last message of a room.
    LastMessage { id: Uuid, content: String, message_type: String, sender: Names, created_at: Time, }
    /// A participant's own settings of a room.
    RoomSettings {
        other_user_nickname: String, chat_background: String, chat_color: String, other_message_color: String,
        notifications_enabled: bool, sound_enabled: bool, is_muted: bool,
    }
    /// Who takes part in a room. The settings, read time and unread count of others are empty.
    Participant {
        id: Uuid, user: Profile, role: Role, other_user_nickname: String, chat_background: String, chat_color: String,
        other_message_color: String, notifications_enabled: bool, sound_enabled: bool, is_muted: bool, joined_at: Time,
        last_read_at: Option<Time>, unread_count: u64,
    }
    /// A room as the caller sees it.
    Room {
        id: Uuid, name: String, chat_type: ChatType, description: String, avatar: Option<String>, is_active: bool,
        created_at: Time, updated_at: Time, last_activity: Time, participants: Vec<Participant>, participants_count: u64,
        last_message: Option<LastMessage>, unread_count: u64, other_user: Option<Profile>, display_name: String,
        user_settings: Option<RoomSettings>,
    }
    /// A page of a list.
    RoomsPage { count: u64, next: Option<String>, previous: Option<String>, results: Vec<Room>, }
    /// A new room.
    RoomMade { id: Uuid, name: String, chat_type: ChatType, description: String, avatar: Option<String>, }
    /// What was done, and the settings now.
    SettingsChanged { message: String, chat_settings: RoomSettings, }
    /// A reaction to a post.
    PostReaction { id: Uuid, user: Profile, reaction_type: String, created_at: Time, }
    /// A comment with its first replies.
    Comment {
        id: Uuid, post: Uuid, parent: Option<Uuid>, user: Profile, content: String, image: Option<String>, likes_count: u64,
        replies_count: u64, is_edited: bool, created_at: Time, updated_at: Time, replies: Vec<Comment>, is_liked: bool,
    }
    /// A page of a list.
    CommentsPage { count: u64, next: Option<String>, previous: Option<String>, results: Vec<Comment>, }
    /// What was done, and how many messages were read.
    ReadAll { message: String, count: u64, }
    /// A post as the caller sees it, with its newest reactions and first comments.
    Post {
        id: Uuid, short_id: String, user: Profile, content: String, images: Vec<Value>, video: Option<String>,
        thumbnail: Option<String>, podcast_url: String, streaming_url: String, post_type: PostType, category: String,
        likes_count: u64, celebrations_count: u64, golazos_count: u64, laughs_count: u64, dislikes_count: u64,
        comments_count: u64, shares_count: u64, views_count: u64, is_pinned: bool, allow_comments: bool, is_public: bool,
        created_at: Time, updated_at: Time, reactions: Vec<PostReaction>, comments: Vec<Comment>, user_reaction: Option<String>,
        is_bookmarked: bool,
    }
    /// A page of a list, newest first.
    PostsPage { count: u64, next: Option<String>, previous: Option<String>, results: Vec<Post>, }
    /// A notification.
    Notification {
        id: Uuid, sender: Basic, notification_type: String, post_id: Option<Uuid>, comment_id: Option<Uuid>,
        friend_request_id: Option<Uuid>, message: String, is_read: bool, created_at: Time, read_at: Option<Time>,
        time_ago: String,
    }
    /// A page of a list, newest first.
    NotificationsPage { count: u64, next: Option<String>, previous: Option<String>, results: Vec<Notification>, }
    /// An open friend request.
    FriendRequest {
        id: Uuid, sender: Basic, receiver: Basic, message: String, status: String, created_at: Time, updated_at: Time,
    }
    /// What was done, and the request.
    FriendRequested { message: String, friend_request: FriendRequest, }
    /// What was done, in the words that clients show.
    Done { message: String, }
    /// Tokens.
    Pair { access: String, refresh: String, }
    /// Tokens, and whose.
    LoggedIn { access: String, refresh: String, user: Profile, }
    /// A new account.
    Registered { message: String, user: Profile, tokens: Pair, }
    /// The token is good.
    Verified { valid: bool, user: Profile, }
    /// A ticket for one socket of `pregon.v1`, good for so many seconds.
    Ticket { ticket: String, expires_in: u64, }
    /// What was done, and the caller.
    AvatarChanged { message: String, avatar_url: String, user: Profile, }
    /// What was done, and the caller.
    CoverChanged { message: String, cover_photo_url: String, user: Profile, }
    /// A count.
    UnreadCount { unread_count: u64, }
    /// What was done, and how often.
    Updated { message: String, updated_count: u64, }
    /// What was done, and how often.
    Deleted { message: String, deleted_count: u64, }
    /// What was done, and the notification now.
    NotificationRead { message: String, notification: Notification, }
    /// Whose name this is.
    Named { id: Uuid, username: String, display_name: String, }
    /// Posts of a kind.
    OfType { post_type: String, count: u64, }
    /// Totals.
    Totals { likes: u64, celebrations: u64, golazos: u64, comments: u64, shares: u64, views: u64, }
    /// Totals over posts.
    Stats { total_posts: u64, posts_by_type: Vec<OfType>, total_reactions: Totals, }
    /// Totals over a user's posts.
    AuthorStats { user: Named, stats: Stats, }
    /// Reactions.
    Breakdown { likes: u64, celebrations: u64, golazos: u64, }
    /// Reactions that the caller has given.
    Given { count: u64, breakdown: Breakdown, }
    /// The server.
    Root { name: String, version: String, links: BTreeMap<String, String>, }
    /// An album: always empty.
    Album { id: Option<u64>, name: String, files: Vec<Value>, file_count: u64, }
}

/// Kinds of messages.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageType {
    Text,
    Emoji,
    Image,
    Video,
    Audio,
    File,
    System,
    StoryReply,
}

/// What a participant may do.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Owner,
    Admin,
    Member,
}

/// Kinds of rooms.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChatType {
    Private,
    Group,
    Community,
}

bodies! {
    /// Why a request was not done: `error`, or `detail` (with a `code` for tokens), or texts by field.
    Problem { error: Option<String>, detail: Option<String>, code: Option<String>, }
}

/// Some fields of these are there in some answers only.
macro_rules! partly {
    ($($(#[$about:meta])* $name:ident { $($field:ident: $kind:ty,)* } { $($maybe:ident: $maybe_kind:ty,)* })*) => {
        $(
            $(#[$about])*
            #[derive(Serialize, JsonSchema)]
            pub struct $name {
                $(pub $field: $kind,)*
                $(#[serde(skip_serializing_if = "Option::is_none")] pub $maybe: Option<$maybe_kind>,)*
            }
        )*
    };
}

partly! {
    /// The counters of a post, under their own names and two older ones.
    Counts { likes_count: u64, celebrations_count: u64, golazos_count: u64, } { laughs_count: u64, dislikes_count: u64, }
    /// What was done; the reaction if one was set, the counts if the caller may see the post.
    Reacted { message: String, } { reaction: PostReaction, counts: Counts, }
    /// What was done; the count if the caller may see the post.
    Liked { message: String, } { likes_count: u64, }
    /// What was done.
    Shared { message: String, } { shares_count: u64, }
    /// What was done to a message.
    MessageReacted { message: String, reacted: bool, } { reaction_type: String, }
    /// What was done, and the room; without `message` if it was there.
    ChatFound { chat: Room, created: bool, } { message: String, }
}

macro_rules! requests {
    ($($(#[$about:meta])* $name:ident { $($field:ident: $kind:ty,)* })*) => {
        $(
            $(#[$about])*
            #[derive(serde::Deserialize, JsonSchema)]
            pub struct $name { $(pub $field: $kind,)* }
        )*
    };
}

requests! {
    /// A name or an address, and the password.
    Login { login: String, password: String, }
    /// A new account.
    Registration {
        email: String, username: String, display_name: String, password: String, password_confirm: String,
        account_type: Option<String>, company_name: Option<String>, industry: Option<String>, website: Option<String>,
    }
    /// A refresh token.
    Refresh { refresh: String, }
    /// The login's refresh token, which ends with it.
    Logout { refresh_token: Option<String>, refresh: Option<String>, }
    /// The old password and the new one, which is repeated if the client asks twice.
    PasswordChange {
        current_password: Option<String>, old_password: Option<String>, new_password: String, new_password_confirm: Option<String>,
    }
    /// Fields that are not named stay.
    ProfileChange {
        display_name: Option<String>, first_name: Option<String>, last_name: Option<String>, bio: Option<String>,
        position: Option<String>, team: Option<String>, contact_number: Option<String>, interests: Option<Vec<String>>,
        social_links: Option<Vec<Value>>, is_private: Option<bool>, show_email: Option<bool>, show_phone: Option<bool>,
        account_type: Option<String>, company_name: Option<String>, industry: Option<String>, website: Option<String>,
    }
    /// A new room: private with one other, or a group with a name and two others.
    NewRoom {
        chat_type: Option<String>, name: Option<String>, description: Option<String>, participant_ids: Vec<Uuid>,
    }
    /// Fields that are not named stay.
    RoomChange { name: Option<String>, description: Option<String>, avatar: Option<String>, }
    /// Fields that are not named stay.
    SettingsChange {
        other_user_nickname: Option<String>, chat_background: Option<String>, chat_color: Option<String>,
        other_message_color: Option<String>, notifications_enabled: Option<bool>, sound_enabled: Option<bool>,
        is_muted: Option<bool>,
    }
    /// A user.
    UserId { user_id: Uuid, }
    /// A participant's new role: `owner`, `admin` or `member`.
    RoleChange { user_id: Uuid, role: String, }
    /// A message. The same `client_id` again within a day is the same message.
    NewMessage {
        content: Option<String>, message_type: Option<String>, reply_to: Option<Uuid>, client_id: Option<String>,
        file_url: Option<String>, file_name: Option<String>, file_size: Option<u32>,
    }
    /// A new text.
    NewText { content: String, }
    /// A reaction.
    Reaction { reaction_type: String, }
    /// `accept` or `reject`.
    Response { action: String, }
    /// A post. All fields are optional.
    PostFields {
        content: Option<String>, post_type: Option<String>, category: Option<String>, images: Option<Vec<String>>,
        podcast_url: Option<String>, streaming_url: Option<String>, allow_comments: Option<bool>, is_public: Option<bool>,
        is_pinned: Option<bool>,
    }
    /// A comment, or an answer to one.
    NewComment { content: String, parent: Option<Uuid>, }
    /// What the caller says to it.
    Share { message: Option<String>, }
}

bodies! {
    /// Nothing that is described here: a file as it is, or flags that an operator chooses.
    Anything {}
}

/// A post's kind.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PostType {
    Text,
    Image,
    Video,
    Highlight,
    Podcast,
    Streaming,
}
