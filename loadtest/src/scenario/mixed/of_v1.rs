//! How a mixed load speaks `pregon.v1`: names of requests, their acks, and the places of events.

use super::Mixed;
use super::events::Event;
use crate::digest::digest;
use crate::scenario::shares::Act;
use crate::tag::Tag;
use crate::v1::read::Heard;
use crate::v1::{self, Cursor};

impl Mixed {
    /// The field that names the actor's room, where requests have one.
    pub(super) fn topic_field(&self, actor: usize) -> String {
        let topic = self.v1.as_ref().map(|v1| &v1.topics[actor / self.layout.members]);
        topic.map_or(String::new(), |topic| format!(r#","topic":"{topic}""#))
    }

    /// The fields that name a request and its room; a message also gets a name of its own.
    pub(super) fn name_fields(&mut self, actor: usize, tag: Tag, act: Act) -> String {
        let to = self.topic_field(actor);
        let Some(of_v1) = &mut self.v1 else { return to };
        of_v1.names.sent(tag);
        let name = String::from_utf8_lossy(&tag.encode()).into_owned();
        match act {
            Act::Message | Act::Reply => v1::named(&of_v1.topics[actor / self.layout.members], &name),
            _ => format!(r#"{to},"id":"{name}""#),
        }
    }

    /// A frame of `pregon.v1` that is no event.
    pub(super) fn reply(&mut self, link: usize, heard: &Heard<'_>) {
        let Some(of_v1) = &mut self.v1 else { return };
        let fault = match heard {
            Heard::Users(users) => {
                of_v1.numbers.extend(users.iter().copied());
                of_v1.names.learn(0, users).err()
            }
            Heard::Ack(ack) => match Tag::named(&ack.id) {
                Some(tag) => of_v1.names.acked(tag, ack).err(),
                None => Some("an ack for a request that nobody made".to_owned()),
            },
            Heard::Error { id, text } => {
                if let Some(tag) = id.as_ref().and_then(|id| Tag::named(id)) {
                    of_v1.names.refused(tag);
                }
                return self.refused(link, text);
            }
            _ => None,
        };
        if let Some(fault) = fault {
            self.oracle.damaged(link, &fault);
        }
    }

    /// Checks the place of an event, and that its actor was told the same place.
    pub(super) fn place(&mut self, link: usize, event: &Event, cursor: Option<Cursor>) {
        let Some((of_v1, cursor)) = self.v1.as_mut().zip(cursor) else { return };
        let mut fault = None;
        if !of_v1.names.rises(link, cursor) {
            fault = Some(format!("an event at {cursor}, before the one that was heard last"));
        }
        let done = match event {
            Event::Text { tag, id, .. } => Some((*tag, digest(id))),
            Event::Changed(key) => self.changes.get(key).map(|tag| (*tag, key.message)),
            _ => None,
        };
        if let Some((tag, message)) = done.filter(|(tag, _)| tag.sender as usize == link) {
            fault = fault.or(of_v1.names.heard(tag, Some(message), cursor).err());
        }
        if let Some(fault) = fault {
            self.oracle.damaged(link, &fault);
        }
    }
}
