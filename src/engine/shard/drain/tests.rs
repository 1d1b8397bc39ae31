//! When clients move: turns in a window, who is given one, and what becomes of whoever stays.

use std::sync::Arc;

use super::*;
use crate::domain::rights::Mark;
use crate::domain::user::Account;
use crate::engine::shard::debtors::tests::{core, join};
use crate::engine::shard::errand::{Answer, Identity};
use crate::engine::shard::port::ToShard;
use crate::ids::{FamilyId, RoomId, UserId};
use crate::limits::Bounds;
use crate::protocol::ws::negotiation::{Negotiation, Subprotocol};

/// A user's socket with many topics.
pub(in crate::engine::shard) fn come(core: &mut Core) -> u32 {
    let index = core.reserve();
    core.begin_many(index, Negotiation { subprotocol: Subprotocol::V1, ..Negotiation::default() }, None, None);
    let account = Arc::new(Account::active(UserId::fresh(), "ana".into()));
    let (family, token_left) = (FamilyId::issued(0), Duration::from_secs(3600));
    let outcome = Ok(Identity { account, family, mark: Mark::default(), token_left, token_expires: 0 });
    core.answered(Answer::Identified { session: core.key(index), request: None, outcome });
    index
}

#[test]
fn turns_begin_evenly_and_the_last_ends_with_the_window() {
    let window = Duration::from_secs(8);
    let turns: Vec<Turn> = (0..4).map(|rank| Turn::of(rank, 4, window)).collect();
    let seconds = |after, within| Turn { after: Duration::from_secs(after), within: Duration::from_secs(within) };
    assert_eq!(turns, [seconds(0, 4), seconds(1, 5), seconds(2, 6), seconds(3, 7)]);
    for (count, window) in [(1, 0), (1, 1), (7, 3), (100_000, 3600)] {
        let window = Duration::from_secs(window);
        let turns: Vec<Turn> = (0..count).map(|rank| Turn::of(rank, count, window)).collect();
        assert!(turns.is_sorted_by_key(|turn| turn.after) && turns.iter().all(|turn| turn.within <= window));
        let length = (window / 2).min(MOVE_TURN_MAX);
        assert!(turns.iter().all(|turn| turn.within - turn.after == length), "{count} in {window:?}");
    }
    assert_eq!(Turn::of(0, 1, Duration::from_secs(60)).within, MOVE_TURN_MAX);
}

fn open(core: &Core, sessions: &[u32]) -> Vec<bool> {
    sessions.iter().map(|index| core.is_open(*index)).collect()
}

#[test]
fn at_a_stop_clients_with_many_topics_have_time_to_move_and_nobody_outlasts_the_window() {
    let mut core = core(Bounds::default());
    let sessions =
        [join(&mut core, RoomId::fresh()), come(&mut core), join(&mut core, RoomId::fresh()), come(&mut core)];
    let began = core.moment;
    core.take(ToShard::Drain(Duration::from_secs(8)));
    assert_eq!(open(&core, &sessions), [false, true, true, true], "the first of the others goes at once");
    let late = join(&mut core, RoomId::fresh());
    core.end_turns(began + Duration::from_secs(4));
    assert_eq!(open(&core, &sessions), [false, true, false, true]);
    core.end_turns(began + Duration::from_secs(5));
    assert_eq!(open(&core, &sessions), [false, false, false, true]);
    core.end_turns(began + Duration::from_secs(7));
    assert_eq!((open(&core, &sessions), core.is_open(late)), (vec![false; 4], true));
    core.end_turns(began + Duration::from_secs(8));
    assert!(!core.is_open(late), "it came when the turns were given out");
    assert_eq!(core.moving, 0);
}

#[test]
fn only_some_with_many_topics_are_given_away_each_once() {
    let mut core = core(Bounds::default());
    let other = join(&mut core, RoomId::fresh());
    let sessions = [come(&mut core), come(&mut core), come(&mut core)];
    let (began, window) = (core.moment, Duration::from_secs(4));
    let give = |of, age_min| GiveAway { from: 0, rank: 0, of, window, age_min };
    assert_eq!(core.give_away(&give(5, Duration::from_secs(1))).count, 0, "they have just come");
    let first = core.give_away(&give(2, Duration::ZERO));
    assert_eq!((first.count, first.next, core.moving), (2, None, 2));
    assert_eq!(core.give_away(&give(5, Duration::ZERO)).count, 1, "two are on their way already");
    // The first has moved: its client has left.
    core.end(sessions[0], false);
    core.vacate(sessions[0]);
    assert_eq!(core.moving, 2);
    let again = come(&mut core);
    assert_eq!(again, sessions[0], "another client has the slot");
    core.end_turns(began + window);
    assert_eq!(open(&core, &sessions), [true; 3], "there is a grace");
    core.end_turns(began + window + MOVE_GRACE);
    assert_eq!(open(&core, &sessions), [true, false, false], "the turn was the former client's");
    assert!(core.is_open(other) && core.turns.is_empty());
    assert_eq!(core.moving, 0);
}
