//! The registry of live rooms, joined, left and looked up at 10 to a million rooms.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use pregon::engine::topics::members::Member;
use pregon::protocol::form::Form;
use support::rooms::{registry_of, topic};

mod support;

fn registry(criterion: &mut Criterion) {
    for (name, rooms) in [("10", 10_u64), ("1 k", 1_000), ("100 k", 100_000), ("1 M", 1_000_000)] {
        let (mut registry, _) = registry_of(rooms);
        let mut group = criterion.benchmark_group(format!("room/{name}"));
        // The step has no common divisor with the number of rooms, so it visits all of them in a scattered order.
        let mut number = 0;
        let mut next = move || {
            number = (number + 7_919) % rooms;
            number
        };
        group.bench_function("lookup", |bencher| {
            bencher.iter(|| black_box(registry.slot(&topic(next()))));
        });
        group.bench_function("lookup of a room without members here", |bencher| {
            bencher.iter(|| black_box(registry.slot(&topic(rooms + next()))));
        });
        group.bench_function("join and leave a live room", |bencher| {
            bencher.iter(|| {
                let (seat, _) = registry.join(topic(next()), Member::first_of(7, Form::default()));
                black_box(registry.leave(seat))
            });
        });
        group.bench_function("first to join and last to leave", |bencher| {
            bencher.iter(|| {
                let (seat, _) = registry.join(topic(rooms + next()), Member::first_of(7, Form::default()));
                black_box(registry.leave(seat))
            });
        });
        group.finish();
    }
}

criterion_group!(benches, registry);
criterion_main!(benches);
