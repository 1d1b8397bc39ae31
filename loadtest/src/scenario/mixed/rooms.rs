//! The messages of a room that its members may act on, and the actions so far.

use std::collections::VecDeque;

use super::events::{REACTIONS, What};
use crate::digest::digest;
use crate::scenario::shares::Act;

/// Messages of a room that members still act on.
const RECENT_MAX: usize = 64;

/// A message that everybody has received, with the actions on it.
struct Known {
    id: [u8; 36],
    author: usize,
    /// Actions on it that are not finished; it is not deleted meanwhile.
    under_way: u32,
    read_by: Vec<usize>,
    /// Member, reaction, and whether it is on now.
    reactions: Vec<(usize, u8, bool)>,
}

#[derive(Default)]
pub struct Room {
    recent: VecDeque<Known>,
}

/// An action with everything that its frame needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    pub act: Act,
    /// The member's index in the room.
    pub member: usize,
    /// The message acted on.
    pub target: Option<[u8; 36]>,
    pub what: Option<What>,
}

impl Room {
    pub fn learn(&mut self, id: [u8; 36], author: usize) {
        if self.recent.len() >= RECENT_MAX
            && let Some(oldest) = self.recent.iter().position(|known| known.under_way == 0)
        {
            self.recent.remove(oldest);
        }
        self.recent.push_back(Known { id, author, under_way: 0, read_by: Vec::new(), reactions: Vec::new() });
    }

    /// An action on a message is finished.
    pub fn over(&mut self, target: u64) {
        if let Some(known) = self.recent.iter_mut().rev().find(|known| digest(&known.id) == target) {
            known.under_way -= 1;
        }
    }

    /// Completes an action. If there is no message to act on, a message is written instead, by `writer`; other members
    /// read and react.
    pub fn choose(&mut self, act: Act, writer: usize, members: usize, random: &mut fastrand::Rng) -> Chosen {
        let chosen = match act {
            Act::Message => None,
            Act::Typing => (members > 1).then_some(Chosen { act, member: writer, target: None, what: None }),
            Act::Reply => self.reply(writer, random),
            Act::Read => self.read(random.usize(..members)),
            Act::React => self.react(random.usize(..members), random),
            Act::Edit => self.edit(writer, random),
            Act::Delete => self.delete(writer),
        };
        chosen.unwrap_or(Chosen { act: Act::Message, member: writer, target: None, what: None })
    }

    fn any(&mut self, random: &mut fastrand::Rng) -> Option<&mut Known> {
        let count = self.recent.len();
        if count == 0 { None } else { self.recent.get_mut(random.usize(..count)) }
    }

    fn reply(&mut self, member: usize, random: &mut fastrand::Rng) -> Option<Chosen> {
        let known = self.any(random)?;
        known.under_way += 1;
        Some(Chosen { act: Act::Reply, member, target: Some(known.id), what: None })
    }

    /// The newest message of another member that this one has not read. A second read would make no event.
    fn read(&mut self, member: usize) -> Option<Chosen> {
        let is_unread = |known: &&mut Known| known.author != member && !known.read_by.contains(&member);
        let known = self.recent.iter_mut().rev().find(is_unread)?;
        known.read_by.push(member);
        known.under_way += 1;
        Some(Chosen { act: Act::Read, member, target: Some(known.id), what: Some(What::Read) })
    }

    /// Takes a reaction back, or adds one that the member has not tried on this message.
    fn react(&mut self, member: usize, random: &mut fastrand::Rng) -> Option<Chosen> {
        let known = self.any(random)?;
        let earlier = known.reactions.iter_mut().find(|(who, _, is_on)| *who == member && *is_on);
        let what = if let Some((_, reaction, is_on)) = earlier {
            *is_on = false;
            What::Reacted(*reaction, false)
        } else {
            let reaction = random.u8(..REACTIONS.len() as u8);
            if known.reactions.iter().any(|(who, tried, _)| *who == member && *tried == reaction) {
                return None;
            }
            known.reactions.push((member, reaction, true));
            What::Reacted(reaction, true)
        };
        known.under_way += 1;
        Some(Chosen { act: Act::React, member, target: Some(known.id), what: Some(what) })
    }

    fn edit(&mut self, member: usize, random: &mut fastrand::Rng) -> Option<Chosen> {
        let own: Vec<usize> = (0..self.recent.len()).filter(|at| self.recent[*at].author == member).collect();
        let known = self.recent.get_mut(*random.choice(&own)?)?;
        known.under_way += 1;
        Some(Chosen { act: Act::Edit, member, target: Some(known.id), what: None })
    }

    /// The member's oldest message on which no action is unfinished; no new ones will start.
    fn delete(&mut self, member: usize) -> Option<Chosen> {
        let at = self.recent.iter().position(|known| known.author == member && known.under_way == 0)?;
        let known = self.recent.remove(at)?;
        Some(Chosen { act: Act::Delete, member, target: Some(known.id), what: Some(What::Deleted) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBERS: usize = 3;

    #[test]
    fn nobody_reads_twice_or_acts_on_what_is_being_deleted() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut room = Room::default();
        assert_eq!(room.choose(Act::Edit, 0, MEMBERS, &mut random).act, Act::Message, "nothing to edit yet");
        room.learn([b'a'; 36], 0);
        let readers: Vec<usize> = (0..100)
            .map(|_| room.choose(Act::Read, 0, MEMBERS, &mut random))
            .filter(|chosen| chosen.act == Act::Read)
            .map(|chosen| chosen.member)
            .collect();
        assert_eq!(readers.len(), 2, "the others, once each: {readers:?}");
        assert_eq!(room.choose(Act::Delete, 0, MEMBERS, &mut random).act, Act::Message, "it is being read");
        room.over(digest(&[b'a'; 36]));
        room.over(digest(&[b'a'; 36]));
        assert_eq!(room.choose(Act::Delete, 1, MEMBERS, &mut random).act, Act::Message, "not one's own");
        assert_eq!(room.choose(Act::Delete, 0, MEMBERS, &mut random).act, Act::Delete);
        for act in [Act::Reply, Act::Read, Act::React, Act::Edit, Act::Delete] {
            assert_eq!(room.choose(act, 0, MEMBERS, &mut random).act, Act::Message, "{act:?}: it is gone");
        }
    }

    #[test]
    fn a_reaction_is_added_once_and_taken_back_once() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut room = Room::default();
        room.learn([b'a'; 36], 0);
        let mut seen = Vec::new();
        for _ in 0..2000 {
            let chosen = room.choose(Act::React, 0, 1, &mut random);
            seen.extend(chosen.what);
        }
        assert_eq!(seen.len(), 2 * REACTIONS.len());
        for pair in seen.chunks(2) {
            let (What::Reacted(on, true), What::Reacted(off, false)) = (pair[0], pair[1]) else { panic!("{pair:?}") };
            assert_eq!(on, off);
        }
    }
}
