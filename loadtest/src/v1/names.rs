//! What clients of `pregon.v1` know beyond deliveries: whose a number is, how far each has heard, and which requests are open.

use std::collections::HashMap;

use super::Cursor;
use super::read::Ack;
use crate::tag::Tag;

/// A message's digest and its place, as far as they were told.
type Told = (Option<u64>, Option<Cursor>);

/// A request whose sender lacks its ack or its own copy.
#[derive(Default)]
struct Open {
    acked: Option<Told>,
    heard: Option<Told>,
}

/// The state of all clients of a load.
#[derive(Default)]
pub struct Names {
    /// Digests of users' ids by node and number: each node has numbers of its own.
    users: HashMap<(usize, u32), u64>,
    /// The last place that each client heard of.
    cursors: Vec<Cursor>,
    open: HashMap<Tag, Open>,
}

impl Names {
    pub fn new(clients: usize) -> Self {
        Self { cursors: vec![Cursor::default(); clients], ..Self::default() }
    }

    /// A node told whose numbers are. The text is a fault.
    pub fn learn(&mut self, node: usize, users: &[(u32, u64)]) -> Result<(), String> {
        for &(number, user) in users {
            if *self.users.entry((node, number)).or_insert(user) != user {
                return Err(format!("the number {number} is another user's now"));
            }
        }
        Ok(())
    }

    /// A digest of the id of the user whose number this is; `None` if that was never told.
    pub fn user(&self, node: usize, number: u32) -> Option<u64> {
        self.users.get(&(node, number)).copied()
    }

    /// A client hears an event of its only topic. Whether it is behind all that it heard before.
    pub fn rises(&mut self, client: usize, cursor: Cursor) -> bool {
        let last = std::mem::replace(&mut self.cursors[client], cursor);
        last < cursor
    }

    /// A request was sent that will be answered.
    pub fn sent(&mut self, tag: Tag) {
        self.open.insert(tag, Open::default());
    }

    /// It was refused.
    pub fn refused(&mut self, tag: Tag) {
        self.open.remove(&tag);
    }

    /// It was acknowledged. The text is a fault.
    pub fn acked(&mut self, tag: Tag, ack: &Ack<'_>) -> Result<(), String> {
        let Some(open) = self.open.get_mut(&tag) else {
            return Err(format!("{tag} was acknowledged twice, or never sent"));
        };
        if ack.is_repeated || ack.cursor.is_none() {
            return Err(format!("{tag} was acknowledged as one that was sent before"));
        }
        if open.acked.replace((ack.message, ack.cursor)).is_some() {
            return Err(format!("{tag} was acknowledged twice"));
        }
        self.agree(tag)
    }

    /// Its sender has its own copy. The text is a fault.
    pub fn heard(&mut self, tag: Tag, message: Option<u64>, cursor: Cursor) -> Result<(), String> {
        match self.open.get_mut(&tag) {
            Some(open) => open.heard = Some((message, Some(cursor))),
            None => return Ok(()),
        }
        self.agree(tag)
    }

    fn agree(&mut self, tag: Tag) -> Result<(), String> {
        let Some(&Open { acked: Some(acked), heard: Some(heard) }) = self.open.get(&tag) else { return Ok(()) };
        self.open.remove(&tag);
        let is_same = acked.1 == heard.1 && (acked.0.is_none() || heard.0.is_none() || acked.0 == heard.0);
        if is_same { Ok(()) } else { Err(format!("{tag} was acknowledged as another message than its sender heard")) }
    }

    /// Requests whose sender lacks something.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Requests whose sender has its own copy and no ack.
    pub fn unanswered(&self) -> u64 {
        self.open.values().filter(|open| open.heard.is_some() && open.acked.is_none()).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: Tag = Tag { sender: 1, seq: 2 };

    fn ack(message: u64, cursor: u64) -> Ack<'static> {
        Ack { id: "t".into(), message: Some(message), cursor: Some(Cursor(cursor)), is_repeated: false }
    }

    #[test]
    fn an_ack_and_the_senders_copy_must_agree_in_any_order() {
        for ack_first in [true, false] {
            for (cursor, is_right) in [(7, true), (8, false)] {
                let mut names = Names::new(1);
                names.sent(TAG);
                let heard = |names: &mut Names| names.heard(TAG, Some(5), Cursor(7));
                let last = if ack_first {
                    names.acked(TAG, &ack(5, cursor)).expect("nothing to compare it with");
                    heard(&mut names)
                } else {
                    heard(&mut names).expect("nothing to compare it with");
                    assert_eq!(names.unanswered(), 1);
                    names.acked(TAG, &ack(5, cursor))
                };
                assert_eq!((last.is_ok(), names.open()), (is_right, 0));
                assert!(names.acked(TAG, &ack(5, cursor)).is_err(), "a second time");
            }
        }
    }

    #[test]
    fn a_repetition_where_nothing_was_repeated_is_a_fault() {
        let mut names = Names::new(1);
        names.sent(TAG);
        assert!(names.acked(TAG, &Ack { is_repeated: true, ..ack(5, 7) }).is_err());
    }

    #[test]
    fn numbers_belong_to_one_user_on_each_node_and_places_rise() {
        let mut names = Names::new(2);
        names.learn(0, &[(1, 10), (2, 20)]).expect("new ones");
        names.learn(0, &[(1, 10)]).expect("the same");
        names.learn(1, &[(1, 20)]).expect("another node");
        assert!(names.learn(0, &[(2, 10)]).is_err());
        assert_eq!((names.user(1, 1), names.user(1, 2)), (Some(20), None));
        let rises = [(0, 5), (1, 5), (0, 6), (0, 6)].map(|(client, cursor)| names.rises(client, Cursor(cursor)));
        assert_eq!(rises, [true, true, true, false]);
    }
}
