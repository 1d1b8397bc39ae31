//! What each write does, decided inside its transaction; the same rules for every database.
//!
//! A database offers [`Rows`]: small questions and small changes that see the batch's own changes. The rules check
//! first and change second, so that a refusal leaves no trace and takes no place in its topic's order.

mod adopt;
mod comment;
mod feed;
mod notice;
mod people;
mod post;
mod topics;

pub use feed::{FeedRows, ReadNotifications, Telling};
pub use topics::topics;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::domain::chat::event::ChatEvent;
use crate::domain::chat::message::{Message, MessageType, ReactionType, ReplyPreview};
use crate::domain::chat::twin::{Candidate, Twins};
use crate::domain::chat::write::{Action, NewMessage, Transport};
use crate::domain::event::{Committed, Cursor, Event};
use crate::domain::user::UserProfile;
use crate::domain::write::{AnswerTo, Intent, Outcome, Refusal, Write};
use crate::ids::{MessageId, RoomId, SessionKey, Topic, UserId};
use crate::limits;

/// A participant row with what decides on its rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The user and the room are active.
    pub is_active: bool,
    /// `owner` or `admin`.
    pub is_admin: bool,
    /// The room is private: nobody is added or removed.
    pub is_private: bool,
    /// The user's name, for frames.
    pub username: Arc<str>,
}

/// What the rules must know of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageHead {
    /// Its author.
    pub sender: UserId,
    /// Its kind.
    pub message_type: MessageType,
    /// Deleted softly.
    pub is_deleted: bool,
}

/// A place in a topic's order, taken by one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Epoch and sequence number.
    pub cursor: Cursor,
    /// The topic's own time there.
    pub at: Timestamp,
}

/// Others' messages that a user read at one stroke.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadAll {
    /// How many were new.
    pub count: u64,
    /// The newest of them, at most [`limits::READ_ALL_FRAMES_MAX`], newest first.
    pub newest: Vec<MessageId>,
}

/// The rows as one transaction sees them, its own changes included.
pub trait Rows {
    /// A failed statement.
    type Error;

    /// The participant row of (room, user).
    fn member(&mut self, room: RoomId, user: UserId) -> Result<Option<Member>, Self::Error>;
    /// Does the user exist, and is active?
    fn is_active_user(&mut self, user: UserId) -> Result<bool, Self::Error>;
    /// The profile of a user who exists.
    fn profile(&mut self, user: UserId) -> Result<Arc<UserProfile>, Self::Error>;
    /// A message of the room, deleted or not.
    fn message_head(&mut self, room: RoomId, message: MessageId) -> Result<Option<MessageHead>, Self::Error>;
    /// A whole message as nobody in particular sees it.
    fn message(&mut self, message: MessageId) -> Result<Option<Arc<Message>>, Self::Error>;
    /// A message of the room that is not deleted, as a reply shows it.
    fn reply(&mut self, room: RoomId, message: MessageId) -> Result<Option<ReplyPreview>, Self::Error>;
    /// The message a client named so after `since`.
    fn named_message(
        &mut self,
        user: UserId,
        room: RoomId,
        client_id: &str,
        since: Timestamp,
    ) -> Result<Option<MessageId>, Self::Error>;

    /// The time the topic's next event will have: later than all before it.
    fn next_time(&mut self, topic: Topic) -> Result<Timestamp, Self::Error>;
    /// Takes the topic's next place; its time is [`Self::next_time`]'s.
    fn take_place(&mut self, topic: Topic) -> Result<Place, Self::Error>;
    /// Writes the event's row.
    fn log(&mut self, event: &Committed, transport: Transport) -> Result<(), Self::Error>;

