//! The shadow of one session: the frames that it may be sent, kept as plain lists, and the check of what its socket
//! took.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::domain::user::Account;
use crate::engine::session::endpoint::Endpoint;
use crate::ids::{RoomId, SessionKey, Topic, UserId};
use crate::protocol::v0::event;
use crate::protocol::ws::deflate::puff;
use crate::protocol::ws::frame::encode_text;

/// Whether a frame has to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Must,
    May,
    /// It has to come, unless the user ceased to hear the author at some time after it was sent (`sent`).
    WhileHeard {
        author: UserId,
        sent: u64,
    },
}

/// A user who is present in a room, and the frame that says so.
type Greeting = (UserId, Rc<[u8]>);

#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub bytes: Rc<[u8]>,
    pub need: Need,
}

/// What is true about who hears whom and how presence is told, whatever the shards know of it.
#[derive(Default)]
pub(super) struct Truth {
    /// For each pair, since when the user hears the author.
    heard: HashMap<(UserId, UserId), u64>,
    /// For each pair, until when the user last heard the author.
    ended: HashMap<(UserId, UserId), u64>,
    /// For each pair, how many shards have not learned yet that the user ceased to hear the author.
    unlearned: HashMap<(UserId, UserId), usize>,
    /// For each room that tells presence, the frames that say that a user came or went.
    presence: HashMap<RoomId, Vec<Greeting>>,
    /// For each signal, the shard that told it and its place among all signals.
    told: HashMap<u64, (usize, u64)>,
}

impl Truth {
    pub(super) fn relate(&mut self, user: UserId, other: UserId, hears: bool, at: u64) {
        if hears {
            self.heard.entry((user, other)).or_insert(at);
        } else if self.heard.remove(&(user, other)).is_some() {
            self.ended.insert((user, other), at);
        }
    }

    /// Notes that a shard will learn that the user ceased to hear the other.
    pub(super) fn will_learn_end(&mut self, user: UserId, other: UserId) {
        *self.unlearned.entry((user, other)).or_default() += 1;
    }

    /// Notes that a shard has now learned it.
    pub(super) fn learns_end(&mut self, user: UserId, other: UserId, at: u64) {
        let left = self.unlearned.entry((user, other)).or_default();
        *left = left.saturating_sub(1);
        self.ended.insert((user, other), at);
    }

    pub(super) fn heard_by(&self, user: UserId) -> Vec<UserId> {
        let mut authors: Vec<UserId> =
            self.heard.keys().filter(|(of, _)| *of == user).map(|(_, other)| *other).collect();
        authors.sort_unstable();
        authors
    }

    /// True if the user hears what the author said at `sent`, and has heard the author ever since.
    pub(super) fn hears(&self, user: UserId, author: UserId, sent: u64) -> bool {
        user == author || self.heard.get(&(user, author)).is_some_and(|since| *since <= sent)
    }

    /// True if the user heard the author at any time since then, or some shard thinks so.
    pub(super) fn has_heard(&self, user: UserId, author: UserId, since: u64) -> bool {
        let pair = (user, author);
        let is_unlearned = self.unlearned.get(&pair).is_some_and(|shards| *shards > 0);
        let has_ended = |ended: &u64| is_unlearned || *ended >= since;
        user == author || self.heard.contains_key(&pair) || self.ended.get(&pair).is_some_and(has_ended)
    }

    /// Notes that a shard has heard a signal and tells it to others.
    pub(super) fn tells(&mut self, signal: u64, shard: usize) {
        let place = self.told.len() as u64;
        self.told.insert(signal, (shard, place));
    }

    pub(super) fn tells_presence(&mut self, room: RoomId, account: &Account) {
        for is_online in [true, false] {
            let mut frame = Vec::new();
            event::user_status(&mut frame, account, is_online);
            self.presence.entry(room).or_default().push((account.id, frame.into()));
        }
    }

