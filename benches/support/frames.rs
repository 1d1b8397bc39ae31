//! Frames as clients send them, in the sizes of the published figures.

const ID: &str = "7d17fe03-94d3-4a71-9dbe-0dbb933c1946";

/// With this masking key ASCII stays ASCII, so that a buffer can be unmasked again and again and is text each time.
const KEY: [u8; 4] = [1, 2, 3, 4];

/// Each kind of frame with the JSON of its command.
pub fn client_frames() -> Vec<(&'static str, String)> {
    let plain = "La reunión empieza a las diez en la sala grande, no llegues tarde. ".replace('ó', "o");
    let spanish = "¿Mañana jugamos? Sí, a las 18:00 — ¡qué ilusión! 🎉 ";
    let escaped = r#"Dijo: \"ven\"\ny trae C:\\datos\\foto.png \ud83c\udf89\u00f1 "#;
    let message = |content: &str| format!(r#"{{"type":"chat_message","content":"{content}","message_type":"text"}}"#);
    vec![
        ("chat_message 60", message(&cut(&plain, 60))),
        ("chat_message 400", message(&cut(&plain, 400))),
        ("chat_message 2000", message(&cut(&plain, 2000))),
        ("chat_message 400 spanish", message(&cut(spanish, 400))),
        ("chat_message 2000 emoji", message(&cut("😀🎉", 2000))),
        ("chat_message 400 escaped", message(&escaped.repeat(400 / escaped.len()))),
        (
            "chat_message reply",
            format!(r#"{{"type":"chat_message","content":"vale","reply_to":"{ID}","client_id":"c-1700000000-17"}}"#),
        ),
        ("typing", r#"{"type":"typing","is_typing":true}"#.into()),
        ("read_message", format!(r#"{{"type":"read_message","message_id":"{ID}"}}"#)),
        ("react_message", format!(r#"{{"type":"react_message","message_id":"{ID}","reaction_type":"fire"}}"#)),
        ("edit_message", format!(r#"{{"type":"edit_message","message_id":"{ID}","content":"{}"}}"#, cut(&plain, 60))),
        ("delete_message", format!(r#"{{"type":"delete_message","message_id":"{ID}"}}"#)),
        ("ping", r#"{"type":"ping","timestamp":1700000000123}"#.into()),
        ("signal 60", signal(60)),
        ("signal 1024", signal(1024)),
        ("signal 4096", signal(4096)),
    ]
}

/// A `signal` whose `data` is an object of positions, about `bytes` long and never longer.
pub fn signal(bytes: usize) -> String {
    let point = r#"{"x":12.5,"y":-3,"t":"move"}"#;
    let mut data = format!("[{point}");
    while data.len() + point.len() + 2 <= bytes {
        data.push(',');
        data.push_str(point);
    }
    format!(r#"{{"type":"signal","data":{data}],"echo":true}}"#)
}

/// A text frame of a client, masked, with a header as long as `payload` needs.
pub fn masked(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length @ 126..=65_535 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&KEY);
    let header = frame.len();
    frame.extend_from_slice(payload);
    pregon::protocol::ws::mask::unmask_plain(&mut frame[header..], KEY, 0);
    frame
}

/// ASCII text of `bytes` bytes.
pub fn ascii(bytes: usize) -> Vec<u8> {
    b"The quick brown fox jumps over the lazy dog; ".iter().copied().cycle().take(bytes).collect()
}

/// The first `chars` characters of `text` repeated.
fn cut(text: &str, chars: usize) -> String {
    text.chars().cycle().take(chars).collect::<String>()
}