    /// A new message; the room's last activity moves with it.
    fn insert_message(&mut self, message: &Message) -> Result<(), Self::Error>;
    /// Remembers the client's name for a message.
    fn name_message(
        &mut self,
        user: UserId,
        room: RoomId,
        client_id: &str,
        message: MessageId,
        at: Timestamp,
    ) -> Result<(), Self::Error>;
    /// New text.
    fn edit_message(&mut self, message: MessageId, content: &str, at: Timestamp) -> Result<(), Self::Error>;
    /// Soft deletion.
    fn delete_message(&mut self, message: MessageId, at: Timestamp) -> Result<(), Self::Error>;
    /// Removes the reaction if it is there, adds it if not; true when added.
    fn toggle_reaction(
        &mut self,
        message: MessageId,
        user: UserId,
        reaction: ReactionType,
        at: Timestamp,
    ) -> Result<bool, Self::Error>;
    /// A read row; false when there was one.
    fn insert_read(&mut self, message: MessageId, user: UserId, at: Timestamp) -> Result<bool, Self::Error>;
    /// Moves the participant's `last_read_at`, never backwards.
    fn move_last_read(&mut self, room: RoomId, user: UserId, at: Timestamp) -> Result<(), Self::Error>;
    /// Read rows for all others' messages after `last_read_at` that lack one.
    fn read_all(&mut self, room: RoomId, user: UserId, at: Timestamp) -> Result<ReadAll, Self::Error>;
    /// A `member` row; false when there was a row.
    fn insert_member(&mut self, room: RoomId, user: UserId, at: Timestamp) -> Result<bool, Self::Error>;
    /// Takes the participant row away; false when there was none.
    fn delete_member(&mut self, room: RoomId, user: UserId) -> Result<bool, Self::Error>;
}

/// Does what `write` wants, or says why not. Adds what is to be shown to `events`, in order.
///
/// # Errors
/// A statement failed: the write must be rolled back as a whole.
pub fn apply<R: FeedRows>(
    rows: &mut R,
    twins: &mut Twins,
    events: &mut Vec<Arc<Committed>>,
    now: Timestamp,
    write: &Write,
) -> Result<Outcome, R::Error> {
    let first = events.len();
    let foretold = if cfg!(debug_assertions) { Some(topics(rows, write)?) } else { None };
    let outcome = match &write.intent {
        Intent::Chat { room, action } => {
            let asked = Asked { room: *room, actor: write.actor, transport: write.transport, write };
            let outcome = apply_chat(rows, twins, now, &asked, action)?;
            if let Outcome::Committed(event) = &outcome {
                events.push(Arc::clone(event));
            }
            outcome
        }
        Intent::Feed(action) => feed::apply(rows, events, now, write, action)?,
        Intent::Adopt(addition) => adopt::adopt(rows, events, write, *addition)?,
    };
    if let Some(foretold) = foretold {
        // Databases with several lanes lock what is foretold, and nothing else.
        debug_assert!(events[first..].iter().all(|event| foretold.contains(&event.topic)), "{:?}", write.intent);
    }
    Ok(outcome)
}

/// A write with its room.
struct Asked<'a> {
    room: RoomId,
    actor: UserId,
    transport: Transport,
    write: &'a Write,
}

fn apply_chat<R: Rows>(
    rows: &mut R,
    twins: &mut Twins,
    now: Timestamp,
    write: &Asked<'_>,
    action: &Action,
) -> Result<Outcome, R::Error> {
    let Some(member) = rows.member(write.room, write.actor)?.filter(|member| member.is_active) else {
        return Ok(refused(Refusal::NotParticipant));
    };
    match action {
        Action::Send(new) => send(rows, twins, now, write, new),
        Action::Edit { message, content } => edit(rows, write, *message, content),
        Action::Delete { message } => delete(rows, write, *message),
        Action::React { message, reaction } => react(rows, write, &member, *message, *reaction),
        Action::Read { message } => read(rows, write, &member, *message),
        Action::ReadAll => read_all(rows, write, &member),
        Action::Leave => take_away(rows, write, write.actor),
        Action::Remove { user } if member.is_admin && !member.is_private => take_away(rows, write, *user),
        Action::Add { user } if member.is_admin && !member.is_private => add(rows, write, *user),
        Action::Remove { .. } | Action::Add { .. } => Ok(refused(Refusal::NotAdmin)),
    }
}