    /// True if these are whole frames, and each tells of a user of the room.
    pub(super) fn is_presence(&self, room: RoomId, mut frames: &[u8]) -> bool {
        let Some(known) = self.presence.get(&room) else { return false };
        while !frames.is_empty() {
            let Some((_, frame)) = known.iter().find(|(_, frame)| frames.starts_with(frame)) else { return false };
            frames = &frames[frame.len()..];
        }
        true
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// A close frame waits, since this second.
    Closing {
        since: u32,
        close: Vec<u8>,
        /// The session was too slow: what waited is dropped, except the frame under way.
        is_cut: bool,
    },
    /// The close frame was the last frame; it had waited since this second.
    Told {
        since: u32,
    },
    /// The session ends without a close frame, because its connection broke. What waits may still be sent.
    Gone,
}

/// What a feed that is loading may be sent when it knows whom it hears.
#[derive(Default)]
pub(super) struct Kept {
    pub begun: u64,
    pub frames: Vec<(UserId, Rc<[u8]>)>,
}

/// One session as it should be.
pub(super) struct Shadow {
    pub key: SessionKey,
    /// Its user; `None` if the handshake was refused inside the socket.
    pub account: Option<Arc<Account>>,
    pub endpoint: Endpoint,
    /// How far back it can look while it inflates frames, as a power of two; `None` if it knows no compression.
    pub window_bits: Option<u32>,
    /// When it began, in commits and in the shard's seconds.
    pub begun: u64,
    pub began: u32,
    /// Since when it may be sent what authors published. This is before its own beginning if it is the second tab of a
    /// feed that is loading.
    heard_since: u64,
    /// When its peer was last heard.
    pub heard: u32,
    /// When its token's time is over, by the clock that tokens go by.
    pub token_ends: Option<Timestamp>,
    pub phase: Phase,
    /// The peer's close frame has come.
    pub peer_has_closed: bool,
    /// Its bytes were no frames, so nothing that it sends afterwards is understood.
    pub is_garbled: bool,
    /// The frames that wait or may wait: the session's own, and those of each author.
    streams: BTreeMap<Option<UserId>, VecDeque<Frame>>,
    /// The bytes after the last whole frame.
    partial: Vec<u8>,
    /// The place of the last signal that came from each shard.
    last_told: BTreeMap<usize, u64>,
}

/// What a peer notices in what it reads.
#[derive(Debug, Default)]
pub(super) struct Noticed {
    pub pings: usize,
    pub deflated: usize,
    pub is_closed: bool,
}

impl Shadow {
    pub(super) fn new(
        key: SessionKey,
        account: Option<Arc<Account>>,
        endpoint: Endpoint,
        begun: u64,
        began: u32,
    ) -> Self {
        Self {
            key,
            account,
            endpoint,
            window_bits: None,
            begun,
            began,
            heard_since: begun,
            heard: began,
            token_ends: None,
            phase: Phase::Open,
            peer_has_closed: false,
            is_garbled: false,
            streams: BTreeMap::new(),
            partial: Vec::new(),
            last_told: BTreeMap::new(),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    pub(super) fn user(&self) -> Option<UserId> {
        self.account.as_ref().map(|account| account.id)
    }

    pub(super) fn topic(&self) -> Option<Topic> {
        self.user().map(|user| self.endpoint.topic(user))
    }

    /// Expects that the session is sent a frame, of its own or of an author.
    pub(super) fn expect(&mut self, author: Option<UserId>, bytes: &[u8], need: Need) {
        self.streams.entry(author).or_default().push_back(Frame { bytes: bytes.into(), need });
    }

    /// Expects this close frame, and nothing after it.
    pub(super) fn closes(&mut self, since: u32, close: Vec<u8>, is_cut: bool) {
        if is_cut {
            let partial = &self.partial;
            for stream in self.streams.values_mut() {
                // What is compressed is known when it is whole.
                let is_it = |frame: &Frame| is_deflated(partial) || frame.bytes.starts_with(partial);
                stream.retain(|frame| !partial.is_empty() && is_it(frame));
                stream.iter_mut().for_each(|frame| frame.need = Need::May);
            }
        }
        // A feed that is loading is told to come again by any close frame: what was kept for it is not sent.
        let kept = self.streams.values_mut().flatten().filter(|frame| matches!(frame.need, Need::WhileHeard { .. }));
        kept.for_each(|frame| frame.need = Need::May);
        self.phase = Phase::Closing { since, close, is_cut };
    }

    /// A second tab of a feed that is loading may be sent what was kept for the first tab.
    pub(super) fn shares_kept(&mut self, kept: &Kept) {
        for (author, bytes) in &kept.frames {
            let frame = Frame { bytes: bytes.clone(), need: Need::May };
            self.streams.entry(Some(*author)).or_default().push_back(frame);
        }
        self.heard_since = self.heard_since.min(kept.begun);
    }

    /// A frame that certainly still has to come.
    pub(super) fn is_owed(&self, truth: &Truth) -> Option<&Frame> {
        self.streams.values().flatten().find(|frame| self.must(frame, truth))
    }

    pub(super) fn has_partial(&self) -> bool {
        !self.partial.is_empty()
    }

    /// Checks bytes that the socket took: each must belong to a frame that the session may be sent now.
    pub(super) fn took(&mut self, bytes: &[u8], truth: &Truth) -> Noticed {
        let mut noticed = Noticed::default();
        if bytes.is_empty() {
            return noticed;
        }
        let mut all = std::mem::take(&mut self.partial);
        all.extend_from_slice(bytes);
        let mut rest = &all[..];
        while let Some(length) = frame_bytes(rest).filter(|length| *length <= rest.len()) {
            let frame = self.inflated(&rest[..length], &mut noticed);
            self.whole(&frame, truth, &mut noticed);
            rest = &rest[length..];
        }
        assert!(rest.is_empty() || self.could_begin_with(rest, truth), "foreign or torn bytes: {}", shown(rest));
        self.partial = rest.to_vec();
        noticed
    }

    /// A frame as it was before it was compressed.
    fn inflated<'a>(&self, frame: &'a [u8], noticed: &mut Noticed) -> Cow<'a, [u8]> {
        if !is_deflated(frame) {
            return Cow::Borrowed(frame);
        }
        assert_eq!(frame[0], 0xc1, "only texts are compressed");
        let window_bits = self.window_bits.expect("its client knows compression");
        let payload = if frame[1] == 126 { &frame[4..] } else { &frame[2..] };
        let text = puff::inflate(payload, window_bits).unwrap_or_else(|why| panic!("{why}: {frame:x?}"));
        let mut plain = Vec::new();
        encode_text(&text, &mut plain);
        assert!(plain.len() > frame.len(), "it did not become shorter");
        noticed.deflated += 1;
        Cow::Owned(plain)
    }

