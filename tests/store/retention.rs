//! On a MySQL database, expired rows are deleted in the lanes' idle moments, and no others.

use std::time::{Duration, Instant};

use crate::support::{Ids, Maria, World};
use pregon::limits;

const DAY_MICROS: i64 = 24 * 3600 * 1_000_000;

/// Waits until a count becomes `expected`. A sweep that was running when the rows were inserted may have missed some;
/// the next one comes when the clock says so.
async fn becomes(world: &World, query: &str, expected: i64) {
    let started = Instant::now();
    let mut next_sweep = Duration::from_secs(3);
    loop {
        let number = world.backend.number(query).await;
        if number == expected {
            return;
        }
        let waited = started.elapsed();
        assert!(waited < Duration::from_secs(60), "{query}: {number}, not {expected}");
        if waited > next_sweep {
            next_sweep = waited + Duration::from_secs(3);
            world.clock.advance(Duration::from_secs(601));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_takes_what_is_old_and_beyond_the_newest_thousand() {
    let world = World::new(Box::new(Maria::new(Ids::Uuid))).await;
    // The clock stands still, so the sweep at the start finds nothing.
    let now = world.clock.now().0;
    let young = now;
    let old = now - DAY_MICROS - 1;
    let id = "00000000000000000000000000000000";
    for (topic, count, created_at) in [
        ("all old", 2600, format!("{old}")),
        ("all young", 1300, format!("{young}")),
        ("few", 900, format!("{old}")),
        ("old, then young", 2600, format!("IF(seq <= 700, {old}, {young})")),
    ] {
        let events = format!(
            "INSERT INTO pregon_events (topic, epoch, seq, event_id, kind, transport, user_id, created_at) \
             SELECT '{topic}', 1, seq, '{id}', 'left', 'rest', '{id}', {created_at} FROM seq_1_to_{count}"
        );
        world.backend.sql(&events).await;
        world.backend.sql(&format!("INSERT INTO pregon_topics VALUES ('{topic}', 1, {count}, 0)")).await;
    }
    let names = format!(
        "INSERT INTO pregon_client_ids (user_id, room_id, client_id, message_id, created_at) \
         SELECT '{id}', '{id}', seq, '{id}', IF(seq <= 1300, {old}, {young}) FROM seq_1_to_1310"
    );
    world.backend.sql(&names).await;
    world
        .backend
        .sql(&format!("INSERT INTO pregon_revoked VALUES ('gone', {now}), ('kept', {now} + 3600000000)"))
        .await;

    // The next sweep comes ten minutes later.
    world.clock.advance(Duration::from_secs(601));
    let of = |topic: &str| format!("SELECT count(*) FROM pregon_events WHERE topic = '{topic}'");
    becomes(&world, "SELECT count(*) FROM pregon_client_ids", 10).await;
    becomes(&world, &of("old, then young"), 1900).await;
    becomes(&world, &of("all old"), i64::try_from(limits::EVENTS_KEPT_MIN).unwrap()).await;
    assert_eq!(world.backend.number("SELECT min(seq) FROM pregon_events WHERE topic = 'all old'").await, 1601);
    assert_eq!(world.backend.number(&of("all young")).await, 1300);
    assert_eq!(world.backend.number(&of("few")).await, 900);
    assert_eq!(world.backend.number("SELECT count(*) FROM pregon_revoked WHERE jti = 'kept'").await, 1);
    assert_eq!(world.backend.number("SELECT count(*) FROM pregon_revoked").await, 1);
    assert_eq!(
        world.backend.number("SELECT seq FROM pregon_topics WHERE topic = 'all old'").await,
        2600,
        "places are not reused"
    );
}
