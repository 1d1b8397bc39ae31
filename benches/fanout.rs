//! One event to 10, 1,000 and 10,000 outboxes, and the visits that empty them.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pregon::protocol::ws::frame::encode_text;
use support::rooms::Room;

mod support;

/// Frames that gather before the members are visited. Each adds to the ranges, not to the number of visits.
const GATHERED: u32 = 16;

fn fan_out(criterion: &mut Criterion) {
    let mut frame = Vec::new();
    encode_text(&support::frames::ascii(100), &mut frame);
    let mut group = criterion.benchmark_group("fanout");
    for (name, members) in [("10", 10), ("1,000", 1_000), ("10,000", 10_000)] {
        let mut room = Room::of(members);
        group.throughput(Throughput::Elements(u64::from(members)));
        group.bench_function(format!("{name} members, one event"), |bencher| {
            bencher.iter(|| {
                room.publish(black_box(&frame));
                assert_eq!(room.walk(), frame.len() * members as usize);
            });
        });
        group.throughput(Throughput::Elements(u64::from(members * GATHERED)));
        group.bench_function(format!("{name} members, {GATHERED} events gathered"), |bencher| {
            bencher.iter(|| {
                (0..GATHERED).for_each(|_| room.publish(black_box(&frame)));
                assert_eq!(room.walk(), frame.len() * (members * GATHERED) as usize);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, fan_out);
criterion_main!(benches);
