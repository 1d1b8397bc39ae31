//! Random writes in a room, compared with a plain model, for many seeds.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{Backend, Ids, Maria, Sqlite, World, unknown_message};
use pregon::domain::chat::event::ChatEvent;
use pregon::domain::chat::message::{MessageType, ReactionType};
use pregon::domain::chat::write::{Action, NewMessage, Transport};
use pregon::domain::write::{Outcome, Refusal};
use pregon::ids::{MessageId, RoomId, UserId};

const SEEDS: u64 = 64;
const ROUNDS: usize = 12;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.roll(all.len())]
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Row {
    id: MessageId,
    sender: UserId,
    content: String,
    kind: MessageType,
    is_edited: bool,
    is_deleted: bool,
    reactions: BTreeSet<(UserId, &'static str)>,
    reads: BTreeSet<UserId>,
}

/// A plain model of one room, with the expected outcome of each write.
#[derive(Default)]
struct Model {
    members: BTreeMap<UserId, bool>,
    rows: Vec<Row>,
    /// Rows from here on are newer than the user's `last_read_at`.
    read_up_to: BTreeMap<UserId, usize>,
    names: BTreeMap<(UserId, String), MessageId>,
    twins: Vec<(UserId, String, MessageType, Transport, MessageId)>,
    /// Users who left on their own, and whether somebody added them again; the whole run is within a day.
    left: BTreeMap<UserId, bool>,
    events: u64,
}

#[derive(Debug, PartialEq)]
enum Expected {
    Event,
    Known(MessageId),
    Unchanged,
    Refused(Refusal),
}

impl Model {
    fn expect(&mut self, actor: UserId, transport: Transport, action: &Action, outcome: &Outcome) -> Expected {
        let expected = self.decide(actor, transport, action, outcome);
        self.events += u64::from(expected == Expected::Event);
        expected
    }

    fn decide(&mut self, actor: UserId, transport: Transport, action: &Action, outcome: &Outcome) -> Expected {
        let Some(is_admin) = self.members.get(&actor).copied() else {
            return Expected::Refused(Refusal::NotParticipant);
        };
        match action {
            Action::Send(new) => self.send(actor, transport, new, outcome),
            Action::Edit { message, content } => self.change(*message, |row| match row {
                row if row.is_deleted => Expected::Refused(Refusal::NoSuchMessage),
                row if row.sender != actor => Expected::Refused(Refusal::NotAuthor),
                row if row.kind != MessageType::Text => Expected::Refused(Refusal::NotText),
                row => {
                    (row.content, row.is_edited) = (content.clone(), true);
                    Expected::Event
                }
            }),
            Action::Delete { message } => self.change(*message, |row| match row {
                row if row.sender != actor => Expected::Refused(Refusal::NotAuthor),
                row if row.is_deleted => Expected::Unchanged,
                row => {
                    row.is_deleted = true;
                    Expected::Event
                }
            }),
            Action::React { message, reaction } => self.change(*message, |row| {
                if row.is_deleted {
                    return Expected::Refused(Refusal::NoSuchMessage);
                }
                let triple = (actor, reaction.as_str());
                if !row.reactions.remove(&triple) {
                    row.reactions.insert(triple);
                }
                Expected::Event
            }),
            Action::Read { message } => {
                let outcome =
                    self.change(
                        *message,
                        |row| {
                            if row.reads.insert(actor) { Expected::Event } else { Expected::Unchanged }
                        },
                    );
                if outcome == Expected::Event {
                    self.read_up_to.insert(actor, self.rows.len());
                }
                outcome
            }
            Action::ReadAll => self.read_all(actor),
            Action::Leave => {
                self.left.entry(actor).or_insert(false);
                self.leave(actor)
            }
            Action::SetRole { .. } | Action::Change(_) => unreachable!("the tests of groups over REST have these"),
            Action::Remove { .. } | Action::Add { .. } if !is_admin => Expected::Refused(Refusal::NotAdmin),
            Action::Remove { user } => self.leave(*user),
            Action::Add { user } => {
                if self.members.contains_key(user) {
                    return Expected::Unchanged;
                }
                if let Some(was_added) = self.left.get_mut(user)
                    && std::mem::replace(was_added, true)
                {
                    return Expected::Refused(Refusal::HasLeft);
                }
                self.members.insert(*user, false);
                self.read_up_to.insert(*user, self.rows.len());
                Expected::Event
            }
        }
    }

    fn send(&mut self, actor: UserId, transport: Transport, new: &NewMessage, outcome: &Outcome) -> Expected {
        if let Some(name) = &new.client_id {
            if let Some(known) = self.names.get(&(actor, name.clone())) {
                let is_gone = self.rows.iter().any(|row| row.id == *known && row.is_deleted);
                return if is_gone { Expected::Refused(Refusal::Deleted) } else { Expected::Known(*known) };
            }
        } else {
            let is_twin = |(sender, content, kind, other, _): &(UserId, String, MessageType, Transport, MessageId)| {
                (*sender, content, *kind) == (actor, &new.content, new.message_type) && *other != transport
            };
            while let Some(place) = self.twins.iter().position(is_twin) {
                let twin = self.twins.remove(place).4;
                if self.rows.iter().any(|row| row.id == twin && !row.is_deleted) {
                    return Expected::Known(twin);
                }
            }
        }
        // The store chooses the id.
        let Outcome::Committed(event) = outcome else { return Expected::Event };
        let Some(ChatEvent::Sent(message)) = event.chat() else { return Expected::Event };
        match &new.client_id {
            Some(name) => drop(self.names.insert((actor, name.clone()), message.id)),
            None => self.twins.push((actor, new.content.clone(), new.message_type, transport, message.id)),
        }
        self.rows.push(Row {
            id: message.id,
            sender: actor,
            content: new.content.clone(),
            kind: new.message_type,
            is_edited: false,
            is_deleted: false,
            reactions: BTreeSet::new(),
            reads: BTreeSet::new(),
        });
        Expected::Event
    }

    fn change(&mut self, message: MessageId, change: impl FnOnce(&mut Row) -> Expected) -> Expected {
        let row = self.rows.iter_mut().find(|row| row.id == message);
        row.map_or(Expected::Refused(Refusal::NoSuchMessage), change)
    }

    fn read_all(&mut self, actor: UserId) -> Expected {
        let from = self.read_up_to.insert(actor, self.rows.len()).unwrap_or(0);
        let unread = self.rows[from..].iter_mut().filter(|row| row.sender != actor && !row.is_deleted);
        let new = unread.filter_map(|row| row.reads.insert(actor).then_some(())).count();
        if new > 0 { Expected::Event } else { Expected::Unchanged }
    }

    fn leave(&mut self, user: UserId) -> Expected {
        if self.members.remove(&user).is_some() { Expected::Event } else { Expected::Refused(Refusal::NoSuchUser) }
    }
}

fn any_action(dice: &mut Dice, users: &[UserId], known: &[MessageId]) -> Action {
    let message = if known.is_empty() || dice.roll(12) == 0 { unknown_message() } else { dice.of(known) };
    match dice.roll(24) {
        0..=8 => {
            let kind = dice.of(&[MessageType::Text, MessageType::Text, MessageType::Emoji]);
            let new = NewMessage::text(dice.of(&["hola", "adiós", "gol", "sí"]).into(), kind);
            let client_id = (dice.roll(3) == 0).then(|| dice.of(&["a", "b", "c", "d"]).to_owned());
            Action::Send(NewMessage { client_id, ..new })
        }
        9..=11 => Action::Edit { message, content: dice.of(&["nuevo", "otro"]).into() },
        12..=13 => Action::Delete { message },
        14..=16 => Action::React { message, reaction: dice.of(&[ReactionType::Like, ReactionType::Fire]) },
        17..=18 => Action::Read { message },
        19..=20 => Action::ReadAll,
        21 => Action::Add { user: dice.of(users) },
        22 => Action::Remove { user: dice.of(&users[1..]) },
        _ => Action::Leave,
    }
}

#[tokio::test]
async fn a_room_is_what_the_plain_model_says() {
    rooms_are_what_the_plain_model_says(Box::new(Sqlite::new())).await;
}

#[tokio::test]
async fn a_room_is_what_the_plain_model_says_on_mariadb() {
    rooms_are_what_the_plain_model_says(Box::new(Maria::new(Ids::Uuid))).await;
}

async fn rooms_are_what_the_plain_model_says(backend: Box<dyn Backend>) {
    let mut world = World::new(backend).await;
    let mut users = Vec::new();
    for name in ["ana", "beto", "caro", "dani"] {
        users.push(world.user(name).await);
    }
    for seed in 1..=SEEDS {
        let room = world.group(&users[..3]).await;
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut model = Model {
            members: [(users[0], true), (users[1], false), (users[2], false)].into(),
            read_up_to: users[..3].iter().map(|user| (*user, 0)).collect(),
            ..Model::default()
        };
        for _ in 0..ROUNDS {
            // Several at once, so that batches see their own writes.
            let known: Vec<MessageId> = model.rows.iter().map(|row| row.id).collect();
            let mut asked = Vec::new();
            for _ in 0..=dice.roll(12) {
                // The owner stays, because otherwise soon nobody could write.
                let actor = dice.of(&users);
                let action = match any_action(&mut dice, &users, &known) {
                    Action::Leave if actor == users[0] => Action::ReadAll,
                    action => action,
                };
                let transport = dice.of(&[Transport::Socket, Transport::Rest]);
                let answer = world.queue(actor, room, transport, action.clone());
                asked.push((actor, transport, action, answer));
            }
            for (actor, transport, action, answer) in asked {
                let outcome = answer.await.unwrap();
                let expected = model.expect(actor, transport, &action, &outcome);
                let actual = match &outcome {
                    Outcome::Committed(_) => Expected::Event,
                    Outcome::Twin(message) | Outcome::Repeated(message, _) => Expected::Known(message.id),
                    Outcome::Unchanged => Expected::Unchanged,
                    Outcome::Refused(refusal) => Expected::Refused(*refusal),
                };
                assert_eq!(actual, expected, "seed {seed}, {action:?}");
            }
        }
        if seed % 16 == 0 {
            world.reopen().await;
        }
        compare(&world, room, users[0], &model, seed).await;
    }
}

async fn compare(world: &World, room: RoomId, viewer: UserId, model: &Model, seed: u64) {
    let stored = world.history(viewer, room).await;
    let visible: Vec<&Row> = model.rows.iter().rev().filter(|row| !row.is_deleted).take(50).collect();
    assert_eq!(stored.len(), visible.len(), "seed {seed}");
    for (stored, row) in stored.iter().zip(visible) {
        assert_eq!((stored.id, stored.sender.id, &stored.content), (row.id, row.sender, &row.content), "seed {seed}");
        assert_eq!((stored.message_type, stored.is_edited), (row.kind, row.is_edited), "seed {seed}");
        let reactions: BTreeSet<_> =
            stored.reactions.iter().map(|reaction| (reaction.user.id, reaction.reaction_type.as_str())).collect();
        assert_eq!(reactions, row.reactions, "seed {seed}");
        assert_eq!(stored.read_by_count, row.reads.len() as u64, "seed {seed}");
        assert_eq!(stored.is_read, row.reads.contains(&viewer), "seed {seed}");
    }
    let seen = world.store.room(viewer, room).await.unwrap().unwrap();
    let members: BTreeSet<_> = seen.participants.iter().map(|participant| participant.user.id).collect();
    assert_eq!(members, model.members.keys().copied().collect(), "seed {seed}");
    for participant in &seen.participants {
        let from = model.read_up_to[&participant.user.id];
        let unread = model.rows[from..].iter().filter(|row| row.sender != participant.user.id && !row.is_deleted);
        assert_eq!(participant.unread_count, unread.count() as u64, "seed {seed}");
    }
    let topic = room.hex();
    let logged = format!("SELECT count(*) FROM pregon_events WHERE topic = 'room:{topic}'");
    let last = format!("SELECT seq FROM pregon_topics WHERE topic = 'room:{topic}'");
    assert_eq!(world.backend.number(&logged).await, model.events as i64, "seed {seed}");
    assert_eq!(world.backend.number(&last).await, model.events as i64, "seed {seed}: a hole");
}
