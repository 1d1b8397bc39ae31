//! The JSON objects that frames and REST answers share, with the exact keys that clients know.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::value::RawValue;

use crate::clock::{JsonTime, JsonTimes, Timestamp};
use crate::domain::chat::message::{Message, Reaction, ReplyPreview, StoryPreview};
use crate::domain::chat::room::{ChatRoom, ChatType, Participant, RoomSettings};
use crate::domain::user::{Person, UserProfile};
use crate::ids::UserId;
use crate::limits::frames::{ADDRESS_JSON_BYTES_MAX, JSON_CHAR_BYTES, PROFILE_JSON_BYTES_MAX, chars};
use crate::limits::{CONTENT_CHARS_MAX, REPLY_CHARS_SHOWN};
use crate::protocol::v0::json::{self, Object};

/// RFC 3986 §2.3: the characters that never need encoding.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The characters that Django's `filepath_to_uri` does not encode.
const PATH: &AsciiSet = &COMPONENT.remove(b'/').remove(b'!').remove(b'*').remove(b'\'').remove(b'(').remove(b')');

/// Whom a profile is written for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ProfileFor {
    /// The profile's owner, who may change it: nothing is left out.
    Owner,
    /// Everybody else: texts are cut to the longest that pregon accepts.
    Others,
    /// Everybody else, without the lists, because they are too long.
    OthersInShort,
}

/// Writes objects in the form that one deployment's clients know.
#[derive(Debug, Clone)]
pub struct Presenter {
    /// This server's address without a slash at the end: the base of media addresses.
    pub public_url: String,
    /// Whether e-mail addresses and telephone numbers are hidden from others unless their owner shows them.
    pub mask_contacts: bool,
    /// How times look.
    pub times: JsonTimes,
}

impl Presenter {
    /// `public_url` has no slash at the end. Without `mask_contacts` contacts are shown as the older backend did.
    pub fn new(public_url: &str, mask_contacts: bool) -> Self {
        let public_url = public_url.trim_end_matches('/').to_owned();
        Self { public_url, mask_contacts, times: JsonTimes::default() }
    }

    /// The same with times of another form.
    #[must_use]
    pub fn with_times(self, times: JsonTimes) -> Self {
        Self { times, ..self }
    }

    /// A moment as clients see it.
    pub fn time(&self, moment: Timestamp) -> JsonTime {
        self.times.text(moment)
    }

    /// The 28-key profile. Its owner sees all of it. For others it is masked, has at most [`PROFILE_JSON_BYTES_MAX`]
    /// bytes, and is written once and kept.
    pub fn profile(&self, out: &mut Vec<u8>, user: &UserProfile, viewer: Option<UserId>) {
        if viewer == Some(user.id) {
            return self.write_profile(out, user, ProfileFor::Owner);
        }
        let json = user.public_json.get_or_init(|| {
            let mut json = Vec::with_capacity(1024);
            self.write_profile(&mut json, user, ProfileFor::Others);
            if json.len() > PROFILE_JSON_BYTES_MAX {
                json.clear();
                self.write_profile(&mut json, user, ProfileFor::OthersInShort);
            }
            debug_assert!(json.len() <= PROFILE_JSON_BYTES_MAX);
            String::from_utf8(json).expect("JSON is UTF-8").into_boxed_str()
        });
        out.extend_from_slice(json.as_bytes());
    }

