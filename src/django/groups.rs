//! Decides which groups of the channel layer this process joins and leaves, from those it is in and those it should be
//! in.
//!
//! Time comes in as an argument. The caller does the joining and leaving.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use crate::django::channels::Group;

/// What to do about a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Join the group, or renew the membership.
    Join(Group),
    /// Leave it.
    Leave(Group),
}

#[derive(Debug, Clone, Copy)]
struct State {
    is_wanted: bool,
    /// We may be in the group.
    is_joined: bool,
    /// The state's place in `timers`.
    due: Instant,
}

/// The groups of one process.
#[derive(Debug)]
pub struct Groups {
    states: HashMap<Group, State>,
    timers: BTreeSet<(Instant, Group)>,
    /// The time between the last listener's end and the leave: a user who reloads a page is back in a moment.
    linger: Duration,
    /// A membership is renewed this often.
    refresh: Duration,
}

impl Groups {
    /// A process that is in no group.
    pub fn new(linger: Duration, refresh: Duration) -> Self {
        Self { states: HashMap::new(), timers: BTreeSet::new(), linger, refresh }
    }

    /// Notes whether the group has listeners.
    pub fn want(&mut self, group: Group, is_wanted: bool, now: Instant) {
        match self.states.get(&group).copied() {
            Some(state) if state.is_wanted == is_wanted => {}
            None if !is_wanted => {}
            state => {
                let is_joined = state.is_some_and(|state| state.is_joined);
                let due = match (is_wanted, is_joined) {
                    // If we are in the group already, this renews the membership a little early, which does no harm.
                    (true, _) => now,
                    (false, true) => now + self.linger,
                    (false, false) => now,
                };
                self.set(group, State { is_wanted, is_joined, due });
            }
        }
    }

    /// Takes what is due by `now`, at most `max` groups, and counts it as done.
    pub fn take_due(&mut self, now: Instant, max: usize) -> Vec<Order> {
        let mut orders = Vec::new();
        while orders.len() < max
            && let Some(&(due, group)) = self.timers.first()
            && due <= now
        {
            match self.states.get(&group).copied() {
                Some(State { is_wanted: true, .. }) => {
                    self.set(group, State { is_wanted: true, is_joined: true, due: now + self.refresh });
                    orders.push(Order::Join(group));
                }
                Some(State { is_joined, .. }) => {
                    self.timers.pop_first();
                    self.states.remove(&group);
                    if is_joined {
                        orders.push(Order::Leave(group));
                    }
                }
                None => drop(self.timers.pop_first()),
            }
        }
        orders
    }

    /// Takes back that orders were done: the connection broke, and nobody knows which of them Redis has seen. They are due now.
    pub fn not_done(&mut self, orders: &[Order], now: Instant) {
        for order in orders {
            let (Order::Join(group) | Order::Leave(group)) = *order;
            let is_wanted = self.states.get(&group).is_some_and(|state| state.is_wanted);
            self.set(group, State { is_wanted, is_joined: true, due: now });
        }
    }

    /// When [`Self::take_due`] next has something to do.
    pub fn next_due(&self) -> Option<Instant> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// Makes every wanted group due now, because Redis may have forgotten everything.
    pub fn join_anew(&mut self, now: Instant) {
        let wanted: Vec<Group> =
            self.states.iter().filter(|(_, state)| state.is_wanted).map(|(group, _)| *group).collect();
        for group in wanted {
            self.set(group, State { is_wanted: true, is_joined: true, due: now });
        }
    }

    /// Every group that we may be in.
    pub fn joined(&self) -> Vec<Group> {
        self.states.iter().filter(|(_, state)| state.is_joined).map(|(group, _)| *group).collect()
    }

    /// Groups with listeners.
    pub fn wanted(&self) -> usize {
        self.states.values().filter(|state| state.is_wanted).count()
    }

    /// Every group that is wanted now, so that the caller can compare it with the topics that have listeners.
    pub fn all_wanted(&self) -> Vec<Group> {
        self.states.iter().filter(|(_, state)| state.is_wanted).map(|(group, _)| *group).collect()
    }

    fn set(&mut self, group: Group, state: State) {
        if let Some(before) = self.states.insert(group, state) {
            self.timers.remove(&(before.due, group));
        }
        self.timers.insert((state.due, group));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::UserId;

    const LINGER: Duration = Duration::from_secs(10);
    const REFRESH: Duration = Duration::from_secs(300);

    fn groups() -> (Groups, Group, Instant) {
        (Groups::new(LINGER, REFRESH), Group::Feed(UserId::fresh()), Instant::now())
    }

    #[test]
    fn a_group_is_joined_once_said_again_and_left_after_a_while() {
        let (mut groups, group, now) = groups();
        groups.want(group, true, now);
        groups.want(group, true, now);
        assert_eq!(groups.take_due(now, 10), [Order::Join(group)]);
        assert_eq!(groups.take_due(now + REFRESH / 2, 10), []);
        assert_eq!(groups.take_due(now + REFRESH, 10), [Order::Join(group)], "the membership would grow old");
        let gone = now + REFRESH + Duration::from_secs(1);
        groups.want(group, false, gone);
        assert_eq!(groups.take_due(gone + LINGER / 2, 10), []);
        groups.want(group, true, gone + LINGER / 2);
        assert_eq!(groups.take_due(gone + LINGER, 10), [Order::Join(group)], "somebody came back");
        groups.want(group, false, gone + LINGER);
        assert_eq!(groups.take_due(gone + LINGER * 2, 10), [Order::Leave(group)]);
        assert!(groups.states.is_empty() && groups.timers.is_empty(), "nothing is left behind");
    }

    #[test]
    fn who_goes_before_the_join_costs_nothing() {
        let (mut groups, group, now) = groups();
        groups.want(group, true, now);
        groups.want(group, false, now);
        assert_eq!(groups.take_due(now, 10), []);
        groups.want(group, false, now);
        assert!(groups.states.is_empty() && groups.timers.is_empty());
    }

    #[test]
    fn what_was_ordered_and_not_done_is_ordered_again() {
        let (mut groups, group, now) = groups();
        let other = Group::Feed(UserId::fresh());
        groups.want(group, true, now);
        groups.want(other, true, now);
        groups.take_due(now, 10);
        groups.want(group, false, now);
        let later = now + LINGER;
        let orders = groups.take_due(later, 10);
        assert_eq!(orders, [Order::Leave(group)]);
        groups.not_done(&orders, later);
        assert_eq!((groups.joined().len(), groups.wanted()), (2, 1), "Redis may still have us in it");
        groups.join_anew(later);
        let mut again = groups.take_due(later, 10);
        again.sort_by_key(|order| matches!(order, Order::Leave(_)));
        assert_eq!(again, [Order::Join(other), Order::Leave(group)]);
    }

    #[test]
    fn after_redis_forgot_everything_all_is_joined_anew() {
        let (mut groups, group, now) = groups();
        let other = Group::Feed(UserId::fresh());
        groups.want(group, true, now);
        groups.want(other, true, now);
        assert_eq!(groups.take_due(now, 1).len(), 1, "no more than asked for");
        assert_eq!(groups.take_due(now, 10).len(), 1);
        groups.want(other, false, now);
        groups.join_anew(now);
        assert_eq!(groups.take_due(now, 10), [Order::Join(group)]);
        assert_eq!((groups.joined().len(), groups.wanted()), (2, 1), "what lingers is still to be left");
        assert_eq!(groups.next_due(), Some(now + LINGER));
    }
}
