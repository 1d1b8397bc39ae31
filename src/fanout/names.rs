//! By which numbers a topic's listeners know users: each is named once, and again when something about them changed.

use std::collections::HashMap;

use crate::ids::UserId;
use crate::limits::NAMES_MAX;
use crate::protocol::v1::event::{Named, Who};

/// The users of one topic who have numbers.
#[derive(Debug, Default)]
pub struct Names(HashMap<UserId, Entry>);

#[derive(Debug)]
struct Entry {
    named: Named,
    /// All listeners were told.
    is_told: bool,
}

impl Names {
    /// A user's number. `fresh` gives one that nobody had before.
    pub fn number(&mut self, who: Who<'_>, fresh: impl FnOnce() -> u32) -> u32 {
        let looks = who
            .profile
            .map(|profile| (Box::from(profile.display_name.as_str()), profile.avatar.as_deref().map(Box::from)));
        if let Some(Entry { named, .. }) = self.0.get(&who.id)
            && *named.username == *who.username
            && (looks.is_none() || named.looks == looks)
        {
            return named.number;
        }
        if self.0.len() >= NAMES_MAX {
            // Who is named again gets another number, so that nobody takes one user for another.
            self.0.clear();
        }
        let number = fresh();
        let named = Named { number, id: who.id, username: who.username.into(), looks };
        self.0.insert(who.id, Entry { named, is_told: false });
        number
    }

    /// Those of whom not all listeners were told. They are now.
    pub fn to_tell(&mut self) -> Vec<Named> {
        let untold = |entry: &mut Entry| (!std::mem::replace(&mut entry.is_told, true)).then(|| entry.named.clone());
        self.0.values_mut().filter_map(untold).collect()
    }

    /// All of them, for a new listener.
    pub fn all(&self) -> impl Iterator<Item = &Named> {
        self.0.values().map(|entry| &entry.named)
    }

    /// Nobody has a number.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::user::UserProfile;

    #[test]
    fn a_user_keeps_a_number_until_something_changes() {
        let mut names = Names::default();
        let mut next = 0;
        let mut fresh = || {
            next += 1;
            next
        };
        let profile = |name: &str| UserProfile { display_name: name.into(), ..UserProfile::default() };
        let (ana, beto) = (UserId::fresh(), UserId::fresh());
        let brief = |id| Who { id, username: "x", profile: None };
        assert_eq!(names.number(brief(ana), &mut fresh), 1);
        assert_eq!(names.number(brief(ana), &mut fresh), 1);
        assert_eq!(names.number(brief(beto), &mut fresh), 2);
        assert_eq!(names.to_tell().len(), 2);
        assert!(names.to_tell().is_empty(), "each is told once");
        let known = profile("Ana");
        let whole = Who { id: ana, username: "x", profile: Some(&known) };
        assert_eq!(names.number(whole, &mut fresh), 3, "more is known of her");
        assert_eq!(names.number(brief(ana), &mut fresh), 3, "who knows less changes nothing");
        let renamed = profile("Ana María");
        assert_eq!(names.number(Who { profile: Some(&renamed), ..whole }, &mut fresh), 4);
        assert_eq!(names.to_tell().iter().map(|named| named.number).collect::<Vec<_>>(), [4]);
        assert_eq!(names.all().count(), 2);
        for _ in 0..NAMES_MAX {
            names.number(brief(UserId::fresh()), &mut fresh);
        }
        assert!(names.all().count() <= NAMES_MAX);
        assert!(names.number(brief(beto), &mut fresh) > 4, "an old number is never given again");
    }
}
