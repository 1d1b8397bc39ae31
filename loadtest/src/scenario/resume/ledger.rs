//! The judge of clients that go away and come back: each gets every event of its room once and in order, or is told of a gap.

use std::collections::{BTreeMap, HashSet};

use crate::oracle::{Layout, Violations};
use crate::tag::Tag;
use crate::v1::Cursor;

/// A room's events by their places, as anybody heard of them.
type Log = BTreeMap<Cursor, (Tag, u64)>;

/// What one client was told.
#[derive(Default)]
struct Listener {
    /// Everything behind this is owed to it; `None` until it was let in.
    since: Option<Cursor>,
    /// What it heard last, or what it was told that it missed.
    last: Cursor,
    heard: Vec<Cursor>,
    /// It was told that it missed what is behind the first and not behind the second.
    gaps: Vec<(Cursor, Cursor)>,
}

pub struct Ledger {
    layout: Layout,
    rooms: Vec<Log>,
    listeners: Vec<Listener>,
    /// Messages whose senders were told that they are stored.
    acked: HashSet<Tag>,
    pub gaps: u64,
    pub violations: Violations,
}

impl Ledger {
    pub fn new(layout: Layout) -> Self {
        Self {
            layout,
            rooms: (0..layout.rooms).map(|_| Log::new()).collect(),
            listeners: (0..layout.receivers()).map(|_| Listener::default()).collect(),
            acked: HashSet::new(),
            gaps: 0,
            violations: Violations::default(),
        }
    }

    /// Where the client wants to go on; `None` for one that was never let in.
    pub fn place(&self, client: usize) -> Option<Cursor> {
        let listener = &self.listeners[client];
        listener.since.map(|_| listener.last)
    }

    /// It was let in, where it wanted to go on or elsewhere.
    pub fn let_in(&mut self, client: usize, at: Cursor, is_resumed: bool) {
        let listener = &mut self.listeners[client];
        if listener.since.is_none() {
            (listener.since, listener.last) = (Some(at), at);
        } else if is_resumed && at != listener.last {
            let last = listener.last;
            self.damaged(client, &format!("goes on behind {last}, and was told that it goes on behind {at}"));
        }
    }

    /// It was told that it missed what is not behind `to`.
    pub fn gap(&mut self, client: usize, to: Cursor) {
        let listener = &mut self.listeners[client];
        listener.gaps.push((listener.last, to));
        listener.last = listener.last.max(to);
        self.gaps += 1;
    }

    /// It heard a message. Whether that counts.
    pub fn hear(&mut self, client: usize, at: Cursor, tag: Tag, id: u64) -> bool {
        let room = self.layout.room_of_receiver(client);
        if self.layout.room_of_sender(tag.sender as usize) != room {
            self.violations.foreign_room += 1;
            self.sample(|| format!("client {client} of room {room} got {tag}, of another room"));
            return false;
        }
        let listener = &mut self.listeners[client];
        let last = listener.last;
        if at <= last {
            let is_double = listener.heard.binary_search(&at).is_ok();
            let (count, how) = match is_double {
                true => (&mut self.violations.duplicated, "twice"),
                false => (&mut self.violations.reordered, "late"),
            };
            *count += 1;
            self.sample(|| format!("client {client} got {tag} at {at} {how}, behind {last}"));
            return false;
        }
        listener.last = at;
        listener.heard.push(at);
        self.store(client, at, tag, id);
        true
    }

    /// Its sender was told that it is stored.
    pub fn acked(&mut self, client: usize, at: Cursor, tag: Tag, id: u64) {
        self.acked.insert(tag);
        self.store(client, at, tag, id);
    }

    fn store(&mut self, client: usize, at: Cursor, tag: Tag, id: u64) {
        let room = self.layout.room_of_receiver(client);
        let (first, first_id) = *self.rooms[room].entry(at).or_insert((tag, id));
        if (first, first_id) != (tag, id) {
            self.violations.order_differs += 1;
            self.sample(|| {
                format!("room {room}: at {at} client {client} got {tag} (id {id:x}), others {first} (id {first_id:x})")
            });
        }
    }

    pub fn damaged(&mut self, client: usize, what: &str) {
        self.violations.damaged += 1;
        self.sample(|| format!("client {client}: {what}"));
    }

    pub fn disconnected(&mut self, client: usize, why: &str) {
        self.violations.disconnected += 1;
        self.sample(|| format!("client {client} was disconnected: {why}"));
    }

    fn sample(&mut self, text: impl FnOnce() -> String) {
        self.violations.sample(text);
    }

    /// Whether the client has all that anybody heard of in its room, or was told that it has not.
    pub fn is_complete(&self, client: usize) -> bool {
        let newest = self.rooms[self.layout.room_of_receiver(client)].last_key_value();
        newest.is_none_or(|(newest, _)| self.listeners[client].last >= *newest)
    }

    /// Counts at the end what never arrived, and what arrived as two. `sent`: the messages of each sender, of which those in
    /// `refused` were not taken.
    pub fn finish(&mut self, sent: &[u32], refused: &HashSet<Tag>) {
        for client in 0..self.listeners.len() {
            let log = &self.rooms[self.layout.room_of_receiver(client)];
            let Listener { since, heard, gaps, .. } = &self.listeners[client];
            let Some(since) = *since else { continue };
            let is_told = |at: &Cursor| gaps.iter().any(|(from, to)| at > from && at <= to);
            let mut heard = heard.iter().peekable();
            let mut missing = Vec::new();
            for (at, (tag, _)) in log.range((std::ops::Bound::Excluded(since), std::ops::Bound::Unbounded)) {
                while heard.next_if(|heard| *heard < at).is_some() {}
                if heard.next_if_eq(&at).is_none() && !is_told(at) {
                    missing.push((*at, *tag));
                }
            }
            self.violations.lost += missing.len() as u64;
            if let Some((at, tag)) = missing.first() {
                let (at, tag, count) = (*at, *tag, missing.len());
                self.violations
                    .sample(|| format!("client {client} never got {count} messages, the first is {tag} at {at}"));
            }
        }
        self.check_senders(sent, refused);
    }

