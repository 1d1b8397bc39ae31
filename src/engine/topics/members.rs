//! Who on this shard listens to which topic: dense arrays that the walk reads front to back.

use std::collections::HashMap;
use std::sync::Arc;

use crate::engine::topics::chunks::OpenChunk;
use crate::engine::topics::listeners::Listeners;
use crate::ids::Topic;
use crate::protocol::form::{Form, Forms};

/// A session's seat in a topic, kept by the session so that leaving costs no search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// The topic's slot in this registry.
    pub slot: u32,
    /// The session's place among the topic's members.
    pub place: u32,
}

/// A member of a topic. The topic knows which seat of the session it is, so a member that moves is found without a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The session's slot.
    pub session: u32,
    /// Which of the session's seats it is: see [`Seats`].
    pub seat: u16,
    /// The form in which the session wants frames.
    pub form: Form,
}

// A large room's members are read front to back for each frame.
const _: () = assert!(size_of::<Member>() == 8);

impl Member {
    /// A session with its first seat.
    pub fn first_of(session: u32, form: Form) -> Self {
        Self { session, seat: 0, form }
    }
}

/// All seats of a session, by number: nearly always one.
#[derive(Debug, Default)]
pub struct Seats(List);

#[derive(Debug, Default)]
#[expect(clippy::box_collection, reason = "nearly all sessions have one seat, and pay for no more")]
enum List {
    #[default]
    None,
    One(Seat),
    More(Box<Vec<Seat>>),
}

// Every session has some.
const _: () = assert!(size_of::<Seats>() <= 16);

impl Seats {
    /// All of them, by number.
    pub fn all(&self) -> &[Seat] {
        match &self.0 {
            List::None => &[],
            List::One(seat) => std::slice::from_ref(seat),
            List::More(seats) => seats,
        }
    }

    /// What it keeps on the heap.
    #[cfg(test)]
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            List::None | List::One(_) => 0,
            List::More(seats) => size_of::<Vec<Seat>>() + seats.capacity() * size_of::<Seat>(),
        }
    }

    /// Adds a seat under the next number.
    pub fn push(&mut self, seat: Seat) {
        match &mut self.0 {
            List::None => self.0 = List::One(seat),
            List::One(first) => self.0 = List::More(Box::new(vec![*first, seat])),
            List::More(seats) => {
                if seats.len() == seats.capacity() {
                    // A quarter more: most have few, and none has many.
                    seats.reserve_exact(1 + seats.len() / 4);
                }
                seats.push(seat);
            }
        }
    }

    /// Removes the seat with the highest number.
    pub fn pop(&mut self) -> Option<Seat> {
        match &mut self.0 {
            List::None => None,
            List::One(seat) => {
                let seat = *seat;
                self.0 = List::None;
                Some(seat)
            }
            List::More(seats) => seats.pop(),
        }
    }

    /// Removes the seat with this number. The one with the highest number gets its number and is returned, unless it was that.
    pub fn take(&mut self, number: usize) -> Option<Seat> {
        if let List::More(seats) = &mut self.0
            && number + 1 < seats.len()
        {
            seats.swap_remove(number);
            return seats.get(number).copied();
        }
        self.pop();
        None
    }

    /// Stores the new place of the seat with this number.
    pub fn moved(&mut self, number: u16, to: Seat) {
        match &mut self.0 {
            List::One(seat) if number == 0 => *seat = to,
            List::More(seats) if usize::from(number) < seats.len() => seats[usize::from(number)] = to,
            _ => debug_assert!(false, "a seat nobody has is moved"),
        }
    }
}

/// A topic with listeners on this shard.
#[derive(Debug)]
pub struct LiveTopic {
    /// The topic.
    pub topic: Topic,
    /// In no order.
    pub members: Vec<Member>,
    /// Where the next frame goes in the default form.
    open: OpenChunk,
    /// The other forms that members have at present: none in most topics, and there are many topics.
    others: Vec<Other>,
    /// The shards with members, this one included. `None` except for chat rooms and posts: only their shards tell each other things.
    pub listeners: Option<Arc<Listeners>>,
}

/// One open chunk a form.
pub type Opens = [OpenChunk; Form::COUNT];

