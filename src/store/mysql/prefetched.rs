//! Reads in one round trip everything that a batch's chat writes will need, together with the locks of their topics.

use std::collections::{BTreeSet, HashMap, HashSet};

use mysql_async::Row;

use crate::clock::Zone;
use crate::domain::chat::message::{ReactionType, ReplyPreview};
use crate::domain::chat::write::Action;
use crate::domain::write::{Intent, Write};
use crate::ids::{MessageId, RoomId, Topic, UserId};
use crate::store::mysql::connection::MysqlError;
use crate::store::mysql::driver::Driver;
use crate::store::mysql::literal::{filled, list, row};
use crate::store::sql::member::{MEMBER, member_of_row};
use crate::store::sql::messages::MessageHead;
use crate::store::sql::topics::{TopicState, state_of_row};
use crate::store::sql::{Columns, Known, LaneSql, Name, Named, Parameters, Unexpected};

/// The keys to read.
#[derive(Debug, Default)]
struct Wanted {
    members: HashSet<(RoomId, UserId)>,
    heads: HashSet<MessageId>,
    replies: HashSet<MessageId>,
    names: HashSet<Name>,
    reads: HashSet<(MessageId, UserId)>,
    reactions: HashSet<(MessageId, UserId, ReactionType)>,
}

const HEADS: &str = "SELECT id, chat_room_id, sender_id, message_type, is_deleted FROM messages WHERE id";
const REPLIES: &str = "SELECT m.id, m.chat_room_id, u.username, u.display_name, m.content, m.message_type \
    FROM messages m JOIN users u ON u.id = m.sender_id WHERE m.is_deleted = 0 AND m.id";
const NAMES: &str =
    "SELECT user_id, room_id, client_id, message_id, created_at, epoch, seq FROM pregon_client_ids WHERE ";
const READS: &str = "SELECT message_id, user_id FROM message_reads WHERE ";
const REACTIONS: &str = "SELECT message_id, user_id, reaction_type FROM message_reactions WHERE ";

/// By the primary key, so that only the named rows are locked, in the keys' order.
const TOPICS: &str = "SELECT topic, epoch, seq, last_at FROM pregon_topics FORCE INDEX (PRIMARY) WHERE topic";

impl Wanted {
    fn of(writes: &[Write]) -> Self {
        let mut wanted = Self::default();
        for write in writes {
            let Intent::Chat { room, action } = &write.intent else { continue };
            let actor = write.actor;
            wanted.members.insert((*room, actor));
            match action {
                Action::Send(new) => {
                    wanted.names.extend(new.client_id.as_ref().map(|name| (actor, *room, name.clone())));
                    wanted.replies.extend(new.reply_to);
                }
                Action::Edit { message, .. } | Action::Delete { message } => drop(wanted.heads.insert(*message)),
                Action::React { message, reaction } => {
                    wanted.heads.insert(*message);
                    wanted.reactions.insert((*message, actor, *reaction));
                }
                Action::Read { message } => {
                    wanted.heads.insert(*message);
                    wanted.reads.insert((*message, actor));
                }
                Action::ReadAll
                | Action::Leave
                | Action::Remove { .. }
                | Action::Add { .. }
                | Action::SetRole { .. }
                | Action::Change(_) => {}
            }
        }
        wanted
    }

    /// The statements after the one for topics, in the order in which [`Self::read`] takes their rows.
    fn statements(&self, sql: &mut String, zone: Zone) {
        let members = self.members.iter().map(|(room, user)| (room, user));
        any(sql, zone, MEMBER, "(p.chat_room_id = ? AND p.user_id = ?)", members, |(room, user), add| {
            add(&[room, user]);
        });
        let names = "(user_id = ? AND room_id = ? AND client_id = ?)";
        any(sql, zone, NAMES, names, &self.names, |(user, room, name), add| add(&[user, room, name]));
        let reads = "(message_id = ? AND user_id = ?)";
        any(sql, zone, READS, reads, &self.reads, |(message, user), add| add(&[message, user]));
        let reactions = "(message_id = ? AND user_id = ? AND reaction_type = ?)";
        any(sql, zone, REACTIONS, reactions, &self.reactions, |(message, user, kind), add| {
            add(&[message, user, kind]);
        });
        for (text, keys) in [(HEADS, &self.heads), (REPLIES, &self.replies)] {
            if !keys.is_empty() {
                sql.push_str(text);
                list(sql, zone, keys);
                sql.push(';');
            }
        }
    }
}

