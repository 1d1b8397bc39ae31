//! One client from hello to goodbye: what it says and the passing of time go in, effects come out.

pub mod endpoint;
pub mod outbox;
pub mod pace;

use std::sync::Arc;
use std::time::Duration;

use crate::domain::chat::write::Action;
use crate::domain::rights::Mark;
use crate::domain::user::Account;
use crate::engine::session::endpoint::Endpoint;
use crate::ids::{FamilyId, NotificationId, Topic};
use crate::limits::{CLOSE_TIMEOUT, IDENTIFY_WITHIN, PING_AFTER, PONG_TIMEOUT, SESSION_LIFE};
use crate::protocol::v0::command::{self, Command, Refused};
use crate::protocol::v0::fields::Reader;
use crate::protocol::v0::listener_command::{self, ListenerCommand};
use crate::protocol::v0::reason::{self, Goodbye};
use crate::protocol::ws::negotiation::Negotiation;

/// Whole seconds since the shard began: fine enough for liveness, small enough for every session to have four.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Seconds(pub u32);

impl Seconds {
    /// This moment and `duration` more, in whole seconds.
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)))
    }

    /// The first whole second that is not before the end of `duration`, counted from the beginning.
    pub fn not_before(duration: Duration) -> Self {
        Self(0).plus(duration.saturating_add(Duration::from_nanos(999_999_999)))
    }
}

/// What a session is allowed to hear and say, found at its handshake.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The session's user.
    pub account: Arc<Account>,
    /// What it is about.
    pub endpoint: Endpoint,
    /// The login that its token comes from. The session ends with that login.
    pub family: FamilyId,
    /// When its token's time is over, grace included, in seconds since 1970; `i64::MAX` where that does not end it.
    pub token_ends: i64,
    /// What its user had lost when it was judged.
    pub mark: Mark,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Nothing was heard for a long time. The peer was pinged at that moment.
    Pinged {
        at: Seconds,
    },
    /// A close frame is queued or sent; the peer has until then to answer it.
    Closing {
        until: Seconds,
    },
}

/// The session ends because its token expires, not because of its own age.
const ENDS_WITH_TOKEN: u8 = 1;
/// A chat socket was told who is present, and hears who comes and goes.
const IS_GREETED: u8 = 2;

/// A session's own state. Its bytes on the way in and out are the shard's.
#[derive(Debug)]
pub struct Session {
    /// Whose session; `None` for one that was refused and only hears why, and while nobody has said whose it is.
    account: Option<Arc<Account>>,
    /// As it was asked for; a refused chat socket has one, too.
    endpoint: Endpoint,
    negotiation: Negotiation,
    family: FamilyId,
    /// [`ENDS_WITH_TOKEN`] and [`IS_GREETED`]: two truths in one byte.
    marks: u8,
    began_at: Seconds,
    heard_at: Seconds,
    ends_at: Seconds,
    phase: Phase,
}

// Most sessions are idle, and memory is what they cost.
const _: () = assert!(size_of::<Session>() <= 64);

/// What a text frame asks of the shard.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect<'a> {
    /// Nothing.
    Nothing,
    /// Hand it to the room's lane.
    Write(Action),
    /// Hand it to the lane: the user has seen this notification.
    MarkRead(NotificationId),
    /// Tell the other users of the room.
    Typing(bool),
    /// Tell the room's sockets, and with `echo` this one too.
    Signal {
        /// JSON.
        data: &'a str,
        /// Tell this socket too.
        echo: bool,
    },
    /// Answer this socket's application ping.
    Pong {
        /// JSON.
        timestamp: &'a str,
    },
    /// Tell this socket what is wrong.
    Error(Refused),
}

/// What the passing of time asks of the shard.
#[derive(Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing; look again then.
    Later(Seconds),
    /// Send a protocol ping; look again then.
    Ping(Seconds),
    /// Say goodbye; look again then.
    End(Goodbye, Seconds),
    /// Reset the connection: the peer is silent or does not take its goodbye.
    Reset,
}