/// What a topic keeps of a form besides the default.
#[derive(Debug)]
struct Other {
    /// Of frames, or of members who are held or were caught up.
    form: Form,
    /// Members who have it: at least one.
    count: u32,
    /// Where the next frame goes.
    open: OpenChunk,
}

impl LiveTopic {
    /// The forms that members want of some frames, which may be passing.
    pub fn forms(&self, is_passing: bool) -> Forms {
        let (mut forms, mut others) = (Forms::default(), 0);
        for Other { form, count, .. } in &self.others {
            others += *count as usize;
            if form.is_of_frames() {
                forms = forms.with(*form);
            } else if is_passing && form.is_caught() {
                forms = forms.with(form.wanted());
            }
        }
        if self.members.len() > others { forms.with(Form::default()) } else { forms }
    }

    /// True if some member is given nothing yet.
    pub fn has_held(&self) -> bool {
        self.other(Form::HELD).is_some()
    }

    /// True if some member is given only what is passing.
    pub fn has_caught(&self) -> bool {
        self.others.iter().any(|other| other.form.is_caught())
    }

    /// Where the next frame of this form goes.
    pub fn open(&self, form: Form) -> OpenChunk {
        if form == Form::default() {
            return self.open;
        }
        self.other(form).map(|other| other.open).unwrap_or_default()
    }

    /// Notes where the next frame of this form goes.
    pub fn set_open(&mut self, form: Form, open: OpenChunk) {
        if form == Form::default() {
            self.open = open;
        } else if let Some(other) = self.others.iter_mut().find(|other| other.form == form) {
            other.open = open;
        }
    }

    fn other(&self, form: Form) -> Option<&Other> {
        self.others.iter().find(|other| other.form == form)
    }

    fn note(&mut self, form: Form, came: bool) {
        if form == Form::default() {
            return;
        }
        let place = self.others.iter().position(|other| other.form == form);
        match place.map(|place| (place, &mut self.others[place])) {
            Some((_, other)) if came => other.count += 1,
            Some((_, other)) if other.count > 1 => other.count -= 1,
            Some((place, _)) => drop(self.others.swap_remove(place)),
            None if came => {
                self.others.reserve_exact(1);
                self.others.push(Other { form, count: 1, open: OpenChunk::default() });
            }
            None => debug_assert!(false, "nobody had {form:?}"),
        }
    }
}

/// What leaving a topic did.
#[derive(Debug, PartialEq, Eq)]
pub enum Left {
    /// Another member has the seat now: tell its session so.
    Moved(Member),
    /// Nobody had to move.
    Quietly,
    /// That was the last member: the topic is gone from this shard.
    Last(Topic),
}

/// All topics with listeners on this shard.
#[derive(Debug, Default)]
pub struct Registry {
    index: HashMap<Topic, u32>,
    live: slab::Slab<LiveTopic>,
}

impl Registry {
    /// Seats a member. Returns the seat, and whether the member is the topic's first here.
    pub fn join(&mut self, topic: Topic, member: Member) -> (Seat, bool) {
        let live = &mut self.live;
        let mut is_first = false;
        let slot = *self.index.entry(topic).or_insert_with(|| {
            is_first = true;
            let open = OpenChunk::default();
            let found = LiveTopic { topic, members: Vec::new(), open, others: Vec::new(), listeners: None };
            narrow(live.insert(found))
        });
        let found = &mut live[slot as usize];
        if found.members.len() == found.members.capacity() {
            // A quarter more: topics are many and small.
            found.members.reserve_exact((found.members.len() / 4).max(2));
        }
        found.members.push(member);
        found.note(member.form, true);
        (Seat { slot, place: narrow(found.members.len() - 1) }, is_first)
    }

    /// Takes a member out of its seat. The topic's last one moves into the gap.
    pub fn leave(&mut self, seat: Seat) -> Left {
        let found = &mut self.live[seat.slot as usize];
        let gone = found.members.swap_remove(seat.place as usize);
        found.note(gone.form, false);
        if let Some(&moved) = found.members.get(seat.place as usize) {
            return Left::Moved(moved);
        }
        if found.members.is_empty() {
            let found = self.live.remove(seat.slot as usize);
            self.index.remove(&found.topic);
            return Left::Last(found.topic);
        }
        Left::Quietly
    }

