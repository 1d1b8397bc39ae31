//! Rights that are taken away while somebody's handshake is judged.

use std::sync::atomic::{AtomicU32, Ordering};

use uuid::Uuid;

use crate::ids::{Topic, UserId};

/// How many counters users and topics share.
const COUNTERS: usize = 4096;

/// How often rights were taken away, by who lost them and by where.
///
/// A handshake is judged by rows that were read a moment ago, and its session begins a moment later. A user who is removed
/// between the two has no session yet that an eviction could end. So two [`Mark`]s are compared: one from before anything was
/// read, and one from when evictions reach the session. The store counts a right that is taken away after the commit and
/// before the eviction is sent.
///
/// Users and topics share 4,096 counters by their ids. If the marks differ, this user or another one with the same counter
/// lost something, and the client has to ask again.
#[derive(Debug)]
pub struct Withdrawals(Box<[AtomicU32]>);

/// What was counted for a user and a topic at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark(u32);

impl Default for Withdrawals {
    fn default() -> Self {
        Self((0..COUNTERS).map(|_| AtomicU32::new(0)).collect())
    }
}

impl Withdrawals {
    /// All that was taken so far from this user anywhere, and from anybody in this topic.
    pub fn mark(&self, user: UserId, topic: Topic) -> Mark {
        let [from_user, in_topic] = [user.0, id_of(topic)].map(|id| self.counter(id).load(Ordering::SeqCst));
        Mark(from_user.wrapping_add(in_topic))
    }

    /// A user lost a right: a place in a room, or a login.
    pub fn from_user(&self, user: UserId) {
        self.counter(user.0).fetch_add(1, Ordering::SeqCst);
    }

    /// Others than its owner lost a topic.
    pub fn in_topic(&self, topic: Topic) {
        self.counter(id_of(topic)).fetch_add(1, Ordering::SeqCst);
    }

    fn counter(&self, id: Uuid) -> &AtomicU32 {
        // Ids of any version: their random bits are low, and multiplication brings them up.
        let (high, low) = id.as_u64_pair();
        let mixed = (high ^ low).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        &self.0[usize::try_from(mixed).unwrap_or(0) % COUNTERS]
    }
}

fn id_of(topic: Topic) -> Uuid {
    match topic {
        Topic::Room(room) => room.0,
        Topic::Post(post) => post.0,
        Topic::Author(user) | Topic::Feed(user) | Topic::Notifications(user) => user.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{PostId, RoomId};

    #[test]
    fn a_mark_changes_with_what_its_user_or_its_topic_lost_and_with_little_else() {
        let (withdrawals, ana) = (Withdrawals::default(), UserId::fresh());
        for topic in [Topic::Room(RoomId::fresh()), Topic::Post(PostId::fresh()), Topic::Feed(ana)] {
            let first = withdrawals.mark(ana, topic);
            withdrawals.from_user(ana);
            let second = withdrawals.mark(ana, topic);
            withdrawals.in_topic(topic);
            let third = withdrawals.mark(ana, topic);
            assert!(first != second && second != third && first != third, "{topic}");
        }
        let topic = Topic::Room(RoomId::fresh());
        let before = withdrawals.mark(ana, topic);
        let others = (0..200).filter(|_| {
            withdrawals.from_user(UserId::fresh());
            withdrawals.mark(ana, topic) != before
        });
        // Two counters of 4,096 are looked at, so that each of 200 others meets them with 1 in 2,048.
        assert!(others.count() < 200, "others' losses do not matter, as a rule");
    }
}
