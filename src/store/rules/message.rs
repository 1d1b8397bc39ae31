//! The rules of writes in a room: messages, reactions, reads, and who takes part.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::domain::chat::event::ChatEvent;
use crate::domain::chat::message::{Message, MessageType, ReactionType, ReplyPreview};
use crate::domain::chat::twin::{Candidate, Twins};
use crate::domain::chat::write::{Action, NewMessage};
use crate::domain::user::UserProfile;
use crate::domain::write::{Outcome, Refusal};
use crate::ids::{MessageId, Topic};
use crate::limits;
use crate::store::rules::asked::{Asked, record, refused};
use crate::store::rules::room;
use crate::store::sql::LaneSql;
use crate::store::sql::chat_rows::Member;
use crate::store::sql::rows::{BatchRows, ReadAll};

/// Does what `action` asks for, or says why not.
pub(super) async fn apply<D: LaneSql>(
    rows: &mut BatchRows<'_, D>,
    twins: &mut Twins,
    now: Timestamp,
    write: &Asked<'_>,
    action: &Action,
) -> Result<Outcome, D::Error> {
    let Some(member) = rows.member(write.room, write.actor).await?.filter(|member| member.is_active) else {
        return Ok(refused(Refusal::NotParticipant));
    };
    let is_about_oneself =
        matches!(action, Action::Delete { .. } | Action::Read { .. } | Action::ReadAll | Action::Leave);
    if member.is_closed && !is_about_oneself {
        return Ok(refused(Refusal::Blocked));
    }
    match action {
        Action::Send(new) => send(rows, twins, now, write, new).await,
        Action::Edit { message, content } => edit(rows, write, *message, content).await,
        Action::Delete { message } => delete(rows, write, *message).await,
        Action::React { message, reaction } => react(rows, write, &member, *message, *reaction).await,
        Action::Read { message } => read(rows, write, &member, *message).await,
        Action::ReadAll => read_all(rows, write, &member).await,
        Action::Leave if member.is_private => Ok(refused(Refusal::PrivateRoom)),
        Action::Leave => room::take_away(rows, write, write.actor).await,
        Action::Remove { user } if member.is_admin && !member.is_private => room::take_away(rows, write, *user).await,
        Action::Add { user } if member.is_admin && !member.is_private => room::add(rows, write, *user).await,
        Action::SetRole { user, role } if !member.is_private => room::set_role(rows, write, *user, *role).await,
        Action::Change(patch) if member.is_admin && !member.is_private => room::change(rows, write, patch).await,
        Action::Remove { .. } | Action::Add { .. } | Action::SetRole { .. } | Action::Change(_) => {
            Ok(refused(Refusal::NotAdmin))
        }
    }
}

async fn send<D: LaneSql>(
    rows: &mut BatchRows<'_, D>,
    twins: &mut Twins,
    now: Timestamp,
    write: &Asked<'_>,
    new: &NewMessage,
) -> Result<Outcome, D::Error> {
    if let Some(client_id) = &new.client_id {
        let since = now.plus_seconds(-limits::CLIENT_ID_HOURS * 3600);
        if let Some(named) = rows.named_message(write.actor, write.room, client_id, since).await?
            && let Some(message) = rows.message(named.message).await?
        {
            // The author has deleted the message since. A repetition must not bring it back, and must not be told that
            // it was stored.
            if message.is_deleted {
                return Ok(refused(Refusal::Deleted));
            }
            let client_id = Some(client_id.as_str().into());
            let message = Arc::new(Message { client_id, ..Arc::unwrap_or_clone(message) });
            return Ok(Outcome::Repeated(message, named.cursor));
        }
    }
    let candidate = candidate(write, new);
    if let Some(candidate) = &candidate {
        // A deleted message cannot be a twin, but a later one may be.
        while let Some(twin) = twins.absorb(candidate, now) {
            if let Some(message) = rows.message(twin).await?.filter(|message| !message.is_deleted) {
                return Ok(Outcome::Twin(message));
            }
        }
    }
    let reply_to = match new.reply_to {
        Some(answered) => rows.reply(write.room, answered).await?,
        None => None,
    };
    if new.reply_is_strict && new.reply_to.is_some() && reply_to.is_none() {
        return Ok(refused(Refusal::ReplyElsewhere));
    }
    let sender = rows.profile(write.actor).await?;
    let place = rows.take_place(Topic::Room(write.room)).await?;
    let message = Arc::new(compose(rows.view.ids.fresh(), write, new, sender, reply_to, place.at));
    rows.insert_message(&message).await?;
    if let Some(client_id) = &new.client_id {
        rows.name_message(write.actor, write.room, client_id, message.id, place).await?;
    }
    if let Some(candidate) = &candidate {
        // The twin is remembered at this clock's time. The place's time may be far ahead of a clock that was set back,
        // or an hour behind.
        twins.enter(candidate, message.id, now);
    }
    record(rows, write, place, ChatEvent::Sent(message)).await
}