    fn whole(&mut self, frame: &[u8], truth: &Truth, noticed: &mut Noticed) {
        assert!(!matches!(self.phase, Phase::Told { .. }), "bytes behind the close frame: {}", shown(frame));
        self.check_order(frame, truth);
        let found = self.find(truth, |known| known == frame);
        if let Phase::Closing { close, is_cut, since } = &self.phase {
            if close == frame {
                let owed = self.is_owed(truth).filter(|_| !is_cut);
                assert!(
                    owed.is_none(),
                    "a close frame overtakes {}",
                    shown(&owed.map_or_else(Rc::default, |f| f.bytes.clone()))
                );
                noticed.is_closed = true;
                self.phase = Phase::Told { since: *since };
                return;
            }
            if *is_cut {
                assert!(found.is_some() || self.is_told_presence(frame, truth), "behind the cut: {}", shown(frame));
                self.streams.clear();
                return;
            }
        }
        if let Some((author, place)) = found {
            noticed.pings += usize::from(frame[0] == 0x89);
            self.streams.entry(author).or_default().drain(..=place);
            return;
        }
        assert!(
            self.is_told_presence(frame, truth),
            "a frame that is lost, doubled, foreign or out of order: {}; {:?} {:?}",
            shown(frame),
            self.endpoint,
            self.waiting()
        );
    }

