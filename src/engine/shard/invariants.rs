//! What must be true of a shard between any two of its steps. Checked in debug builds.

use super::core::Core;
use crate::engine::session::endpoint::Endpoint;
use crate::protocol::form::Form;

impl Core {
    /// Checks that slots, seats, the walk, the list of blocked sessions and the memory of what waits agree with each
    /// other. The cost grows with the number of sessions.
    ///
    /// # Panics
    /// When they do not.
    pub(super) fn check_invariants(&self) {
        self.check_slots();
        self.check_walk();
        self.check_seats();
        let spans = self.lines.iter().flat_map(|line| line.outbox.spans());
        let unfinished = self.slots.iter().flatten().map(|slot| slot.decoder.heap_bytes());
        assert_eq!(self.unfinished_bytes, unfinished.sum::<usize>(), "unfinished messages are added up wrongly");
        assert!(self.unfinished_bytes <= self.bounds.unfinished_bytes_max);
        self.arena.check_invariants(spans, self.lines.iter().filter_map(|line| line.outbox.debt_bytes()));
    }

    fn check_slots(&self) {
        assert_eq!(self.slots.len(), self.lines.len());
        assert_eq!(self.slots.len(), self.generations.len());
        assert_eq!(self.live, self.slots.iter().flatten().count(), "sessions are counted wrongly");
        assert!(self.free.len() + self.live <= self.slots.len(), "a free slot has a session");
        let mut free = self.free.clone();
        free.sort_unstable();
        free.dedup();
        assert_eq!(free.len(), self.free.len(), "a slot is free twice");
        for index in free {
            assert!(self.slots[index as usize].is_none(), "a free slot has a session");
            assert!(self.lines[index as usize].outbox.is_empty(), "something waits for nobody");
        }
    }

    fn check_walk(&self) {
        let mut turns = vec![0; self.lines.len()];
        self.walk.iter().for_each(|index| turns[*index as usize] += 1);
        for (index, line) in self.lines.iter().enumerate() {
            assert_eq!(turns[index], u32::from(line.is_queued), "slot {index}'s turns in the walk");
            let is_over = || self.over.iter().any(|(over, _)| *over as usize == index);
            if self.slots[index].is_none() || is_over() {
                continue;
            }
            if line.blocked_at.is_some() {
                let is_known = self.blocked.iter().any(|one| one.index as usize == index);
                assert!(is_known, "slot {index} is blocked and nobody looks at it");
            } else {
                assert!(line.outbox.is_empty() || line.is_queued, "slot {index} waits and has no turn in the walk");
            }
        }
    }

    fn check_seats(&self) {
        let (mut seats, mut kinds) = (0, [0; Endpoint::KINDS.len()]);
        for (index, slot) in self.slots.iter().enumerate() {
            let many = u32::try_from(index).ok().and_then(|index| self.many.get(&index));
            kinds[Endpoint::Many.kind()] += usize::from(many.is_some_and(|many| many.is_known));
            let Some(slot) = slot.as_ref().filter(|slot| !slot.seats.all().is_empty()) else { continue };
            seats += slot.seats.all().len();
            if let Some(many) = many {
                assert_eq!(many.seats.len(), slot.seats.all().len(), "slot {index}'s subscriptions and seats");
            } else {
                kinds[slot.session.endpoint().kind()] += 1;
            }
            assert!(slot.session.is_open(), "slot {index} has said goodbye and keeps its seat");
            for (number, seat) in slot.seats.all().iter().enumerate() {
                let live = self.registry.live(seat.slot);
                if many.is_none() {
                    assert_eq!(Some(live.topic), slot.session.topic(), "slot {index} sits in another topic");
                }
                let member = live.members.get(seat.place as usize).map(|member| member.form);
                let is_held = many.is_some_and(|many| {
                    many.held().iter().any(|held| held.topic == live.topic)
                        || many.seats.get(number).is_some_and(|one| one.until().is_some())
                });
                let is_apart = member.is_some_and(|form| form == Form::HELD || form.is_caught());
                assert_eq!(is_apart, is_held, "slot {index} is held where nothing is read for it");
                let sits = live.members.get(seat.place as usize);
                let sits = sits.map(|member| (member.session as usize, usize::from(member.seat)));
                assert_eq!(sits, Some((index, number)), "somebody else sits in slot {index}'s seat");
            }
        }
        assert_eq!(seats, self.registry.seats(), "a seat is nobody's");
        assert_eq!(kinds, self.kinds, "sessions of a kind are counted wrongly");
    }
}