    /// What each sender sent is in its room once and in the order in which it was sent.
    fn check_senders(&mut self, sent: &[u32], refused: &HashSet<Tag>) {
        let mut next = vec![0; sent.len()];
        let mut stored = HashSet::new();
        for log in &self.rooms {
            for (at, (tag, _)) in log {
                if !stored.insert(*tag) {
                    self.violations.duplicated += 1;
                    self.violations.sample(|| format!("{tag} was stored twice, the second time at {at}"));
                } else if tag.seq < next[tag.sender as usize] {
                    self.violations.reordered += 1;
                    self.violations.sample(|| format!("{tag} was stored at {at}, behind later ones"));
                } else {
                    next[tag.sender as usize] = tag.seq + 1;
                }
            }
        }
        for (sender, count) in sent.iter().enumerate() {
            for seq in 0..*count {
                let tag = Tag { sender: sender as u32, seq };
                if !self.acked.contains(&tag) && !refused.contains(&tag) {
                    self.violations.unanswered += 1;
                    self.violations.sample(|| format!("{tag} was neither acknowledged nor refused"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout { rooms: 2, members: 3, senders: 1 };

    fn tag(sender: u32, seq: u32) -> Tag {
        Tag { sender, seq }
    }

    /// Everybody was let in at 10, and room 0's sender got the places 11 to 14.
    fn ledger() -> Ledger {
        let mut ledger = Ledger::new(LAYOUT);
        (0..6).for_each(|client| ledger.let_in(client, Cursor(10), false));
        for seq in 0..4 {
            let at = Cursor(11 + u64::from(seq));
            ledger.acked(0, at, tag(0, seq), u64::from(seq));
            assert!(ledger.hear(0, at, tag(0, seq), u64::from(seq)));
        }
        ledger
    }

    fn hear(ledger: &mut Ledger, client: usize, seqs: &[u32]) {
        for seq in seqs {
            ledger.hear(client, Cursor(11 + u64::from(*seq)), tag(0, *seq), u64::from(*seq));
        }
    }

    fn finish(mut ledger: Ledger) -> Violations {
        ledger.finish(&[4, 0], &HashSet::new());
        ledger.violations
    }

    #[test]
    fn who_goes_on_where_it_was_owes_nothing_to_the_oracle() {
        let mut ledger = ledger();
        hear(&mut ledger, 1, &[0, 1]);
        assert_eq!(ledger.place(1), Some(Cursor(12)));
        assert!(!ledger.is_complete(1));
        ledger.let_in(1, Cursor(12), true);
        hear(&mut ledger, 1, &[2, 3]);
        hear(&mut ledger, 2, &[0, 1, 2, 3]);
        assert!(ledger.is_complete(1));
        assert_eq!(finish(ledger), Violations::default());
    }

    #[test]
    fn a_loss_a_double_and_a_late_one_are_told_apart() {
        let mut ledger = ledger();
        hear(&mut ledger, 1, &[0, 3]);
        hear(&mut ledger, 2, &[0, 1, 2, 2, 3]);
        let bad = finish(ledger);
        assert_eq!((bad.lost, bad.duplicated, bad.reordered, bad.total()), (2, 1, 0, 3), "{bad:?}");
        let mut ledger = self::ledger();
        hear(&mut ledger, 1, &[0, 2, 1, 3]);
        hear(&mut ledger, 2, &[0, 1, 2, 3]);
        let bad = finish(ledger);
        assert_eq!((bad.lost, bad.reordered), (1, 1), "what came too late does not count: {bad:?}");
    }

    #[test]
    fn a_told_gap_is_no_loss_and_covers_nothing_else() {
        let mut ledger = ledger();
        hear(&mut ledger, 1, &[0]);
        ledger.let_in(1, Cursor(13), false);
        ledger.gap(1, Cursor(13));
        hear(&mut ledger, 1, &[3]);
        hear(&mut ledger, 2, &[0]);
        ledger.gap(2, Cursor(13));
        assert_eq!(ledger.gaps, 2);
        let bad = finish(ledger);
        assert_eq!((bad.lost, bad.total()), (1, 1), "client 2 lacks the one behind its gap: {bad:?}");
    }

    #[test]
    fn another_place_another_message_and_a_missing_ack_are_faults() {
        let mut ledger = ledger();
        hear(&mut ledger, 1, &[0, 1, 2, 3]);
        ledger.let_in(1, Cursor(13), true);
        assert_eq!(ledger.violations.damaged, 1);
        ledger.hear(2, Cursor(11), tag(0, 1), 1);
        assert_eq!(ledger.violations.order_differs, 1);
        assert!(!ledger.hear(2, Cursor(12), tag(1, 0), 1));
        assert_eq!(ledger.violations.foreign_room, 1);
        ledger.finish(&[5, 1], &HashSet::from([tag(1, 0)]));
        assert_eq!(ledger.violations.unanswered, 1, "the fifth of sender 0");
    }
}
