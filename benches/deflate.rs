//! Compression of single frames: zlib-rs and libdeflate, by level, and what they make of the frames.
//!
//! It first prints each result's bytes. What is timed is one message without context, as a publisher does it for all who listen.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use flate2::{Compress, Compression, FlushCompress};
use libdeflater::{CompressionLvl, Compressor};
use pregon::protocol::ws::deflate::{Inflater, Window, packed};
use pregon::protocol::ws::frame::encode_text;

const TYPING: &str = r#"{"type":"typing_status","user_id":"0d5d2c8e-5d47-4a39-9e0c-6a1d0f0ae0f5","username":"maria.lopez","is_typing":true}"#;
const V1: &str = r#"{"type":"event","topic":"room:7e1f6e1c2b0d4f7d8a3c5b9e0f1a2d3c","cursor":"1.48213","event":{"type":"message","id":"b2c5d7f0-1a3e-4c6b-8d9f-0e2a4c6b8d1f","from":17,"at":"2026-02-01T10:30:00.123456Z","kind":"text","content":"¿Viste el partido de ayer? Qué final, no lo podía creer."}}"#;
const V0: &str = r#"{"type":"chat_message","message":{"id":"b2c5d7f0-1a3e-4c6b-8d9f-0e2a4c6b8d1f","chat":"7e1f6e1c-2b0d-4f7d-8a3c-5b9e0f1a2d3c","sender":{"id":"0d5d2c8e-5d47-4a39-9e0c-6a1d0f0ae0f5","username":"maria.lopez","email":"","first_name":"María","last_name":"López","display_name":"María López","profile_picture":null,"is_online":true},"message_type":"text","content":"¿Viste el partido de ayer? Qué final, no lo podía creer.","reply_to":null,"story_reply":null,"media":null,"file_name":null,"file_size":null,"is_edited":false,"is_deleted":false,"is_read":false,"reactions":[],"reaction_counts":{},"user_reaction":null,"created_at":"2026-02-01T10:30:00.123456Z","updated_at":"2026-02-01T10:30:00.123456Z"}}"#;

/// As a post is told, with the first three who reacted.
fn post() -> String {
    let who = |id: u32, name: &str, kind: &str| {
        format!(
            r#"{{"id":"5a7c9e1b-{id:04x}-4c6b-8d9f-0e2a4c6b8d1f","user":{{"id":"9d8c7b6a-{id:04x}-4a39-9e0c-6a1d0f0ae0f5","username":"{name}","display_name":"{name}","profile_picture":null}},"reaction_type":"{kind}","created_at":"2026-02-01T10:3{}:00.123456Z"}}"#,
            id % 10
        )
    };
    let content = "Golazo en el último minuto: nadie en la tribuna lo esperaba, y sin embargo ahí estaba. ".repeat(4);
    format!(
        r#"{{"type":"post_updated","post":{{"id":"c0ffee00-1a3e-4c6b-8d9f-0e2a4c6b8d1f","author":{{"id":"0d5d2c8e-5d47-4a39-9e0c-6a1d0f0ae0f5","username":"maria.lopez","display_name":"María López","profile_picture":null}},"content":"{content}","image":null,"video":null,"reactions":[{},{},{}],"reactions_count":3,"comments_count":12,"shares_count":1,"is_public":true,"created_at":"2026-02-01T10:30:00.123456Z","updated_at":"2026-02-01T10:31:00.123456Z"}}}}"#,
        who(1, "beto.diaz", "like"),
        who(2, "caro.ruiz", "golazo"),
        who(3, "dani.gil", "fire")
    )
}

fn frames() -> [(&'static str, String); 4] {
    [("typing", TYPING.into()), ("v1 message", V1.into()), ("v0 message", V0.into()), ("post", post())]
}

fn zlib(stream: &mut Compress, message: &[u8], out: &mut Vec<u8>) {
    stream.reset();
    out.clear();
    stream.compress_vec(message, out, FlushCompress::Sync).expect("it has room");
}

fn libdeflate(compressor: &mut Compressor, message: &[u8], out: &mut Vec<u8>) {
    out.resize(compressor.deflate_compress_bound(message.len()), 0);
    let bytes = compressor.deflate_compress(message, out).expect("it has room");
    out.truncate(bytes);
    // Behind a last block an empty one begins (RFC 7692 §7.2.3.4).
    out.push(0);
}

fn compress(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("deflate");
    let mut out = Vec::with_capacity(16 * 1024);
    for (name, frame) in frames() {
        for level in [1, 2, 3, 6] {
            let mut stream = Compress::new_with_window_bits(Compression::new(level), false, 15);
            zlib(&mut stream, frame.as_bytes(), &mut out);
            eprintln!("{name}: {} B, zlib-rs {level}: {} B", frame.len(), out.len() - 4);
            group.bench_function(format!("{name}/zlib-rs {level}"), |bencher| {
                bencher.iter(|| zlib(&mut stream, black_box(frame.as_bytes()), &mut out));
            });
        }
        for level in [1, 3, 6, 9] {
            let mut compressor = Compressor::new(CompressionLvl::new(level).expect("it exists"));
            libdeflate(&mut compressor, frame.as_bytes(), &mut out);
            eprintln!("{name}: {} B, libdeflate {level}: {} B", frame.len(), out.len());
            group.bench_function(format!("{name}/libdeflate {level}"), |bencher| {
                bencher.iter(|| libdeflate(&mut compressor, black_box(frame.as_bytes()), &mut out));
            });
        }
        let mut framed = Vec::new();
        encode_text(frame.as_bytes(), &mut framed);
        group.bench_function(format!("{name}/as the server does it"), |bencher| {
            bencher.iter(|| packed(black_box(&framed), Window::Usual, 1));
        });
        let mut stream = Compress::new(Compression::new(6), false);
        zlib(&mut stream, frame.as_bytes(), &mut out);
        out.truncate(out.len() - 4);
        let mut inflater = Inflater::default();
        group.bench_function(format!("{name}/inflated"), |bencher| {
            bencher.iter(|| inflater.inflated(black_box(&out), 65_536).map(|message| message.len()));
        });
    }
    group.finish();
}

criterion_group!(benches, compress);
criterion_main!(benches);
