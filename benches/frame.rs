//! The frame codec: decoding, unmasking, encoding, and the UTF-8 check, at 64 B, 1 KB and 16 KB.

use std::hint::black_box;
use std::ops::ControlFlow;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pregon::limits::MESSAGE_BYTES_MAX;
use pregon::protocol::ws::frame::{begin_text, encode_text};
use pregon::protocol::ws::mask::{unmask, unmask_plain};
use pregon::protocol::ws::{Decoder, Incoming, Limits};

mod support;

const SIZES: [(&str, usize); 3] = [("64 B", 64), ("1 KB", 1024), ("16 KB", 16 * 1024)];

/// Header, unmasking in place, UTF-8: all steps from a read buffer to a `&mut str`.
fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame/decode");
    for (name, bytes) in SIZES {
        // Decoding it again masks it again. With this key ASCII stays ASCII, so it is text each time.
        let mut frame = support::frames::masked(&support::frames::ascii(bytes));
        let mut decoder = Decoder::new();
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut heard = 0;
                let result = decoder.decode(black_box(&mut frame), Limits::plain(MESSAGE_BYTES_MAX), |incoming| {
                    if let Incoming::Text(text) = incoming {
                        heard += text.len();
                    }
                    ControlFlow::Continue(())
                });
                assert!(result.is_ok() && heard == bytes);
            });
        });
    }
    group.finish();
}

/// The word-wise unmasking beside its plain twin.
fn unmasking(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame/unmask");
    for (name, bytes) in SIZES {
        let mut payload = support::frames::ascii(bytes);
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(name, |bencher| bencher.iter(|| unmask(black_box(&mut payload), [1, 2, 3, 4], 0)));
        group.bench_function(format!("{name} plain"), |bencher| {
            bencher.iter(|| unmask_plain(black_box(&mut payload), [1, 2, 3, 4], 0));
        });
    }
    group.finish();
}

/// A payload that is complete, and one that is written after the space for its header.
fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame/encode");
    for (name, bytes) in SIZES {
        let payload = support::frames::ascii(bytes);
        let mut out = Vec::with_capacity(32 * 1024);
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                encode_text(black_box(&payload), &mut out);
                black_box(out.len())
            });
        });
        group.bench_function(format!("{name} begun before its length is known"), |bencher| {
            bencher.iter(|| {
                out.clear();
                let frame = begin_text(&mut out);
                out.extend_from_slice(black_box(&payload));
                frame.finish(&mut out);
                black_box(out.len())
            });
        });
    }
    group.finish();
}

/// The check in use beside the standard library's.
fn utf8(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame/utf8");
    let spanish = "¿Mañana jugamos? Sí, a las 18:00 — ¡qué ilusión! 🎉 ";
    for (name, bytes) in SIZES {
        group.throughput(Throughput::Bytes(bytes as u64));
        let long = spanish.repeat(bytes / spanish.len() + 1);
        let texts = [("ASCII", support::frames::ascii(bytes)), ("Spanish", cut(&long, bytes).into())];
        for (language, text) in texts {
            group.bench_function(format!("{name} {language}"), |bencher| {
                bencher.iter(|| simdutf8::basic::from_utf8(black_box(&text)).is_ok());
            });
            group.bench_function(format!("{name} {language}, standard library"), |bencher| {
                bencher.iter(|| std::str::from_utf8(black_box(&text)).is_ok());
            });
        }
    }
    group.finish();
}

/// At most `bytes` bytes of `text`, cut at a character.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

criterion_group!(benches, decode, unmasking, encode, utf8);
criterion_main!(benches);