    /// The member of a seat wants another form from now on.
    pub fn change_form(&mut self, seat: Seat, form: Form) {
        let found = &mut self.live[seat.slot as usize];
        let member = &mut found.members[seat.place as usize];
        let before = std::mem::replace(&mut member.form, form);
        found.note(before, false);
        found.note(form, true);
    }

    /// A seat has another number among its session's seats from now on.
    pub fn renumber(&mut self, seat: Seat, number: u16) {
        self.live[seat.slot as usize].members[seat.place as usize].seat = number;
    }

    /// The seat's topic and form, where its member is the only one of that form and the form is not the default. A member that
    /// is held will want `pregon.v1`.
    pub fn only_one_of_its_form(&self, seat: Seat) -> Option<(Topic, Form)> {
        let found = &self.live[seat.slot as usize];
        let form = found.members[seat.place as usize].form;
        found.other(form).filter(|other| other.count == 1).map(|_| (found.topic, form.wanted()))
    }

    /// The slot of a topic that has members here.
    pub fn slot(&self, topic: &Topic) -> Option<u32> {
        self.index.get(topic).copied()
    }

    /// A live topic by slot; the slot comes from a seat or from [`Self::slot`].
    pub fn live(&self, slot: u32) -> &LiveTopic {
        &self.live[slot as usize]
    }

    /// As [`Self::live`], to append to it.
    pub fn live_mut(&mut self, slot: u32) -> &mut LiveTopic {
        &mut self.live[slot as usize]
    }

    /// True if the slot's topic has members here.
    pub fn contains(&self, slot: u32) -> bool {
        self.live.contains(slot as usize)
    }

    /// Topics with members here, of some slots, and the slot to go on from; `None` when these are the last.
    pub fn some(&self, from: u32, slots: u32) -> (impl Iterator<Item = Topic>, Option<u32>) {
        let end = from.saturating_add(slots);
        let topics = (from..end).filter_map(|slot| self.live.get(slot as usize)).map(|found| found.topic);
        (topics, Some(end).filter(|end| (*end as usize) < self.live.capacity()))
    }

    /// Topics with members here.
    pub fn len(&self) -> usize {
        self.live.len()
    }

    /// Members of all topics.
    #[cfg(any(test, debug_assertions))]
    pub fn seats(&self) -> usize {
        self.live.iter().map(|(_, found)| found.members.len()).sum()
    }

    /// Memory of all of it: of topics, and of members.
    #[cfg(test)]
    pub fn heap_bytes(&self) -> [usize; 2] {
        let index = crate::engine::topics::table_bytes::<(Topic, u32)>(self.index.capacity());
        let members: usize = self.live.iter().map(|(_, found)| found.members.capacity() * size_of::<Member>()).sum();
        let listeners = self.live.iter().filter(|(_, found)| found.listeners.is_some()).count() * 32;
        let others: usize = self.live.iter().map(|(_, found)| found.others.capacity() * size_of::<Other>()).sum();
        [index + self.live.capacity() * (size_of::<LiveTopic>() + 8) + listeners + others, members]
    }

    /// No topic has members here.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }
}