impl Session {
    /// A session that was let in. `token_ends` is when its token's time is over, by the shard's clock.
    pub fn admitted(entry: &Entry, negotiation: Negotiation, now: Seconds, token_ends: Seconds) -> Self {
        let life_ends = now.plus(SESSION_LIFE);
        Self {
            account: Some(entry.account.clone()),
            endpoint: entry.endpoint,
            negotiation,
            family: entry.family,
            began_at: now,
            heard_at: now,
            ends_at: token_ends.min(life_ends),
            marks: if token_ends < life_ends { ENDS_WITH_TOKEN } else { 0 },
            phase: Phase::Open,
        }
    }

    /// A session that is only told why it was refused. It is closing from the first moment.
    pub fn refused(endpoint: Endpoint, negotiation: Negotiation, now: Seconds) -> Self {
        Self {
            account: None,
            endpoint,
            negotiation,
            family: FamilyId::issued(0),
            began_at: now,
            heard_at: now,
            ends_at: now,
            marks: 0,
            phase: Phase::Closing { until: now.plus(CLOSE_TIMEOUT) },
        }
    }

    /// A session with many topics that has a few seconds to say whose it is.
    pub fn awaited(negotiation: Negotiation, now: Seconds) -> Self {
        let ends_at = now.plus(IDENTIFY_WITHIN);
        Self { ends_at, marks: ENDS_WITH_TOKEN, phase: Phase::Open, ..Self::turned_away(negotiation, now) }
    }

    /// A session that sends back what comes.
    pub fn echo(negotiation: Negotiation, now: Seconds) -> Self {
        let ends_at = now.plus(SESSION_LIFE);
        Self { ends_at, phase: Phase::Open, ..Self::refused(Endpoint::Echo, negotiation, now) }
    }

    /// A session with many topics that only hears why it may not stay.
    pub fn turned_away(negotiation: Negotiation, now: Seconds) -> Self {
        Self::refused(Endpoint::Many, negotiation, now)
    }

    /// It is known whose session it is, or there is a newer token. `token_ends` is when the token's time is over.
    pub fn identified(&mut self, entry: &Entry, now: Seconds, token_ends: Seconds) {
        let life_ends = if self.account.is_some() { self.began_at } else { now }.plus(SESSION_LIFE);
        self.account = Some(entry.account.clone());
        self.family = entry.family;
        self.ends_at = token_ends.min(life_ends);
        self.marks &= !ENDS_WITH_TOKEN;
        if token_ends < life_ends {
            self.marks |= ENDS_WITH_TOKEN;
        }
    }

    /// Whose session, unless it was refused.
    pub fn account(&self) -> Option<&Arc<Account>> {
        self.account.as_ref()
    }

    /// The same user's account, as it is now.
    pub fn set_account(&mut self, account: Arc<Account>) {
        debug_assert!(self.account.as_ref().is_some_and(|before| before.id == account.id));
        self.account = Some(account);
    }

    /// What it is about.
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// A chat socket was told who is present, and hears who comes and goes. One with many topics knows that of each.
    pub fn is_greeted(&self) -> bool {
        self.marks & IS_GREETED != 0
    }

    /// See [`Self::is_greeted`].
    pub fn set_greeted(&mut self) {
        self.marks |= IS_GREETED;
    }

    /// What it speaks.
    pub fn negotiation(&self) -> Negotiation {
        self.negotiation
    }

    /// The login that it came with.
    pub fn family(&self) -> FamilyId {
        self.family
    }

    /// When it was adopted.
    pub fn began_at(&self) -> Seconds {
        self.began_at
    }

    /// When something was heard from it last.
    pub fn heard_at(&self) -> Seconds {
        self.heard_at
    }

    /// What it listens to, unless it was refused.
    pub fn topic(&self) -> Option<Topic> {
        self.account.as_ref().map(|account| self.endpoint.topic(account.id))
    }

    /// It speaks and listens: no goodbye was said.
    pub fn is_open(&self) -> bool {
        !matches!(self.phase, Phase::Closing { .. })
    }

