//! The judge: checks every delivery for loss, duplication and order, for each receiver and sender.

use std::collections::HashMap;
use std::ops::Range;

use serde::Serialize;

use crate::tag::Tag;

const SAMPLES_MAX: usize = 8;

/// The violations, counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Violations {
    pub lost: u64,
    pub duplicated: u64,
    pub reordered: u64,
    pub damaged: u64,
    /// Receivers that saw a room's messages in another order than its other members, or with other ids.
    pub order_differs: u64,
    pub foreign_room: u64,
    pub disconnected: u64,
    /// Delivered to a receiver that must not get it.
    pub misdirected: u64,
    /// Requests of `pregon.v1` that were done and not answered.
    pub unanswered: u64,
    /// The first few, in words.
    pub samples: Vec<String>,
}

impl Violations {
    pub fn total(&self) -> u64 {
        self.lost
            + self.duplicated
            + self.reordered
            + self.damaged
            + self.order_differs
            + self.foreign_room
            + self.disconnected
            + self.misdirected
            + self.unanswered
    }

    pub fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.damaged += other.damaged;
        self.order_differs += other.order_differs;
        self.foreign_room += other.foreign_room;
        self.disconnected += other.disconnected;
        self.misdirected += other.misdirected;
        self.unanswered += other.unanswered;
        self.samples.extend(other.samples);
        self.samples.truncate(SAMPLES_MAX);
    }

    pub fn sample(&mut self, text: impl FnOnce() -> String) {
        if self.samples.len() < SAMPLES_MAX {
            self.samples.push(text());
        }
    }
}

/// The numbering of rooms, members and senders: receivers and senders are numbered room by room, and the first members
/// of each room are its senders.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pub rooms: usize,
    pub members: usize,
    /// Senders per room.
    pub senders: usize,
}

impl Layout {
    pub fn receivers(&self) -> usize {
        self.rooms * self.members
    }

    pub fn sender_count(&self) -> usize {
        self.rooms * self.senders
    }

    pub fn room_of_receiver(&self, receiver: usize) -> usize {
        receiver / self.members
    }

    pub fn room_of_sender(&self, sender: usize) -> usize {
        sender / self.senders
    }

    /// The connection on which a sender sends and receives.
    pub fn receiver_of_sender(&self, sender: usize) -> usize {
        self.room_of_sender(sender) * self.members + sender % self.senders
    }
}

/// A room's messages in the order in which the first receiver saw each position.
#[derive(Default)]
struct RoomOrder {
    seen: Vec<(Tag, u64)>,
}

/// A receiver's place in its room's order.
#[derive(Clone, Copy, Default)]
struct Place {
    next: u32,
    /// Something was lost or out of place, so positions can no longer be compared.
    off: bool,
}

pub struct Oracle {
    layout: Layout,
    /// For each receiver and each sender of its room: the next sequence number.
    expected: Vec<u32>,
    /// Open gaps, by the same index.
    gaps: HashMap<usize, Vec<Range<u32>>>,
    /// Only kept if the order must be the same for all.
    orders: Vec<RoomOrder>,
    places: Vec<Place>,
    pub violations: Violations,
}

impl Oracle {
    /// `one_order`: all members must see a room's messages in one order (which durable messages promise), not only each
    /// sender's messages in order.
    pub fn new(layout: Layout, one_order: bool) -> Self {
        let rooms = if one_order { layout.rooms } else { 0 };
        Self {
            layout,
            expected: vec![0; layout.receivers() * layout.senders],
            gaps: HashMap::new(),
            orders: (0..rooms).map(|_| RoomOrder::default()).collect(),
            places: vec![Place::default(); if one_order { layout.receivers() } else { 0 }],
            violations: Violations::default(),
        }
    }

    /// A delivery arrived. Returns whether it counts (the first copy of a message of this room).
    pub fn observe(&mut self, receiver: usize, tag: Tag, id: u64) -> bool {
        let sender = tag.sender as usize;
        let room = self.layout.room_of_receiver(receiver);
        if self.layout.room_of_sender(sender) != room {
            self.violations.foreign_room += 1;
            self.violations.sample(|| format!("receiver {receiver} of room {room} got {tag}, of another room"));
            return false;
        }
        let slot = receiver * self.layout.senders + sender % self.layout.senders;
        let expected = &mut self.expected[slot];
        let counts = if tag.seq == *expected {
            *expected += 1;
            true
        } else {
            self.out_of_line(receiver, slot, tag)
        };
        if counts && !self.orders.is_empty() {
            self.check_order(receiver, room, tag, id);
        }
        counts
    }

