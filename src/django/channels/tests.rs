//! Elements made by channels-redis itself (tests/django/capture.py), other bytes that may lie in a queue, and names.

use proptest::prelude::*;

use super::*;

const ELEMENTS: &str = include_str!("elements.txt");

fn ana() -> UserId {
    "c29e1460-2438-4c40-a229-7c210c701b1c".parse().unwrap()
}

fn post() -> PostId {
    "fb349c61-b203-43fa-a906-87fa47e3c37e".parse().unwrap()
}

fn comment() -> CommentId {
    "38ee9ed1-7aaf-42d2-a3b9-926f38f8086b".parse().unwrap()
}

/// The group, type and bytes of each element.
fn elements() -> Vec<(Group, &'static str, Vec<u8>)> {
    let line = |line: &'static str| {
        let mut words = line.split(' ');
        let (group, kind, hex) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        (Group::parse(group).unwrap(), kind, bytes)
    };
    ELEMENTS.lines().map(line).collect()
}

#[test]
fn what_channels_redis_writes_is_read() {
    let mut kinds = Vec::new();
    for (group, kind, element) in elements() {
        let bell = match kind {
            "new_post" => Bell::Posted { post: post(), author: Some(ana()) },
            "post_updated" => Bell::Updated { post: post(), author: Some(ana()) },
            "post_deleted" => Bell::Deleted { post: post() },
            "post_reaction" => Bell::Reacted { post: post(), user: ana() },
            "new_comment" => Bell::Commented(comment()),
            "comment_updated" => Bell::Reworded(comment()),
            "comment_deleted" | "direct" => Bell::Uncommented(comment()),
            "comment_like" => Bell::Liked(comment()),
            other => panic!("{other}"),
        };
        assert_eq!(decode(&element), Ok(vec![Heard { group, bell }]), "{kind}");
        kinds.push(kind);
    }
    assert_eq!(kinds.len(), 9, "every type that is listened to, and a message to one channel");
}

#[test]
fn what_is_cut_off_is_refused() {
    for (_, kind, element) in elements() {
        for length in 0..element.len() {
            assert_eq!(decode(&element[..length]), Err(Unheard::Garbage), "{kind} cut off at {length}");
        }
    }
}

#[test]
fn other_messages_are_passed_over() {
    let packed = |fields: &[(&str, &str)]| {
        let mut bytes = vec![0; RANDOM_BYTES];
        let map: std::collections::BTreeMap<&str, &str> = fields.iter().copied().collect();
        bytes.extend(rmp_serde::to_vec(&map).unwrap());
        bytes
    };
    let channel = format!("specific.0123!post_{}", post());
    let good = ("__asgi_channel__", channel.as_str());
    let id = comment().to_string();
    let kind = |kind| [good, ("type", kind), ("comment_id", id.as_str())];
    assert!(decode(&packed(&kind("comment_like"))).is_ok());
    assert_eq!(decode(&packed(&kind("chat_message"))), Err(Unheard::Foreign));
    for channel in ["specific.0123!chat_room", "specific.0123", "", "specific.0123!post_1"] {
        let fields = [("__asgi_channel__", channel), ("type", "comment_like"), ("comment_id", &id)];
        assert_eq!(decode(&packed(&fields)), Err(Unheard::Foreign), "{channel}");
    }
    for id in ["", "38ee9ed1", "38ee9ed1-7aaf-42d2-a3b9-926f38f8086g", "{38ee9ed1-7aaf-42d2-a3b9-926f38f8086b}"] {
        assert_eq!(decode(&packed(&[good, ("type", "comment_like"), ("comment_id", id)])), Err(Unheard::Garbage));
    }
    assert_eq!(decode(&packed(&[good, ("type", "comment_like")])), Err(Unheard::Garbage), "no id");
    assert_eq!(decode(&packed(&[good])), Err(Unheard::Garbage), "no type");
    assert_eq!(decode(&packed(&[("type", "comment_like"), ("comment_id", &id)])), Err(Unheard::Garbage), "no channel");
}

#[test]
fn lists_within_lists_without_an_end_are_refused() {
    let mut element = vec![0; RANDOM_BYTES];
    element.extend([0x81, 0xa1, b'x']);
    element.extend(std::iter::repeat_n(0x91, 100_000));
    assert_eq!(decode(&element), Err(Unheard::Garbage));
    assert_eq!(decode(&vec![0; CHANNEL_ELEMENT_BYTES_MAX + 1]), Err(Unheard::Garbage));
}

#[test]
fn names_are_as_channels_redis_has_them() {
    let names = Names::fresh("asgi");
    let group = Group::Post(post());
    assert_eq!(names.group_key(&group.to_string()), format!("asgi:group:post_{}", post()));
    let channel = names.channel(group);
    let (queue, local) = channel.split_once('!').unwrap();
    assert_eq!(Group::parse(local), Some(group));
    assert_eq!(names.queue_keys().nth(group.queue()), Some(format!("asgi{queue}!")), "no colon");
    assert_eq!(names.queue_keys().count(), CHANNEL_QUEUES);
    let longest = names.channel(Group::Feed(ana()));
    assert!(longest.len() < 100, "channels-redis refuses longer names: {longest}");
    for name in ["", "feed_", "feed_x", "feed", "chat_38ee9ed1-7aaf-42d2-a3b9-926f38f8086b", "_"] {
        assert_eq!(Group::parse(name), None, "{name}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes);
    }

    /// Closer to what happens: one byte of a real element is replaced.
    #[test]
    fn no_wrong_byte_makes_it_panic(which in 0_usize..9, at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let (_, _, mut element) = elements().remove(which);
        let at = at.index(element.len());
        element[at] = byte;
        let _ = decode(&element);
    }
}