/// The message as a candidate for a twin. `None` if it has a `client_id` or a file: these identify it, and no guess is
/// needed.
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
    id: MessageId,
    write: &Asked<'_>,
    new: &NewMessage,
    sender: Arc<UserProfile>,
    reply_to: Option<ReplyPreview>,
    at: Timestamp,
) -> Message {
    let attachment = |kind| new.attachment.clone().filter(|_| new.message_type == kind);
    Message {
        id,
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
        client_id: new.client_id.as_deref().map(Box::from),
    }
}

async fn edit<D: LaneSql>(
    rows: &mut BatchRows<'_, D>,
    write: &Asked<'_>,
    id: MessageId,
    content: &str,
) -> Result<Outcome, D::Error> {
    let head = match rows.message_head(write.room, id).await? {
        Some(head) if !head.is_deleted => head,
        _ => return Ok(refused(Refusal::NoSuchMessage)),
    };
    if head.sender != write.actor {
        return Ok(refused(Refusal::NotAuthor));
    }
    if head.message_type != MessageType::Text {
        return Ok(refused(Refusal::NotText));
    }
    let place = rows.take_place(Topic::Room(write.room)).await?;
    rows.edit_message(id, content, place.at).await?;
    match rows.message(id).await? {
        Some(message) => record(rows, write, place, ChatEvent::Edited(message)).await,
        None => Ok(refused(Refusal::NoSuchMessage)),
    }
}

async fn delete<D: LaneSql>(
    rows: &mut BatchRows<'_, D>,
    write: &Asked<'_>,
    id: MessageId,
) -> Result<Outcome, D::Error> {
    let Some(head) = rows.message_head(write.room, id).await? else {
        return Ok(refused(Refusal::NoSuchMessage));
    };
    if head.sender != write.actor {
        return Ok(refused(Refusal::NotAuthor));
    }
    if head.is_deleted {
        return Ok(Outcome::Unchanged);
    }
    let place = rows.take_place(Topic::Room(write.room)).await?;
    rows.delete_message(id, place.at).await?;
    record(rows, write, place, ChatEvent::Deleted { message: id, user: write.actor }).await
}

async fn react<D: LaneSql>(
    rows: &mut BatchRows<'_, D>,
    write: &Asked<'_>,
    member: &Member,
    message: MessageId,
    reaction: ReactionType,
) -> Result<Outcome, D::Error> {
    if rows.message_head(write.room, message).await?.is_none_or(|head| head.is_deleted) {
        return Ok(refused(Refusal::NoSuchMessage));
    }
    let place = rows.take_place(Topic::Room(write.room)).await?;
    let added = rows.toggle_reaction(message, write.actor, reaction, place.at).await?;
    let username = Box::from(&*member.username);
    record(rows, write, place, ChatEvent::Reacted { message, user: write.actor, username, reaction, added }).await
}

async fn read<D: LaneSql>(
    rows: &mut BatchRows<'_, D>,
    write: &Asked<'_>,
    member: &Member,
    message: MessageId,
) -> Result<Outcome, D::Error> {
    if rows.message_head(write.room, message).await?.is_none() {
        return Ok(refused(Refusal::NoSuchMessage));
    }
    let at = rows.next_time(Topic::Room(write.room)).await?;
    if !rows.insert_read(message, write.actor, at).await? {
        return Ok(Outcome::Unchanged);
    }
    rows.move_last_read(write.room, write.actor, at);
    let place = rows.take_place(Topic::Room(write.room)).await?;
    let username = Box::from(&*member.username);
    record(rows, write, place, ChatEvent::Read { messages: vec![message], count: 1, user: write.actor, username }).await
}

async fn read_all<D: LaneSql>(
    rows: &mut BatchRows<'_, D>,
    write: &Asked<'_>,
    member: &Member,
) -> Result<Outcome, D::Error> {
    let at = rows.next_time(Topic::Room(write.room)).await?;
    let ReadAll { count, newest } = rows.read_all(write.room, write.actor, at).await?;
    if count == 0 {
        // No event takes this time. The next event may get it, and must not count as read.
        rows.move_last_read(write.room, write.actor, Timestamp(at.0 - 1));
        return Ok(Outcome::Unchanged);
    }
    rows.move_last_read(write.room, write.actor, at);
    let place = rows.take_place(Topic::Room(write.room)).await?;
    let username = Box::from(&*member.username);
    record(rows, write, place, ChatEvent::Read { messages: newest, count, user: write.actor, username }).await
}