fn send<R: Rows>(
    rows: &mut R,
    twins: &mut Twins,
    now: Timestamp,
    write: &Asked<'_>,
    new: &NewMessage,
) -> Result<Outcome, R::Error> {
    if let Some(client_id) = &new.client_id {
        let since = now.plus_seconds(-limits::CLIENT_ID_HOURS * 3600);
        if let Some(named) = rows.named_message(write.actor, write.room, client_id, since)?
            && let Some(message) = rows.message(named)?
        {
            return Ok(Outcome::Repeated(message));
        }
    }
    let candidate = candidate(write, new);
    if let Some(candidate) = &candidate
        && let Some(twin) = twins.absorb(candidate, now)
        && let Some(message) = rows.message(twin)?
    {
        return Ok(Outcome::Twin(message));
    }
    let reply_to = match new.reply_to {
        Some(answered) => rows.reply(write.room, answered)?,
        None => None,
    };
    if new.reply_is_strict && new.reply_to.is_some() && reply_to.is_none() {
        return Ok(refused(Refusal::ReplyElsewhere));
    }
    let sender = rows.profile(write.actor)?;
    let place = rows.take_place(Topic::Room(write.room))?;
    let message = Arc::new(compose(write, new, sender, reply_to, place.at));
    rows.insert_message(&message)?;
    if let Some(client_id) = &new.client_id {
        rows.name_message(write.actor, write.room, client_id, message.id, place.at)?;
    }
    if let Some(candidate) = &candidate {
        // Not its place in the topic, which may be far ahead of a clock that was put back.
        twins.enter(candidate, message.id, now);
    }
    record(rows, write, place, ChatEvent::Sent(message))
}

/// What carries a `client_id` or a file is named by it, and needs no guessing.
fn candidate<'a>(write: &Asked<'_>, new: &'a NewMessage) -> Option<Candidate<'a>> {
    let is_plain = new.client_id.is_none() && new.attachment.is_none() && new.file_url.is_empty();
    is_plain.then_some(Candidate {
        room: write.room,
        sender: write.actor,
        content: &new.content,
        message_type: new.message_type,
        transport: write.transport,
    })
}

fn compose(
    write: &Asked<'_>,
    new: &NewMessage,
    sender: Arc<UserProfile>,
    reply_to: Option<ReplyPreview>,
    at: Timestamp,
) -> Message {
    let attachment = |kind| new.attachment.clone().filter(|_| new.message_type == kind);
    Message {
        id: MessageId::fresh(),
        room: write.room,
        sender,
        content: new.content.clone(),
        message_type: new.message_type,
        image: attachment(MessageType::Image),
        video: attachment(MessageType::Video),
        audio: attachment(MessageType::Audio),
        file_url: new.file_url.clone(),
        file_name: new.file_name.clone(),
        file_size: new.file_size,
        reply_to,
        is_edited: false,
        is_deleted: false,
        created_at: at,
        updated_at: at,
        reactions: Vec::new(),
        reaction_counts: BTreeMap::new(),
        user_reaction: None,
        is_read: false,
        read_by_count: 0,
        story_id: None,
        story: None,
    }
}

fn edit<R: Rows>(rows: &mut R, write: &Asked<'_>, id: MessageId, content: &str) -> Result<Outcome, R::Error> {
    let head = match rows.message_head(write.room, id)? {
        Some(head) if !head.is_deleted => head,
        _ => return Ok(refused(Refusal::NoSuchMessage)),
    };
    if head.sender != write.actor {
        return Ok(refused(Refusal::NotAuthor));
    }
    if head.message_type != MessageType::Text {
        return Ok(refused(Refusal::NotText));
    }
    let place = rows.take_place(Topic::Room(write.room))?;
    rows.edit_message(id, content, place.at)?;
    match rows.message(id)? {
        Some(message) => record(rows, write, place, ChatEvent::Edited(message)),
        None => Ok(refused(Refusal::NoSuchMessage)),
    }
}

fn delete<R: Rows>(rows: &mut R, write: &Asked<'_>, id: MessageId) -> Result<Outcome, R::Error> {
    let Some(head) = rows.message_head(write.room, id)? else {
        return Ok(refused(Refusal::NoSuchMessage));
    };
    if head.sender != write.actor {
        return Ok(refused(Refusal::NotAuthor));
    }
    if head.is_deleted {
        return Ok(Outcome::Unchanged);
    }
    let place = rows.take_place(Topic::Room(write.room))?;
    rows.delete_message(id, place.at)?;
    record(rows, write, place, ChatEvent::Deleted { message: id, user: write.actor })
}

