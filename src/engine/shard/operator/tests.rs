//! Lists go on where they had no room, and a word to many costs no more memory than a word to one.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::*;
use crate::engine::shard::debtors::tests::{Silent, core, join};
use crate::engine::shard::drain::tests::come;
use crate::ids::RoomId;
use crate::limits::Bounds;

fn ask(core: &mut Core, whose: Whose, verb: Verb, rows_from: u32, rows_max: usize) -> Meant {
    let (answer, mut answered) = oneshot::channel();
    core.asked.push(Order { whose, verb: Arc::new(verb), from: 0, rows_from, rows_max, answer });
    core.answer_asked(&Silent);
    answered.try_recv().expect("it is answered at once")
}

#[test]
fn a_list_goes_on_where_it_had_no_room() {
    let mut core = core(Bounds::default());
    let room = RoomId::fresh();
    (0..5).for_each(|_| _ = join(&mut core, room));
    come(&mut core);
    let list = || Verb::List(Place::default());
    let slots = |meant: &Meant| meant.rows.iter().map(|row| row.place.slot).collect::<Vec<_>>();
    let first = ask(&mut core, Whose::All, list(), 0, 2);
    assert_eq!((slots(&first), first.left_out, first.count), (vec![0, 1], Some(2), 6), "all are counted");
    let rest = ask(&mut core, Whose::All, list(), 2, 9);
    assert_eq!((slots(&rest), rest.left_out, rest.count), (vec![2, 3, 4, 5], None, 6), "those before are counted, too");
    let nothing = ask(&mut core, Whose::All, list(), u32::MAX, 9);
    assert_eq!((slots(&nothing), nothing.left_out, nothing.count), (vec![], None, 6), "another shard is listed");
    assert_eq!((&*rest.rows[3].kind, rest.rows[3].topics, rest.rows[0].topics), ("many", Some(0), None));
    let of_room = ask(&mut core, Whose::Room(room), list(), 0, 2);
    assert_eq!((slots(&of_room), of_room.left_out, of_room.count), (vec![0, 1], Some(2), 5), "all are counted");
    let nobody = ask(&mut core, Whose::Room(RoomId::fresh()), list(), 0, 9);
    assert_eq!((nobody.count, nobody.left_out), (0, None));
}

#[test]
fn a_word_to_many_is_kept_once_for_each_form() {
    let mut core = core(Bounds::default());
    let room = RoomId::fresh();
    (0..500).for_each(|_| _ = join(&mut core, room));
    let before = core.arena.memory_bytes();
    let told = ask(&mut core, Whose::Room(room), Verb::Tell("x".repeat(4000).into()), 0, 0);
    assert_eq!((told.count, told.rows.len(), told.left_out), (500, 0, None));
    assert!(core.arena.memory_bytes() - before < 200 * 1024, "{}", core.arena.memory_bytes() - before);
    assert!((0..500).all(|index| core.lines[index].outbox.owed_bytes() > 4000));
    let cut = ask(&mut core, Whose::Room(room), Verb::Cut { stay_away: false }, 0, 0);
    assert_eq!((cut.count, ask(&mut core, Whose::Room(room), Verb::Cut { stay_away: false }, 0, 0).count), (500, 0));
}