    /// Bytes came: the peer lives.
    pub fn heard(&mut self, now: Seconds) {
        self.heard_at = now;
        if self.is_open() {
            self.phase = Phase::Open;
        }
    }

    /// A goodbye was queued; nothing more is read or queued, and the peer has a while to answer.
    pub fn said_goodbye(&mut self, now: Seconds) {
        if self.is_open() {
            self.phase = Phase::Closing { until: now.plus(CLOSE_TIMEOUT) };
        }
    }

    /// A text frame came. Nothing is heard from a session after its goodbye.
    pub fn text<'a>(&self, text: &'a str, reader: &mut Reader) -> Effect<'a> {
        if !self.is_open() {
            return Effect::Nothing;
        }
        if self.endpoint.is_chat() { Self::chat_text(text, reader) } else { self.listener_text(text) }
    }

    fn chat_text<'a>(text: &'a str, reader: &mut Reader) -> Effect<'a> {
        match command::parse(text, reader) {
            Ok(Command::Write(action)) => Effect::Write(action),
            Ok(Command::Typing { is_typing }) => Effect::Typing(is_typing),
            Ok(Command::Signal { data, echo }) => Effect::Signal { data, echo },
            Ok(Command::Ping { timestamp }) => Effect::Pong { timestamp },
            Ok(Command::Nothing) => Effect::Nothing,
            Err(refused) => Effect::Error(refused),
        }
    }

    fn listener_text<'a>(&self, text: &'a str) -> Effect<'a> {
        match listener_command::parse(text) {
            ListenerCommand::Ping { timestamp } => Effect::Pong { timestamp },
            ListenerCommand::MarkRead(notification) if self.endpoint == Endpoint::Notifications => {
                Effect::MarkRead(notification)
            }
            ListenerCommand::Typing { is_typing } if matches!(self.endpoint, Endpoint::Post(_)) => {
                Effect::Typing(is_typing)
            }
            ListenerCommand::MarkRead(_) | ListenerCommand::Typing { .. } | ListenerCommand::Nothing => Effect::Nothing,
        }
    }

    /// A binary frame came: clients have no use for one.
    pub fn binary(&self) -> Effect<'static> {
        if self.is_open() && self.endpoint.is_chat() { Effect::Error(reason::BAD_JSON.into()) } else { Effect::Nothing }
    }

    /// Time has come to look at the session.
    pub fn due(&mut self, now: Seconds) -> Due {
        if let Phase::Closing { until } = self.phase {
            return if now >= until { Due::Reset } else { Due::Later(until) };
        }
        if now >= self.ends_at {
            self.said_goodbye(now);
            let goodbye = if self.marks & ENDS_WITH_TOKEN != 0 { reason::TOKEN_OVER } else { reason::TOO_OLD };
            return Due::End(goodbye, now.plus(CLOSE_TIMEOUT));
        }
        if let Phase::Pinged { at } = self.phase {
            let until = at.plus(PONG_TIMEOUT);
            return if now >= until { Due::Reset } else { Due::Later(until.min(self.ends_at)) };
        }
        let silent_at = self.heard_at.plus(PING_AFTER);
        if now >= silent_at {
            self.phase = Phase::Pinged { at: now };
            return Due::Ping(now.plus(PONG_TIMEOUT).min(self.ends_at));
        }
        Due::Later(silent_at.min(self.ends_at))
    }

    /// When to look at a session that just began.
    pub fn first_due(&self) -> Seconds {
        match self.phase {
            Phase::Closing { until } => until,
            Phase::Open | Phase::Pinged { .. } => self.heard_at.plus(PING_AFTER).min(self.ends_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{PostId, RoomId, UserId};

    const READ: &str = r#"{"type":"mark_read","notification_id":"7d17fe03-94d3-4a71-9dbe-0dbb933c1946"}"#;

    fn session_of(endpoint: Endpoint, token_ends: u32) -> Session {
        let account = Arc::new(Account::active(UserId::fresh(), "ana".into()));
        let family = FamilyId::issued(900_000);
        let entry = Entry { account, endpoint, family, token_ends: i64::MAX, mark: Mark::default() };
        Session::admitted(&entry, Negotiation::default(), Seconds(100), Seconds(token_ends))
    }

    fn session(token_ends: u32) -> Session {
        session_of(Endpoint::Chat { room: RoomId::fresh(), has_presence: true }, token_ends)
    }

    #[test]
    fn sockets_that_listen_ignore_what_they_do_not_know() {
        for endpoint in [Endpoint::Feed, Endpoint::Post(PostId::fresh()), Endpoint::Notifications] {
            let session = session_of(endpoint, 1_000_000);
            for text in ["", "nope", "[]", "5", r#"{"type":7}"#, r#"{"type":"mark_read"}"#] {
                assert_eq!(session.text(text, &mut Reader::default()), Effect::Nothing, "{text}");
            }
            let typing = session.text(r#"{"type":"typing","is_typing":true}"#, &mut Reader::default());
            let is_post = matches!(endpoint, Endpoint::Post(_));
            assert_eq!(typing, if is_post { Effect::Typing(true) } else { Effect::Nothing }, "{endpoint:?}");
            assert_eq!(session.binary(), Effect::Nothing);
            assert_eq!(
                session.text(r#"{"type":"ping","timestamp":[1]}"#, &mut Reader::default()),
                Effect::Pong { timestamp: "[1]" }
            );
            let is_heard = matches!(session.text(READ, &mut Reader::default()), Effect::MarkRead(_));
            assert_eq!(is_heard, endpoint == Endpoint::Notifications, "{endpoint:?}");
        }
        assert_eq!(
            session(1_000_000).text(READ, &mut Reader::default()),
            Effect::Nothing,
            "a chat socket knows no notifications"
        );
    }

    #[test]
    fn a_feed_outlives_its_token() {
        let mut session = session_of(Endpoint::Feed, u32::MAX);
        session.heard(Seconds(86_499));
        assert_eq!(session.due(Seconds(86_500)), Due::End(reason::TOO_OLD, Seconds(86_505)));
    }

    #[test]
    fn silence_is_asked_about_and_then_ends() {
        let mut session = session(1_000_000);
        assert_eq!(session.first_due(), Seconds(120));
        session.heard(Seconds(110));
        assert_eq!(session.due(Seconds(120)), Due::Later(Seconds(130)));
        assert_eq!(session.due(Seconds(130)), Due::Ping(Seconds(160)));
        session.heard(Seconds(131));
        assert_eq!(session.due(Seconds(160)), Due::Ping(Seconds(190)));
        assert_eq!(session.due(Seconds(190)), Due::Reset);
    }

    #[test]
    fn a_moment_within_a_second_counts_as_its_end() {
        for (milliseconds, second) in [(0, 0), (1, 1), (1000, 1), (1999, 2)] {
            assert_eq!(Seconds::not_before(Duration::from_millis(milliseconds)), Seconds(second), "{milliseconds} ms");
        }
        assert_eq!(Seconds::not_before(Duration::MAX), Seconds(u32::MAX));
    }

    #[test]
    fn a_session_ends_when_its_tokens_time_is_over() {
        let mut session = session(170);
        session.heard(Seconds(165));
        assert_eq!(session.due(Seconds(169)), Due::Later(Seconds(170)));
        assert_eq!(session.due(Seconds(170)), Due::End(reason::TOKEN_OVER, Seconds(175)));
        assert_eq!(
            session.text(r#"{"type":"typing"}"#, &mut Reader::default()),
            Effect::Nothing,
            "nothing is heard after the goodbye"
        );
        assert_eq!(session.due(Seconds(174)), Due::Later(Seconds(175)));
        assert_eq!(session.due(Seconds(175)), Due::Reset);
    }

    #[test]
    fn a_session_ends_after_a_day_with_a_code_that_brings_the_client_back() {
        let mut session = session(9_000_000);
        session.heard(Seconds(86_499));
        assert_eq!(session.due(Seconds(86_500)), Due::End(reason::TOO_OLD, Seconds(86_505)));
    }
}