    fn write_profile(&self, out: &mut Vec<u8>, user: &UserProfile, reader: ProfileFor) {
        let is_own = reader == ProfileFor::Owner;
        let within = |chars_max| if is_own { usize::MAX } else { chars_max };
        let lists_bytes_max = if reader == ProfileFor::OthersInShort { 0 } else { usize::MAX };
        let avatar = self.avatar(user);
        let cover = user.cover_photo.as_deref().and_then(|path| self.address(path));
        let full_name = format!("{} {}", user.first_name, user.last_name);
        let full_name = if full_name.trim().is_empty() { &user.display_name } else { full_name.trim() };
        let masked = self.mask_contacts && !is_own;
        let shown = |value, public: bool| if masked && !public { "" } else { value };
        Object::open(out)
            .id("id", user.id)
            .text_within("email", shown(&user.email, user.show_email), within(chars::EMAIL))
            .text_within("username", &user.username, within(chars::USERNAME))
            .text_within("display_name", &user.display_name, within(chars::DISPLAY_NAME))
            .text_within("full_name", full_name, within(chars::FULL_NAME))
            .text("avatar", &avatar)
            .text("avatar_url", &avatar)
            .text_or_null("cover_photo", cover.as_deref())
            .text_or_null("cover_photo_url", cover.as_deref())
            .text_within("bio", &user.bio, within(chars::BIO))
            .text_within("position", &user.position, within(chars::POSITION))
            .text_within("team", &user.team, within(chars::TEAM))
            .text_within("contact_number", shown(&user.contact_number, user.show_phone), within(chars::CONTACT_NUMBER))
            .value("interests", |out| stored_array(out, &user.interests, lists_bytes_max))
            .value("social_links", |out| stored_array(out, &user.social_links, lists_bytes_max))
            .number("followers_count", user.followers_count)
            .number("following_count", user.following_count)
            .number("posts_count", user.posts_count)
            .flag("is_verified", user.is_verified)
            .flag("is_private", user.is_private)
            .flag("show_email", user.show_email)
            .flag("show_phone", user.show_phone)
            .time("created_at", self.time(user.created_at))
            .time("last_active", self.time(user.last_active))
            .text_within("account_type", &user.account_type, within(chars::ACCOUNT_TYPE))
            .text_within("company_name", &user.company_name, within(chars::COMPANY_NAME))
            .text_within("industry", &user.industry, within(chars::INDUSTRY))
            .text_within("website", &user.website, within(chars::URL))
            .close();
    }

    /// The six keys that lists and notifications show of a user.
    pub fn basic(&self, out: &mut Vec<u8>, user: &UserProfile) {
        let mut object = Object::open(out);
        self.basic_keys(&mut object, user);
        object.close();
    }

    fn basic_keys(&self, object: &mut Object<'_>, user: &UserProfile) {
        let avatar = self.avatar(user);
        object
            .id("id", user.id)
            .text_within("username", &user.username, chars::USERNAME)
            .text_within("display_name", &user.display_name, chars::DISPLAY_NAME)
            .text("avatar", &avatar)
            .text("avatar_url", &avatar)
            .flag("is_verified", user.is_verified);
    }

    /// A user in a list of people, with the relation between the viewer and that user.
    pub fn person(&self, out: &mut Vec<u8>, person: &Person) {
        let mut object = Object::open(out);
        self.basic_keys(&mut object, &person.profile);
        object
            .text("bio", &person.profile.bio)
            .text("position", &person.profile.position)
            .text("team", &person.profile.team)
            .number("followers_count", person.followers_column)
            .number("following_count", person.following_column)
            .number("posts_count", person.posts_column)
            .flag("is_following", person.is_following)
            .flag("is_friend", person.is_friend)
            .text_or_null("friend_request_status", person.friend_request)
            .close();
    }

    /// The 24-key message of a frame, which has no viewer.
    pub fn message(&self, out: &mut Vec<u8>, message: &Message) {
        // Only the creation of a message that answers a story makes a frame, so the frame's time is the message's.
        self.message_for(out, message, None, message.created_at);
    }

    /// The 24-key message as `viewer` sees it at `now`, uncut. In frames texts are cut to the longest that pregon
    /// accepts.
    pub fn message_for(&self, out: &mut Vec<u8>, message: &Message, viewer: Option<UserId>, now: Timestamp) {
        let media = |path: &Option<String>| path.as_deref().and_then(|path| self.address(path));
        let within = |chars_max| if viewer.is_none() { chars_max } else { usize::MAX };
        Object::open(out)
            .id("id", message.id)
            .id("chat_room", message.room)
            .value("sender", |out| self.profile(out, &message.sender, viewer))
            .text_within("content", &message.content, within(CONTENT_CHARS_MAX))
            .text("message_type", message.message_type.as_str())
            .text_or_null("image", media(&message.image).as_deref())
            .text_or_null("video", media(&message.video).as_deref())
            .text_or_null("audio", media(&message.audio).as_deref())
            .text_within("file_url", &message.file_url, within(chars::URL))
            .text_within("file_name", &message.file_name, within(chars::FILE_NAME))
            .value("file_size", |out| match message.file_size {
                Some(bytes) => out.extend_from_slice(itoa::Buffer::new().format(bytes).as_bytes()),
                None => out.extend_from_slice(b"null"),
            })
            .value("reply_to", |out| match &message.reply_to {
                Some(reply) => write_reply(out, reply),
                None => out.extend_from_slice(b"null"),
            })
            .flag("is_edited", message.is_edited)
            .flag("is_deleted", message.is_deleted)
            .time("created_at", self.time(message.created_at))
            .time("updated_at", self.time(message.updated_at))
            .array("reactions", &message.reactions, |out, reaction| self.reaction(out, reaction))
            .value("reaction_counts", |out| {
                let mut counts = Object::open(out);
                for (reaction, count) in &message.reaction_counts {
                    counts.number(reaction.as_str(), *count);
                }
                counts.close();
            })
            .text_or_null("user_reaction", message.user_reaction.map(|reaction| reaction.as_str()))
            .flag("is_read", message.is_read)
            .number("read_by_count", message.read_by_count)
            .flag("is_reply", message.reply_to.is_some())
            .value("story_id", |out| match message.story_id {
                Some(id) => json::id(out, id.hyphenated()),
                None => out.extend_from_slice(b"null"),
            })
            .value("story_preview", |out| match &message.story {
                Some(story) => self.story(out, story, now),
                None => out.extend_from_slice(b"null"),
            })
            .close();
    }