/// `head one OR one OR …;`, or nothing if there are no keys.
fn any<K>(
    sql: &mut String,
    zone: Zone,
    head: &str,
    one: &str,
    keys: impl IntoIterator<Item = K>,
    values: impl Fn(K, &mut dyn FnMut(Parameters<'_>)),
) {
    let mut before = head;
    for key in keys {
        sql.push_str(before);
        values(key, &mut |values| filled(sql, zone, one, values));
        before = " OR ";
    }
    if before != head {
        sql.push(';');
    }
}

/// Inserts rows for those of `topics` that have none, in the keys' order.
pub async fn make(driver: &mut Driver, topics: &BTreeSet<Topic>) -> Result<(), MysqlError> {
    let mut names: Vec<String> = topics.iter().map(Topic::to_string).collect();
    names.sort_unstable();
    let mut sql = String::new();
    let mut before = "INSERT IGNORE INTO pregon_topics (topic, epoch, seq, last_at) VALUES ";
    for name in &names {
        sql.push_str(before);
        row(&mut sql, driver.zone, &[name, &1_u32, &0_u32, &0_u32]);
        before = ",";
    }
    driver.run(&sql).await
}

/// In one round trip: begins the transaction, locks the topics, and reads what the chat writes among `writes` will
/// need. Returns false if some topics have no row yet.
pub async fn open(
    driver: &mut Driver,
    topics: &BTreeSet<Topic>,
    writes: &[Write],
    known: &mut Known,
) -> Result<bool, MysqlError> {
    let wanted = Wanted::of(writes);
    let zone = driver.zone;
    let names: HashMap<String, Topic> = topics.iter().map(|topic| (topic.to_string(), *topic)).collect();
    let mut sql = "START TRANSACTION;".to_owned();
    sql.push_str(TOPICS);
    // All lanes lock topics in one order, so that two batches never wait for each other in a circle.
    let mut sorted: Vec<&String> = names.keys().collect();
    sorted.sort_unstable();
    list(&mut sql, zone, sorted);
    sql.push_str(" ORDER BY topic FOR UPDATE;");
    wanted.statements(&mut sql, zone);
    let mut sets = driver.sets(&sql).await?.into_iter();
    let _begun = sets.next();
    known.clear();
    for row in sets.next().unwrap_or_default() {
        let (topic, state) = topic_of_row(Columns::new(&row, zone), &names)?;
        known.topics.insert(topic, state);
    }
    wanted.read(known, sets, zone)?;
    Ok(known.topics.len() == topics.len())
}

fn topic_of_row(row: Columns<'_>, names: &HashMap<String, Topic>) -> Result<(Topic, TopicState), Unexpected> {
    let topic = names.get(row.str(0)?).copied();
    let topic = topic.ok_or_else(|| Unexpected("a topic that was not asked for".into()))?;
    Ok((topic, state_of_row(row)?))
}

fn columns(row: &Row, zone: Zone) -> Columns<'_> {
    Columns::new(row, zone)
}

impl Wanted {
    /// Records what was found, and what was not.
    fn read(self, known: &mut Known, sets: impl Iterator<Item = Vec<Row>>, zone: Zone) -> Result<(), Unexpected> {
        let wanted = self;
        let mut sets = sets;
        // A statement without keys was left out.
        let mut rows = |is_there: bool| if is_there { sets.next().unwrap_or_default() } else { Vec::new() };
        let columns = move |row| columns(row, zone);
        let set = rows(!wanted.members.is_empty());
        known.members.extend(wanted.members.into_iter().map(|key| (key, None)));
        for row in set.iter().map(columns) {
            known.members.insert((row.id(0)?, row.id(1)?), Some(member_of_row(row)?));
        }
        let set = rows(!wanted.names.is_empty());
        known.names.extend(wanted.names.into_iter().map(|key| (key, None)));
        for row in set.iter().map(columns) {
            let name = (row.id(0)?, row.id(1)?, row.text(2)?);
            known.names.insert(name, Some(Named::of_row(row, 3)?));
        }
        let set = rows(!wanted.reads.is_empty());
        known.reads.extend(wanted.reads.into_iter().map(|key| (key, false)));
        for row in set.iter().map(columns) {
            known.reads.insert((row.id(0)?, row.id(1)?), true);
        }
        let set = rows(!wanted.reactions.is_empty());
        known.reactions.extend(wanted.reactions.into_iter().map(|key| (key, false)));
        for row in set.iter().map(columns) {
            known.reactions.insert((row.id(0)?, row.id(1)?, row.kind(2)?), true);
        }
        let set = rows(!wanted.heads.is_empty());
        known.heads.extend(wanted.heads.into_iter().map(|key| (key, None)));
        for row in set.iter().map(columns) {
            let head = MessageHead { sender: row.id(2)?, message_type: row.kind(3)?, is_deleted: row.flag(4)? };
            known.heads.insert(row.id(0)?, Some((row.id(1)?, head)));
        }
        let set = rows(!wanted.replies.is_empty());
        known.replies.extend(wanted.replies.into_iter().map(|key| (key, None)));
        for row in set.iter().map(columns) {
            let reply = ReplyPreview {
                id: row.id(0)?,
                sender_username: row.text(2)?,
                sender_display_name: row.text(3)?,
                content: row.text(4)?,
                message_type: row.kind(5)?,
                is_deleted: false,
            };
            known.replies.insert(reply.id, Some((row.id(1)?, reply)));
        }
        Ok(())
    }
}