    /// Checks that signals of one shard come in their order, whatever inboxes and overflows they went through.
    fn check_order(&mut self, frame: &[u8], truth: &Truth) {
        let Some((shard, place)) = signal_number(frame).and_then(|number| truth.told.get(&number)) else { return };
        if let Some(last) = self.last_told.insert(*shard, *place) {
            assert!(last < *place, "a signal was overtaken: {}", shown(frame));
        }
    }

    /// Finds the stream of a frame, and the frame's place there. Frames that have to come are never skipped.
    fn find(&self, truth: &Truth, is_it: impl Fn(&[u8]) -> bool) -> Option<(Option<UserId>, usize)> {
        let hears = |author: UserId| self.user().is_some_and(|user| truth.has_heard(user, author, self.heard_since));
        let streams = self.streams.iter().filter(|(author, _)| author.is_none_or(hears));
        { streams }.find_map(|(author, stream)| {
            for (place, frame) in stream.iter().enumerate() {
                if is_it(&frame.bytes) {
                    return Some((*author, place));
                }
                if self.must(frame, truth) {
                    return None;
                }
            }
            None
        })
    }

    fn could_begin_with(&self, bytes: &[u8], truth: &Truth) -> bool {
        let is_goodbye = matches!(&self.phase, Phase::Closing { close, .. } if close.starts_with(bytes));
        is_goodbye
            || self.window_bits.is_some() && is_deflated(bytes)
            || (!matches!(self.phase, Phase::Told { .. })
                && (self.find(truth, |known| known.starts_with(bytes)).is_some()
                    || self.presence(truth).any(|frame| frame.starts_with(bytes))))
    }

    fn is_told_presence(&self, frame: &[u8], truth: &Truth) -> bool {
        self.presence(truth).any(|known| known == frame)
    }

    fn presence<'a>(&'a self, truth: &'a Truth) -> impl Iterator<Item = &'a [u8]> + 'a {
        let room = self.endpoint.presence_room().and_then(|room| truth.presence.get(&room));
        let others = room.into_iter().flatten().filter(|(user, _)| Some(*user) != self.user());
        others.map(|(_, frame)| &**frame)
    }

    /// The frames that wait, for printing.
    fn waiting(&self) -> Vec<(String, Need)> {
        self.streams.values().flatten().take(6).map(|frame| (shown(&frame.bytes), frame.need)).collect()
    }

    fn must(&self, frame: &Frame, truth: &Truth) -> bool {
        match frame.need {
            Need::Must => true,
            Need::May => false,
            Need::WhileHeard { author, sent } => self.user().is_some_and(|user| truth.hears(user, author, sent)),
        }
    }
}

fn is_deflated(frame: &[u8]) -> bool {
    frame.first().is_some_and(|first| first & 0x40 != 0)
}

/// The length of the first frame of a server, once its header is complete.
pub(super) fn frame_bytes(bytes: &[u8]) -> Option<usize> {
    match bytes.get(1)? {
        short @ ..126 => Some(2 + usize::from(*short)),
        126 => Some(4 + usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]))),
        _ => panic!("no frame here is that long"),
    }
}

/// Splits frames that lie next to each other.
pub(super) fn each_frame(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = frame_bytes(bytes)?;
        let (frame, rest) = bytes.split_at(length);
        bytes = rest;
        Some(frame)
    })
}

/// The number in a signal's data.
fn signal_number(frame: &[u8]) -> Option<u64> {
    const BEFORE: &[u8] = br#""data":{"n":"#;
    let place = frame.windows(BEFORE.len()).position(|bytes| bytes == BEFORE)?;
    let digits = frame[place + BEFORE.len()..].split(|byte| !byte.is_ascii_digit()).next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The first of the bytes, readable for a person.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(160)]).into_owned()
}
