//! Parses each client frame's JSON into its command, with the reader in use and with each of three libraries alone.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pregon::protocol::v0::command::parse;
use pregon::protocol::v0::fields::Reader;

#[path = "support/json_candidates.rs"]
mod json_candidates;
mod support;

fn client_frames(criterion: &mut Criterion) {
    let mut scratch = json_candidates::Scratch::default();
    let mut reader = Reader::default();
    for (name, frame) in support::frames::client_frames() {
        let mut group = criterion.benchmark_group(format!("json/{name}"));
        group.throughput(Throughput::Bytes(frame.len() as u64));
        assert!(parse(&frame, &mut reader).is_ok(), "{name}");
        assert!(json_candidates::serde(&frame).is_some(), "{name}");
        assert!(json_candidates::sonic(&frame).is_some(), "{name}");
        assert!(json_candidates::simd(&frame, &mut scratch).is_some(), "{name}");
        group.bench_function("in use", |bencher| {
            bencher.iter(|| black_box(parse(black_box(&frame), &mut reader).is_ok()));
        });
        group.bench_function("serde_json", |bencher| {
            bencher.iter(|| black_box(json_candidates::serde(black_box(&frame)).is_some()));
        });
        group.bench_function("sonic-rs", |bencher| {
            bencher.iter(|| black_box(json_candidates::sonic(black_box(&frame)).is_some()));
        });
        group.bench_function("simd-json", |bencher| {
            bencher.iter(|| black_box(json_candidates::simd(black_box(&frame), &mut scratch).is_some()));
        });
        group.finish();
    }
}

criterion_group!(benches, client_frames);
criterion_main!(benches);