    /// A message ahead of the sequence leaves a gap; a late one fills a gap (reordered) or repeats (duplicated).
    #[cold]
    fn out_of_line(&mut self, receiver: usize, slot: usize, tag: Tag) -> bool {
        if let Some(place) = self.places.get_mut(receiver) {
            place.off = true;
        }
        let expected = self.expected[slot];
        if tag.seq > expected {
            self.gaps.entry(slot).or_default().push(expected..tag.seq);
            self.expected[slot] = tag.seq + 1;
            return true;
        }
        let gaps = self.gaps.entry(slot).or_default();
        if let Some(at) = gaps.iter().position(|gap| gap.contains(&tag.seq)) {
            let gap = gaps.swap_remove(at);
            let rest = [gap.start..tag.seq, tag.seq + 1..gap.end];
            gaps.extend(rest.into_iter().filter(|part| !part.is_empty()));
            self.violations.reordered += 1;
            self.violations.sample(|| format!("receiver {receiver} got {tag} late, behind {}", expected - 1));
            return true;
        }
        self.violations.duplicated += 1;
        self.violations
            .sample(|| format!("receiver {receiver} got {tag} twice, the second time behind {}", expected - 1));
        false
    }

    fn check_order(&mut self, receiver: usize, room: usize, tag: Tag, id: u64) {
        let place = &mut self.places[receiver];
        if place.off {
            return;
        }
        let position = place.next as usize;
        place.next += 1;
        let seen = &mut self.orders[room].seen;
        match seen.get(position) {
            None => seen.push((tag, id)),
            Some(&first) if first == (tag, id) => {}
            Some(&(first, first_id)) => {
                place.off = true;
                self.violations.order_differs += 1;
                self.violations.sample(|| {
                    format!(
                        "room {room}: at position {position} receiver {receiver} saw {tag} (id {id:x}), \
                         others {first} (id {first_id:x})"
                    )
                });
            }
        }
    }

    pub fn damaged(&mut self, receiver: usize, what: &str) {
        self.violations.damaged += 1;
        self.violations.sample(|| format!("receiver {receiver}: {what}"));
    }

    pub fn disconnected(&mut self, receiver: usize, why: &str) {
        self.violations.disconnected += 1;
        self.violations.sample(|| format!("receiver {receiver} was disconnected: {why}"));
    }

    pub fn misdirected(&mut self, receiver: usize, what: &str) {
        self.violations.misdirected += 1;
        self.violations.sample(|| format!("receiver {receiver}: {what}"));
    }

    /// Requests that were done and not answered.
    pub fn unanswered(&mut self, count: u64) {
        self.violations.unanswered += count;
        if count > 0 {
            self.violations.sample(|| format!("{count} messages were stored, and their senders got no ack"));
        }
    }

    /// The next sequence number that a receiver must see from a sender.
    pub fn expected(&self, receiver: usize, sender: usize) -> u32 {
        self.expected[receiver * self.layout.senders + sender % self.layout.senders]
    }

    /// The receiver does not get this message.
    pub fn skip(&mut self, receiver: usize, tag: Tag) {
        let slot = receiver * self.layout.senders + tag.sender as usize % self.layout.senders;
        self.expected[slot] = tag.seq + 1;
    }

    /// A receiver that was away starts anew with `next` for each sender of its room.
    pub fn rejoin(&mut self, receiver: usize, next: impl Iterator<Item = u32>) {
        for (local, next) in next.enumerate() {
            let slot = receiver * self.layout.senders + local;
            self.gaps.remove(&slot);
            self.expected[slot] = next;
        }
        if let Some(place) = self.places.get_mut(receiver) {
            place.off = true;
        }
    }