fn react<R: Rows>(
    rows: &mut R,
    write: &Asked<'_>,
    member: &Member,
    message: MessageId,
    reaction: ReactionType,
) -> Result<Outcome, R::Error> {
    if rows.message_head(write.room, message)?.is_none_or(|head| head.is_deleted) {
        return Ok(refused(Refusal::NoSuchMessage));
    }
    let place = rows.take_place(Topic::Room(write.room))?;
    let added = rows.toggle_reaction(message, write.actor, reaction, place.at)?;
    let username = Box::from(&*member.username);
    record(rows, write, place, ChatEvent::Reacted { message, user: write.actor, username, reaction, added })
}

fn read<R: Rows>(rows: &mut R, write: &Asked<'_>, member: &Member, message: MessageId) -> Result<Outcome, R::Error> {
    if rows.message_head(write.room, message)?.is_none() {
        return Ok(refused(Refusal::NoSuchMessage));
    }
    let at = rows.next_time(Topic::Room(write.room))?;
    if !rows.insert_read(message, write.actor, at)? {
        return Ok(Outcome::Unchanged);
    }
    rows.move_last_read(write.room, write.actor, at)?;
    let place = rows.take_place(Topic::Room(write.room))?;
    let username = Box::from(&*member.username);
    record(rows, write, place, ChatEvent::Read { messages: vec![message], count: 1, user: write.actor, username })
}

fn read_all<R: Rows>(rows: &mut R, write: &Asked<'_>, member: &Member) -> Result<Outcome, R::Error> {
    let at = rows.next_time(Topic::Room(write.room))?;
    let ReadAll { count, newest } = rows.read_all(write.room, write.actor, at)?;
    if count == 0 {
        // No event takes this time: the next one may have it, and must not count as read.
        rows.move_last_read(write.room, write.actor, Timestamp(at.0 - 1))?;
        return Ok(Outcome::Unchanged);
    }
    rows.move_last_read(write.room, write.actor, at)?;
    let place = rows.take_place(Topic::Room(write.room))?;
    let username = Box::from(&*member.username);
    record(rows, write, place, ChatEvent::Read { messages: newest, count, user: write.actor, username })
}

fn take_away<R: Rows>(rows: &mut R, write: &Asked<'_>, user: UserId) -> Result<Outcome, R::Error> {
    if !rows.delete_member(write.room, user)? {
        return Ok(refused(Refusal::NoSuchUser));
    }
    let place = rows.take_place(Topic::Room(write.room))?;
    record(rows, write, place, ChatEvent::Left { user })
}

fn add<R: Rows>(rows: &mut R, write: &Asked<'_>, user: UserId) -> Result<Outcome, R::Error> {
    if !rows.is_active_user(user)? {
        return Ok(refused(Refusal::NoSuchUser));
    }
    let at = rows.next_time(Topic::Room(write.room))?;
    if !rows.insert_member(write.room, user, at)? {
        return Ok(Outcome::Unchanged);
    }
    let place = rows.take_place(Topic::Room(write.room))?;
    record(rows, write, place, ChatEvent::Joined { user })
}

fn record<R: Rows>(rows: &mut R, write: &Asked<'_>, place: Place, event: ChatEvent) -> Result<Outcome, R::Error> {
    let committed = Committed {
        topic: Topic::Room(write.room),
        cursor: place.cursor,
        event_id: write.write.event_id,
        at: place.at,
        origin: origin(write.write),
        event: Event::Chat(event),
    };
    rows.log(&committed, write.transport)?;
    Ok(Outcome::Committed(Arc::new(committed)))
}

/// The session that asked, if one did.
fn origin(write: &Write) -> Option<SessionKey> {
    match write.answer {
        AnswerTo::Session(session) => Some(session),
        AnswerTo::Caller(_) => None,
    }
}

fn refused(refusal: Refusal) -> Outcome {
    Outcome::Refused(refusal)
}