    fn reaction(&self, out: &mut Vec<u8>, reaction: &Reaction) {
        Object::open(out)
            .id("id", reaction.id.hyphenated())
            .value("user", |out| self.basic(out, &reaction.user))
            .text("reaction_type", reaction.reaction_type.as_str())
            .time("created_at", self.time(reaction.created_at))
            .close();
    }

    fn story(&self, out: &mut Vec<u8>, story: &StoryPreview, now: Timestamp) {
        Object::open(out)
            .id("id", story.id.hyphenated())
            .text_or_null("media_url", self.address(&story.media).as_deref())
            .text_within("media_type", &story.media_type, chars::MEDIA_TYPE)
            .value("user", |out| {
                Object::open(out)
                    .id("id", story.user.id)
                    .text_within("username", &story.user.username, chars::USERNAME)
                    .text_within("display_name", &story.user.display_name, chars::DISPLAY_NAME)
                    .text("avatar_url", &self.avatar(&story.user))
                    .close();
            })
            .time("created_at", self.time(story.created_at))
            .flag("is_expired", now > story.expires_at)
            .close();
    }

    /// The 16-key room as its viewer sees it.
    pub fn room(&self, out: &mut Vec<u8>, room: &ChatRoom) {
        let viewer = Some(room.viewer);
        let own = room.participants.iter().find(|one| one.user.id == room.viewer);
        let other = room.participants.iter().find(|one| one.user.id != room.viewer);
        let other = other.filter(|_| room.chat_type == ChatType::Private);
        Object::open(out)
            .id("id", room.id)
            .text("name", &room.name)
            .text("chat_type", room.chat_type.as_str())
            .text("description", &room.description)
            .text_or_null("avatar", room.avatar.as_deref().and_then(|path| self.media(path)).as_deref())
            .flag("is_active", room.is_active)
            .time("created_at", self.time(room.created_at))
            .time("updated_at", self.time(room.updated_at))
            .time("last_activity", self.time(room.last_activity))
            .array("participants", &room.participants, |out, one| self.participant(out, one, room.viewer))
            .number("participants_count", room.participants_count)
            .value("last_message", |out| match &room.last_message {
                Some(message) => self.last_message(out, message),
                None => out.extend_from_slice(b"null"),
            })
            .number("unread_count", own.map_or(0, |own| own.unread_count))
            .value("other_user", |out| match other {
                Some(other) => self.profile(out, &other.user, viewer),
                None => out.extend_from_slice(b"null"),
            })
            .text("display_name", &room_display_name(room, own, other))
            .value("user_settings", |out| match own {
                Some(own) => room_settings(out, &own.settings),
                None => out.extend_from_slice(b"null"),
            })
            .close();
    }

    fn last_message(&self, out: &mut Vec<u8>, message: &Message) {
        Object::open(out)
            .id("id", message.id)
            .text("content", &message.content)
            .text("message_type", message.message_type.as_str())
            .value("sender", |out| write_names(out, &message.sender.username, &message.sender.display_name))
            .time("created_at", self.time(message.created_at))
            .close();
    }

