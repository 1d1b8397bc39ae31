//! Each client frame from its JSON to the command it stands for, by our own cut (in use) and by three libraries.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use pregon::wire::command::parse;
use simd_json::Buffers;

#[path = "support/json_candidates.rs"]
mod json_candidates;
mod support;

fn client_frames(criterion: &mut Criterion) {
    let mut buffers = Buffers::new(8 * 1024);
    for (name, frame) in support::frames::client_frames() {
        let mut group = criterion.benchmark_group(format!("json/{name}"));
        group.throughput(Throughput::Bytes(frame.len() as u64));
        assert!(parse(&frame).is_ok(), "{name}");
        assert!(json_candidates::serde(&frame).is_some(), "{name}");
        assert!(json_candidates::sonic(&frame).is_some(), "{name}");
        assert!(json_candidates::simd(&mut frame.clone().into_bytes(), &mut buffers).is_some(), "{name}");
        group.bench_function("in use", |bencher| {
            bencher.iter(|| black_box(parse(black_box(&frame)).is_ok()));
        });
        group.bench_function("serde_json", |bencher| {
            bencher.iter(|| black_box(json_candidates::serde(black_box(&frame)).is_some()));
        });
        group.bench_function("sonic-rs", |bencher| {
            bencher.iter(|| black_box(json_candidates::sonic(black_box(&frame)).is_some()));
        });
        // It changes what it reads: each turn has a copy of its own, made outside the time that is taken.
        group.bench_function("simd-json", |bencher| {
            bencher.iter_batched_ref(
                || frame.clone().into_bytes(),
                |bytes| black_box(json_candidates::simd(bytes, &mut buffers).is_some()),
                BatchSize::SmallInput,
            );
        });
        group.finish();
    }
}

criterion_group!(benches, client_frames);
criterion_main!(benches);
