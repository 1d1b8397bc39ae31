//! By which numbers a topic's listeners know users: each is named once, and again when something about them changed.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::user::UserProfile;
use crate::ids::UserId;
use crate::limits::NAMES_MAX;
use crate::protocol::v0::object::Presenter;
use crate::protocol::v1::event::{Named, Who};

/// The users of one topic who have numbers.
#[derive(Debug, Default)]
pub struct Names(HashMap<UserId, Entry>);

#[derive(Debug)]
struct Entry {
    named: Arc<Named>,
    /// All listeners were told.
    is_told: bool,
}

impl Names {
    /// A user's number and names, for a single listener, who is told them. `fresh` gives a number that nobody had before.
    pub fn number(&mut self, who: Who<'_>, presenter: &Presenter, fresh: impl FnOnce() -> u32) -> Arc<Named> {
        Arc::clone(&self.entry(who, presenter, fresh).named)
    }

    /// The same for all listeners, and whether they have to be told. From now on they know.
    pub fn tell(&mut self, who: Who<'_>, presenter: &Presenter, fresh: impl FnOnce() -> u32) -> (Arc<Named>, bool) {
        let entry = self.entry(who, presenter, fresh);
        let is_news = !std::mem::replace(&mut entry.is_told, true);
        (Arc::clone(&entry.named), is_news)
    }

    /// Notes what changed about users who have numbers, which they keep. Returns those whose listeners have to be told.
    pub fn renamed(&mut self, profiles: &HashMap<UserId, Arc<UserProfile>>, presenter: &Presenter) -> Vec<Arc<Named>> {
        // Either side may be the larger one.
        let users: Vec<UserId> = if profiles.len() < self.0.len() {
            profiles.keys().copied().collect()
        } else {
            self.0.keys().copied().collect()
        };
        let renamed = |user: UserId| {
            let (profile, entry) = (profiles.get(&user)?, self.0.get_mut(&user)?);
            let who = Who { id: user, username: &profile.username, profile: Some(&**profile) };
            let named = named(who, entry.named.number, presenter);
            // While nobody had to know how a user looks, nobody knows.
            let is_news = entry.named.looks.is_some() && named != *entry.named;
            if is_news {
                entry.named = Arc::new(named);
            }
            // Who is told for the first time is told with the event.
            (is_news && entry.is_told).then(|| Arc::clone(&entry.named))
        };
        users.into_iter().filter_map(renamed).collect()
    }

    fn entry(&mut self, who: Who<'_>, presenter: &Presenter, fresh: impl FnOnce() -> u32) -> &mut Entry {
        let looks = who.profile.map(|profile| (&*profile.display_name, profile.avatar.as_deref()));
        let is_same = |Entry { named, .. }: &Entry| {
            let known = named.looks.as_ref().map(|(display_name, avatar)| (&**display_name, avatar.as_deref()));
            *named.username == *who.username && (looks.is_none() || known == looks)
        };
        if !self.0.get(&who.id).is_some_and(is_same) {
            if self.0.len() >= NAMES_MAX {
                // Who is named again gets another number, so that nobody takes one user for another. Frames on their way may
                // still use the old one: what they name travels with them (`Said::named`).
                self.0.clear();
            }
            self.0.remove(&who.id);
        }
        self.0
            .entry(who.id)
            .or_insert_with(|| Entry { named: Arc::new(named(who, fresh(), presenter)), is_told: false })
    }

    /// All who have numbers now, for a new listener.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Named>> {
        self.0.values().map(|entry| &entry.named)
    }
}

fn named(who: Who<'_>, number: u32, presenter: &Presenter) -> Named {
    let looks = who.profile.map(|profile| (&*profile.display_name, profile.avatar.as_deref()));
    let avatar = looks.and_then(|(_, path)| presenter.address(path?)).map(String::into_boxed_str);
    let looks = looks.map(|(display_name, path)| (display_name.into(), path.map(Box::from)));
    Named { number, id: who.id, username: who.username.into(), looks, avatar }
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
        let presenter = Presenter::new("http://127.0.0.1:8000/", true);
        names.tell(whole, &presenter, || 1);
        names.tell(Who { id: beto, username: "x", profile: None }, &presenter, || 2);
        let changed = |user, name| HashMap::from([(user, profile(user, name))]);
        let told = names.renamed(&changed(ana, "Ana María"), &presenter);
        assert_eq!(told.iter().map(|named| named.number).collect::<Vec<_>>(), [1]);
        assert_eq!(told[0].looks, Some(("Ana María".into(), None)));
        assert_eq!(names.renamed(&changed(ana, "Ana María"), &presenter), [], "that is known");
        assert_eq!(names.renamed(&changed(beto, "Beto"), &presenter), [], "nobody had to know how he looks");
        assert_eq!(names.renamed(&changed(caro, "Caro"), &presenter), [], "she has no number");
        let new = profile(ana, "Ana María");
        let (next, is_news) = names.tell(Who { profile: Some(&new), ..whole }, &presenter, || 3);
        assert_eq!((next.number, is_news), (1, false), "her next message has the same number");
    }

    #[test]
    fn a_user_keeps_a_number_until_something_changes() {
        let (mut names, presenter) = (Names::default(), Presenter::new("http://127.0.0.1:8000/", true));
        let mut next = 0;
        let mut fresh = || {
            next += 1;
            next
        };
        let profile = |name: &str| UserProfile { display_name: name.into(), ..UserProfile::default() };
        let (ana, beto) = (UserId::fresh(), UserId::fresh());
        let brief = |id| Who { id, username: "x", profile: None };
        let mut told = |names: &mut Names, who| {
            let (named, is_news) = names.tell(who, &presenter, &mut fresh);
            (named.number, is_news)
        };
        assert_eq!(told(&mut names, brief(ana)), (1, true));
        assert_eq!(told(&mut names, brief(ana)), (1, false), "each is told once");
        assert_eq!(names.number(brief(beto), &presenter, || 90).number, 90);
        assert_eq!(told(&mut names, brief(beto)), (90, true), "one listener knew him");
        let known = profile("Ana");
        let whole = Who { id: ana, username: "x", profile: Some(&known) };
        assert_eq!(told(&mut names, whole), (2, true), "more is known of her");
        assert_eq!(told(&mut names, brief(ana)), (2, false), "who knows less changes nothing");
        let renamed = profile("Ana María");
        assert_eq!(told(&mut names, Who { profile: Some(&renamed), ..whole }), (3, true));
        assert_eq!(names.all().count(), 2);
        for _ in 0..NAMES_MAX {
            told(&mut names, brief(UserId::fresh()));
        }
        assert!(names.all().count() <= NAMES_MAX);
        let (number, is_news) = told(&mut names, brief(beto));
        assert!(number > 90 && is_news, "an old number is never given again");
    }
}
