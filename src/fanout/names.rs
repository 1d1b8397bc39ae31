//! By which numbers a topic's listeners know users: each is named once, and again when something about them changed.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::user::UserProfile;
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
        let looks = who.profile.map(looks_of);
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

    /// Notes what changed about users who have numbers, which they keep. Returns those whose listeners have to be told.
    pub fn renamed(&mut self, profiles: &HashMap<UserId, Arc<UserProfile>>) -> Vec<Named> {
        // Either side may be the larger one.
        let users: Vec<UserId> = if profiles.len() < self.0.len() {
            profiles.keys().copied().collect()
        } else {
            self.0.keys().copied().collect()
        };
        let renamed = |user: UserId| {
            let (profile, entry) = (profiles.get(&user)?, self.0.get_mut(&user)?);
            let named = Named {
                looks: Some(looks_of(profile)),
                username: profile.username.as_str().into(),
                ..entry.named.clone()
            };
            // While nobody had to know how a user looks, nobody knows.
            let is_news = entry.named.looks.is_some() && named != entry.named;
            if is_news {
                entry.named = named;
            }
            // Who is told for the first time is told with the event.
            (is_news && entry.is_told).then(|| entry.named.clone())
        };
        users.into_iter().filter_map(renamed).collect()
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

/// The name that is shown to people, and the path of the picture.
fn looks_of(profile: &UserProfile) -> (Box<str>, Option<Box<str>>) {
    (profile.display_name.as_str().into(), profile.avatar.as_deref().map(Box::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_who_changes_keeps_the_number_and_listeners_are_told_once() {
        let mut names = Names::default();
        let profile = |id, name: &str| {
            Arc::new(UserProfile { id, username: "x".into(), display_name: name.into(), ..UserProfile::default() })
        };
        let (ana, beto, caro) = (UserId::fresh(), UserId::fresh(), UserId::fresh());
        let old = profile(ana, "Ana");
        let whole = Who { id: ana, username: "x", profile: Some(&old) };
        names.number(whole, || 1);
        names.number(Who { id: beto, username: "x", profile: None }, || 2);
        names.to_tell();
        let changed = |user, name| HashMap::from([(user, profile(user, name))]);
        let told = names.renamed(&changed(ana, "Ana María"));
        assert_eq!(told.iter().map(|named| named.number).collect::<Vec<_>>(), [1]);
        assert_eq!(told[0].looks, Some(("Ana María".into(), None)));
        assert_eq!(names.renamed(&changed(ana, "Ana María")), [], "that is known");
        assert_eq!(names.renamed(&changed(beto, "Beto")), [], "nobody had to know how he looks");
        assert_eq!(names.renamed(&changed(caro, "Caro")), [], "she has no number");
        let new = profile(ana, "Ana María");
        assert_eq!(names.number(Who { profile: Some(&new), ..whole }, || 3), 1, "her next message has the same number");
    }

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