    /// Counts at the end what never arrived. `sent`: the messages of each sender; `refused`: those of them that the
    /// server refused, in order; `excused`: receivers from which nothing is expected.
    pub fn finish(&mut self, sent: &[u32], refused: &[Vec<u32>], excused: impl Fn(usize) -> bool) {
        for receiver in (0..self.layout.receivers()).filter(|receiver| !excused(*receiver)) {
            let room = self.layout.room_of_receiver(receiver);
            for local in 0..self.layout.senders {
                let slot = receiver * self.layout.senders + local;
                let sender = room * self.layout.senders + local;
                let tail = self.expected[slot]..sent[sender];
                let gaps = self.gaps.remove(&slot).unwrap_or_default();
                for gap in gaps.into_iter().chain([tail]).filter(|gap| !gap.is_empty()) {
                    let not_taken = refused[sender].iter().filter(|seq| gap.contains(seq)).count() as u32;
                    let lost = gap.end - gap.start - not_taken;
                    if lost == 0 {
                        continue;
                    }
                    self.violations.lost += u64::from(lost);
                    self.violations.sample(|| {
                        let first = gap.start;
                        let last = gap.end - 1;
                        format!("receiver {receiver} never got messages {first} to {last} of sender {sender}")
                    });
                }
                self.expected[slot] = sent[sender];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout { rooms: 2, members: 3, senders: 2 };

    fn finish(oracle: &mut Oracle, sent: [u32; 4]) {
        oracle.finish(&sent, &vec![Vec::new(); 4], |_| false);
    }

    fn tag(sender: u32, seq: u32) -> Tag {
        Tag { sender, seq }
    }

    /// Everybody in room 0 gets messages 0..count of sender 0.
    fn run(count: u32) -> Oracle {
        let mut oracle = Oracle::new(LAYOUT, true);
        for receiver in 0..3 {
            for seq in 0..count {
                assert!(oracle.observe(receiver, tag(0, seq), u64::from(seq)));
            }
        }
        oracle
    }

    #[test]
    fn a_whole_run_is_clean() {
        let mut oracle = run(5);
        finish(&mut oracle, [5, 0, 0, 0]);
        assert_eq!(oracle.violations, Violations::default());
    }

    #[test]
    fn a_gap_and_a_missing_end_are_losses() {
        let mut oracle = run(5);
        assert!(oracle.observe(1, tag(0, 7), 7));
        finish(&mut oracle, [9, 0, 0, 0]);
        // Receiver 1 lacks 5, 6 and 8; receivers 0 and 2 lack 5 to 8.
        assert_eq!(oracle.violations.lost, 3 + 4 + 4);
        assert_eq!(oracle.violations.total(), 11);
        assert!(oracle.violations.samples[0].contains("receiver 0 never got messages 5 to 8"));
    }

    #[test]
    fn what_was_refused_or_is_excused_is_not_lost() {
        let mut oracle = run(5);
        assert!(oracle.observe(1, tag(0, 7), 7));
        oracle.finish(&[9, 0, 0, 0], &[vec![5, 6, 8], Vec::new(), Vec::new(), Vec::new()], |receiver| receiver == 2);
        assert_eq!(oracle.violations.lost, 1, "receiver 0 lacks 7, which was taken: {:?}", oracle.violations);
    }

    #[test]
    fn who_rejoins_is_owed_only_what_follows() {
        let mut oracle = run(5);
        assert!(oracle.observe(1, tag(0, 7), 7));
        for receiver in 0..3 {
            oracle.rejoin(receiver, [9, 0].into_iter());
        }
        assert!(oracle.observe(1, tag(0, 9), 9));
        finish(&mut oracle, [10, 0, 0, 0]);
        assert_eq!(oracle.violations.lost, 2, "9 for receivers 0 and 2");
    }

    #[test]
    fn a_second_copy_is_a_duplicate_and_does_not_count() {
        let mut oracle = run(5);
        assert!(!oracle.observe(2, tag(0, 3), 3));
        finish(&mut oracle, [5, 0, 0, 0]);
        assert_eq!(oracle.violations.duplicated, 1);
        assert_eq!(oracle.violations.total(), 1);
    }

    #[test]
    fn a_late_message_is_reordered_not_lost() {
        let mut oracle = run(0);
        for receiver in 0..3 {
            let order: &[u32] = if receiver == 1 { &[0, 3, 2, 1] } else { &[0, 1, 2, 3] };
            for &seq in order {
                assert!(oracle.observe(receiver, tag(0, seq), 0));
            }
        }
        assert!(!oracle.observe(1, tag(0, 2), 0), "the gap is filled");
        finish(&mut oracle, [4, 0, 0, 0]);
        assert_eq!(oracle.violations.reordered, 2);
        assert_eq!(oracle.violations.duplicated, 1);
        assert_eq!(oracle.violations.total(), 3);
    }

    #[test]
    fn members_must_agree_on_one_order_of_all_senders() {
        let mut oracle = run(0);
        for (receiver, order) in [(0, [0, 1]), (1, [0, 1]), (2, [1, 0])] {
            for sender in order {
                assert!(oracle.observe(receiver, tag(sender, 0), u64::from(sender)));
            }
        }
        finish(&mut oracle, [1, 1, 0, 0]);
        assert_eq!(oracle.violations.order_differs, 1);
        assert_eq!(oracle.violations.total(), 1);
    }

    #[test]
    fn one_message_must_have_one_id() {
        let mut oracle = run(0);
        oracle.observe(0, tag(0, 0), 77);
        oracle.observe(1, tag(0, 0), 78);
        assert_eq!(oracle.violations.order_differs, 1);
    }

    #[test]
    fn a_message_of_another_room_is_foreign() {
        let mut oracle = run(0);
        assert!(!oracle.observe(0, tag(2, 0), 0));
        assert_eq!(oracle.violations.foreign_room, 1);
    }

    #[test]
    fn senders_sit_in_their_rooms_first_seats() {
        assert_eq!(LAYOUT.receiver_of_sender(0), 0);
        assert_eq!(LAYOUT.receiver_of_sender(1), 1);
        assert_eq!(LAYOUT.receiver_of_sender(3), 4);
    }
}
