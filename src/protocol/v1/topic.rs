//! How clients name topics: `room:<id>`, `post:<id>`, and their own `feed` and `notifications`.

use std::fmt;

use crate::ids::{Topic, UserId};

/// A topic as frames name it. Ids are 32 hexadecimal digits, as short as can be.
#[derive(Debug, Clone, Copy)]
pub struct Name(pub Topic);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Topic::Room(_) | Topic::Post(_) => self.0.fmt(f),
            // Each hears only their own, and what authors publish comes to the feed.
            Topic::Feed(_) | Topic::Author(_) => f.write_str("feed"),
            Topic::Notifications(_) => f.write_str("notifications"),
        }
    }
}

/// The topic that a user's client names, with ids in either spelling. `None` if there is no such topic.
pub fn named(name: &str, user: UserId) -> Option<Topic> {
    match name.split_once(':') {
        None if name == "feed" => Some(Topic::Feed(user)),
        None if name == "notifications" => Some(Topic::Notifications(user)),
        Some(("room", id)) => id.parse().map(Topic::Room).ok(),
        Some(("post", id)) => id.parse().map(Topic::Post).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_named_and_found_by_their_names() {
        let user = UserId::fresh();
        let id = "0a0b9502-c454-481e-8985-e9e7f96c1dcb";
        let (room, post) = (Topic::Room(id.parse().unwrap()), Topic::Post(id.parse().unwrap()));
        for topic in [room, post, Topic::Feed(user), Topic::Notifications(user)] {
            assert_eq!(named(&Name(topic).to_string(), user), Some(topic));
        }
        assert_eq!(named(&format!("room:{id}"), user), Some(room), "hyphens do no harm");
        assert_eq!(Name(Topic::Author(UserId::fresh())).to_string(), "feed");
        for bad in ["", "room", "room:", "room:1", "author:0a0b9502c454481e8985e9e7f96c1dcb", "feed:x", "Feed"] {
            assert_eq!(named(bad, user), None, "{bad}");
        }
    }
}