/// Sessions and topics of a shard number far fewer than 2^32: open files are.
#[expect(clippy::cast_possible_truncation, reason = "bounded by open files, checked in debug builds")]
fn narrow(index: usize) -> u32 {
    debug_assert!(u32::try_from(index).is_ok());
    index as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RoomId;

    #[test]
    fn a_seat_that_falls_free_goes_to_the_last_member() {
        let topic = Topic::Room(RoomId::fresh());
        let mut registry = Registry::default();
        let (first, is_first) = registry.join(topic, Member::first_of(7, Form::default()));
        assert!(is_first);
        let eight = Member { session: 8, seat: 3, form: Form::default() };
        let (second, is_first) = registry.join(topic, eight);
        assert!(!is_first);
        assert_eq!(second, Seat { slot: first.slot, place: 1 });
        assert_eq!(registry.leave(first), Left::Moved(eight));
        assert!(registry.contains(first.slot));
        assert_eq!(registry.leave(first), Left::Last(topic), "8 sits in the first seat now");
        assert_eq!((registry.slot(&topic), registry.contains(first.slot)), (None, false));
        assert!(registry.is_empty());
    }

    #[test]
    fn a_topic_knows_the_forms_of_its_members() {
        let topic = Topic::Room(RoomId::fresh());
        let mut registry = Registry::default();
        let other = Form::all().nth(1).expect("tests have two");
        let (first, _) = registry.join(topic, Member::first_of(1, other));
        assert_eq!(registry.live(first.slot).forms(false), Forms::default().with(other));
        assert_eq!(registry.only_one_of_its_form(first), Some((topic, other)));
        let (usual, _) = registry.join(topic, Member::first_of(2, Form::default()));
        let (second, _) = registry.join(topic, Member::first_of(3, other));
        assert_eq!(registry.only_one_of_its_form(usual), None, "the default needs no telling");
        assert_eq!(registry.only_one_of_its_form(second), None);
        assert_eq!(registry.live(first.slot).forms(false), Forms::default().with(other).with(Form::default()));
        registry.leave(first);
        let moved = Seat { slot: first.slot, place: 0 };
        assert_eq!(registry.only_one_of_its_form(moved), Some((topic, other)));
        registry.leave(moved);
        assert_eq!(registry.live(first.slot).forms(false), Forms::default().with(Form::default()));
    }

    #[test]
    fn who_was_caught_up_wants_what_is_passing_in_its_own_form() {
        let topic = Topic::Room(RoomId::fresh());
        let mut registry = Registry::default();
        let packed = Form::all().filter(|form| form.is_v1()).nth(1).expect("it can be compressed");
        let (seat, _) = registry.join(topic, Member::first_of(1, Form::HELD));
        assert_eq!(registry.only_one_of_its_form(seat), Some((topic, Form::V1)), "what is kept for it is plain");
        assert!(registry.live(seat.slot).has_held());
        assert_eq!(registry.live(seat.slot).forms(true), Forms::default());
        registry.change_form(seat, packed.caught());
        assert_eq!(registry.only_one_of_its_form(seat), Some((topic, packed)));
        let live = registry.live(seat.slot);
        assert!(live.has_caught() && !live.has_held());
        assert_eq!((live.forms(false), live.forms(true)), (Forms::default(), Forms::default().with(packed)));
        registry.change_form(seat, packed);
        assert_eq!(registry.live(seat.slot).forms(false), Forms::default().with(packed));
        registry.change_form(seat, Form::default());
        let live = registry.live(seat.slot);
        assert_eq!(live.forms(true), Forms::default().with(Form::default()));
        assert!(live.others.is_empty(), "nothing is kept of forms that nobody has");
    }

    #[test]
    fn the_next_frame_of_each_form_has_its_own_place() {
        let topic = Topic::Room(RoomId::fresh());
        let mut registry = Registry::default();
        let (other, absent) = (Form::all().nth(1).unwrap(), Form::all().nth(2).unwrap());
        let (seat, _) = registry.join(topic, Member::first_of(1, other));
        let mut arena = crate::engine::topics::chunks::Arena::default();
        let mut open = OpenChunk::default();
        drop(arena.append(&mut open, b"frame"));
        let live = registry.live_mut(seat.slot);
        live.set_open(other, open);
        live.set_open(absent, open);
        let is_set = |form| format!("{:?}", live.open(form)) == format!("{open:?}");
        assert_eq!((is_set(Form::default()), is_set(other), is_set(absent)), (false, true, false));
    }

    #[test]
    fn seats_have_numbers_and_a_session_gives_them_up_from_the_last() {
        let seat = |slot| Seat { slot, place: slot + 10 };
        let mut seats = Seats::default();
        assert_eq!(seats.pop(), None);
        (1..=3).for_each(|slot| seats.push(seat(slot)));
        seats.moved(1, seat(7));
        assert_eq!(seats.all(), [seat(1), seat(7), seat(3)]);
        for expected in [Some(seat(3)), Some(seat(7)), Some(seat(1)), None] {
            assert_eq!(seats.pop(), expected);
        }
        seats.push(seat(4));
        assert_eq!(seats.all(), [seat(4)]);
        let mut one = Seats::default();
        one.push(seat(5));
        one.moved(0, seat(6));
        assert_eq!((one.pop(), one.pop()), (Some(seat(6)), None));
    }
}