    /// A participant. The nicknames, read times and muting of others are private: their keys stay, without values.
    fn participant(&self, out: &mut Vec<u8>, one: &Participant, viewer: UserId) {
        let is_own = one.user.id == viewer;
        let nobodys = RoomSettings::default();
        let mut object = Object::open(out);
        object
            .id("id", one.id.hyphenated())
            .value("user", |out| self.profile(out, &one.user, Some(viewer)))
            .text("role", &one.role);
        settings_keys(&mut object, if is_own { &one.settings } else { &nobodys });
        object.time("joined_at", self.time(one.joined_at));
        if is_own {
            object.time("last_read_at", self.time(one.last_read_at)).number("unread_count", one.unread_count);
        } else {
            object.value("last_read_at", |out| out.extend_from_slice(b"null")).number("unread_count", 0);
        }
        object.close();
    }

    /// The avatar's address; users without one get a generated drawing of their name.
    pub fn avatar(&self, user: &UserProfile) -> String {
        user.avatar.as_deref().and_then(|path| self.address(path)).unwrap_or_else(|| {
            let name = utf8_percent_encode(json::within(&user.display_name, chars::DISPLAY_NAME), COMPONENT);
            format!("https://ui-avatars.com/api/?name={name}&background=00ff88&color=fff")
        })
    }

    /// The address of a path below the media root. A full address is returned as it is; an empty column gives `None`.
    pub fn media(&self, path: &str) -> Option<String> {
        match path {
            "" => None,
            path if path.starts_with("http") => Some(path.to_owned()),
            path => Some(format!("{}/media/{}", self.public_url, utf8_percent_encode(path, PATH))),
        }
    }

    /// The same, or `None` if the address is too long to be shown.
    pub fn address(&self, path: &str) -> Option<String> {
        self.media(path).filter(|address| {
            address.len() * JSON_CHAR_BYTES <= ADDRESS_JSON_BYTES_MAX || {
                let mut json = Vec::with_capacity(address.len() + 2);
                json::text(&mut json, address);
                json.len() <= ADDRESS_JSON_BYTES_MAX
            }
        })
    }
}

/// A participant's seven settings of a room.
pub fn room_settings(out: &mut Vec<u8>, settings: &RoomSettings) {
    let mut object = Object::open(out);
    settings_keys(&mut object, settings);
    object.close();
}

fn settings_keys(object: &mut Object<'_>, settings: &RoomSettings) {
    object
        .text("other_user_nickname", &settings.other_user_nickname)
        .text("chat_background", &settings.chat_background)
        .text("chat_color", &settings.chat_color)
        .text("other_message_color", &settings.other_message_color)
        .flag("notifications_enabled", settings.notifications_enabled)
        .flag("sound_enabled", settings.sound_enabled)
        .flag("is_muted", settings.is_muted);
}

fn room_display_name(room: &ChatRoom, own: Option<&Participant>, other: Option<&Participant>) -> String {
    let nickname = own.map(|own| own.settings.other_user_nickname.as_str());
    let other = other.map(|other| other.user.display_name.as_str());
    let name = [Some(room.name.as_str()), nickname, other].into_iter().flatten().find(|name| !name.is_empty());
    name.map_or_else(|| format!("Chat {}", room.id), str::to_owned)
}

fn write_reply(out: &mut Vec<u8>, reply: &ReplyPreview) {
    let cut = json::within(&reply.content, REPLY_CHARS_SHOWN);
    let is_whole = cut.len() == reply.content.len();
    let mut object = Object::open(out);
    object
        .id("id", reply.id)
        .value("sender", |out| write_names(out, &reply.sender_username, &reply.sender_display_name))
        .text("content", &if is_whole { Cow::Borrowed(cut) } else { Cow::Owned(format!("{cut}...")) })
        .text("message_type", reply.message_type.as_str());
    if reply.is_deleted {
        object.flag("is_deleted", true);
    }
    object.close();
}

fn write_names(out: &mut Vec<u8>, username: &str, display_name: &str) {
    Object::open(out)
        .text_within("username", username, chars::USERNAME)
        .text_within("display_name", display_name, chars::DISPLAY_NAME)
        .close();
}

/// A column's JSON array; the empty array if it is invalid or too long, so that a bad row cannot spoil a frame.
pub(super) fn stored_array(out: &mut Vec<u8>, column: &str, bytes_max: usize) {
    match serde_json::from_str::<&RawValue>(if column.len() > bytes_max { "" } else { column }) {
        Ok(array) if array.get().starts_with('[') => out.extend_from_slice(array.get().as_bytes()),
        _ => out.extend_from_slice(b"[]"),
    }
}

#[cfg(test)]
mod tests;
