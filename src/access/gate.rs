//! Decides who may open a socket, by token, user, and participant row or post; fresh cache entries save the query.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::HeaderMap;

use crate::access::bad_tokens::BadTokens;
use crate::access::client_address::{self, Network};
use crate::access::lifecycle::{Lifecycle, Phase};
use crate::access::newcomers::Newcomers;
use crate::access::origin::{Hosts, Rules};
use crate::access::reconnects::{Pass, Reconnects};
use crate::access::signature_checks::SignatureChecks;
use crate::access::sockets::Sockets;
use crate::access::token::{Access, Tokens};
use crate::clock::Timestamp;
use crate::domain::feed::post::PostHead;
use crate::domain::login::Bearer;
use crate::domain::rights::Mark;
use crate::domain::user::{Account, Admission, Membership};
use crate::engine::session::Entry;
use crate::engine::session::endpoint::Endpoint;
use crate::engine::shard::port::{
    Address, BARRED, Denied, Gate, Handshake, Identity, Refused, Seating, Verdict, Visitor, Wanted, Why,
};
use crate::ids::{FamilyId, RoomId, SessionKey, Topic, UserId};
use crate::protocol::v0::reason;
use crate::protocol::v1::complaint::{self, Complaint};
use crate::protocol::v1::request::Credential;
use crate::store::{Store, StoreError};
use crate::telemetry;

/// Which sockets' messages are compressed, if their clients offer it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// None.
    Off,
    /// Those of feeds, posts and notifications.
    Feeds,
    /// Those of chat rooms and of `pregon.v1`, too.
    All,
}

/// The gate in front of all shards.
pub(crate) struct Door {
    pub compression: Compression,
    pub store: Arc<dyn Store>,
    pub tokens: Arc<Tokens>,
    pub origins: Rules,
    pub hosts: Hosts,
    pub lifecycle: Arc<Lifecycle>,
    pub terms: Terms,
    pub reconnects: Reconnects,
    pub sockets: Arc<Sockets>,
    pub newcomers: Newcomers,
    pub bad_tokens: Arc<BadTokens>,
    pub signature_checks: SignatureChecks,
    /// Proxies whose word on a client's address is believed.
    pub trusted_proxies: Vec<Network>,
    /// There is a socket that sends back what comes.
    pub echo: bool,
}

/// The settings by which sessions are admitted.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    /// How long sockets outlive their token.
    pub token_grace: Duration,
    /// Rooms with more participants send no presence frames.
    pub presence_room_max: u32,
    /// Whether sockets for feeds and notifications also end with their token.
    pub strict_tokens: bool,
}

impl Gate for Door {
    fn allows_origin(&self, origin: Option<&str>, host: &str) -> bool {
        self.origins.allows(origin, host)
    }

    fn allows_host(&self, host: Option<&str>) -> bool {
        self.hosts.allow(host)
    }

    fn echoes(&self) -> bool {
        self.echo
    }

    fn may_compress(&self, wanted: Option<Wanted>) -> bool {
        match self.compression {
            Compression::Off => false,
            Compression::Feeds => matches!(wanted, Some(Wanted::Feed | Wanted::Post(_) | Wanted::Notifications)),
            Compression::All => true,
        }
    }

    fn accept_after(&self) -> Option<Duration> {
        self.newcomers.accept_after()
    }

    fn connected(&self, peer: SocketAddr) -> Option<Address> {
        self.newcomers.connected(peer)
    }

    fn forwarded(&self, peer: SocketAddr, headers: &HeaderMap, own: Address) -> Option<Address> {
        self.newcomers.forwarded(peer, headers, own)
    }

    fn known(&self, address: Address) {
        self.newcomers.known(address);
    }

    fn spoke(&self, address: Address) {
        self.newcomers.spoke(address);
    }

    fn nobody_came(&self, address: Address) -> bool {
        self.newcomers.nobody_came(address)
    }

    fn disconnected(&self, address: Address) {
        self.newcomers.disconnected(address);
    }

    fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
        client_address::client(peer, headers, &self.trusted_proxies)
    }

    fn is_barred(&self, client: IpAddr, text: &str) -> bool {
        self.bad_tokens.are_barred(self.bad_tokens.shown(client, text), Instant::now(), || self.is_good(text))
    }

    fn refused(&self, peer: SocketAddr, headers: &HeaderMap, why: Why) {
        telemetry::handshake_refused(why, self.client(peer, headers));
    }

    fn admit(&self, handshake: &Handshake<'_>) -> Verdict {
        let Handshake { wanted, token, peer, headers, .. } = *handshake;
        let Some(token) = token else { return Verdict::Now(Err(denied(wanted, NO_TOKEN))) };
        let client = self.client(peer, headers);
        let shown = self.bad_tokens.shown(client, token);
        if self.bad_tokens.are_barred(shown, Instant::now(), || self.is_good(token)) {
            return Verdict::Now(Err(Denied::Status(403, BARRED)));
        }
        let bad_tokens = self.bad_tokens.clone();
        let note = move |admission: &Result<Entry, Denied>| {
            if let Err(Denied::Inside(_, why) | Denied::Status(_, why)) = admission
                && [BAD_TOKEN.1, OVER.1].contains(why)
            {
                bad_tokens.refused(shown, Instant::now());
            }
        };
        match self.judged(wanted, token, client) {
            Verdict::Now(admission) => {
                note(&admission);
                Verdict::Now(admission)
            }
            Verdict::Later(admission) => Verdict::Later(Box::pin(async move {
                let admission = admission.await;
                note(&admission);
                admission
            })),
        }
    }

    fn still_admits(&self, entry: &Entry) -> bool {
        let user = entry.account.id;
        self.store.rights_mark(user, entry.endpoint.topic(user)) == entry.mark
    }

    fn came(&self, user: UserId, topic: Topic, session: SessionKey) -> Option<SessionKey> {
        let oldest = self.sockets.came(user, topic, session)?;
        let limit = match topic {
            _ if oldest.is_of_all => "sockets of a user",
            Topic::Room(_) | Topic::Post(_) => "sockets on one place",
            Topic::Feed(_) | Topic::Notifications(_) | Topic::Author(_) => "sockets of one kind",
        };
        telemetry::limit_hit(limit, user);
        Some(oldest.session)
    }

    fn went(&self, user: UserId, topic: Topic, session: SessionKey) {
        self.sockets.went(user, topic, session);
    }

    fn is_draining(&self) -> bool {
        self.lifecycle.phase() == Phase::Draining
    }
}

impl Door {
    /// It is signed by one of our keys and not over; or it takes long to find out, and is judged as if nobody had said a word of it.
    fn is_good(&self, token: &str) -> bool {
        self.signature_checks.are_for(token) || self.tokens.verify_access(token, Timestamp::now()).is_ok()
    }

    /// Judges a token that is not barred.
    fn judged(&self, wanted: Wanted, token: &str, client: IpAddr) -> Verdict {
        let judge = Judge { store: self.store.clone(), terms: self.terms };
        let entrance = Entrance { judge, reconnects: self.reconnects.clone(), lifecycle: self.lifecycle.clone() };
        if !self.signature_checks.are_for(token) {
            return match self.tokens.verify_access(token, Timestamp::now()) {
                Ok(access) => entrance.enter(wanted, access),
                Err(_) => Verdict::Now(Err(denied(wanted, BAD_TOKEN))),
            };
        }
        let checked = self.signature_checks.check(client, token);
        Verdict::Later(Box::pin(async move {
            match checked.await {
                Some(Ok(access)) => match entrance.enter(wanted, access) {
                    Verdict::Now(admission) => admission,
                    Verdict::Later(admission) => admission.await,
                },
                Some(Err(_)) => Err(denied(wanted, BAD_TOKEN)),
                None => Err(Denied::Status(503, "signatures")),
            }
        }))
    }
}

/// Where those come in whose token is good.
struct Entrance {
    judge: Judge,
    reconnects: Reconnects,
    lifecycle: Arc<Lifecycle>,
}

impl Entrance {
    fn enter(self, wanted: Wanted, access: Access) -> Verdict {
        let Self { judge, reconnects, lifecycle } = self;
        let topic = match wanted {
            Wanted::Chat(room) => Topic::Room(room),
            Wanted::Post(post) => Topic::Post(post),
            Wanted::Feed | Wanted::Notifications => return judge.admit(access, wanted),
        };
        let held = match reconnects.pass(access.user, topic) {
            Pass::Now => return judge.admit(access, wanted),
            Pass::Never => {
                telemetry::limit_hit("handshakes that wait", access.user);
                return Verdict::Now(Err(Denied::Status(503, "pace")));
            }
            Pass::Later(held) => held,
        };
        Verdict::Later(Box::pin(async move {
            tokio::select! {
                has_turn = held.turn() => if !has_turn {
                    telemetry::limit_hit("handshakes' pace", access.user);
                    return Err(Denied::Status(503, "pace"));
                },
                () = lifecycle.draining() => return Err(Denied::Status(503, "draining")),
            }
            match judge.admit(access, wanted) {
                Verdict::Now(admission) => admission,
                Verdict::Later(admission) => admission.await,
            }
        }))
    }
}

/// Judges the bearer of a token.
pub(crate) struct Judge {
    pub store: Arc<dyn Store>,
    pub terms: Terms,
}

impl Judge {
    /// Whose a socket with many topics is, by what its client shows. A refusal is counted as one of a handshake.
    pub async fn identify(
        &self,
        credential: &Credential,
        visitor: Visitor,
        (tokens, bad_tokens): (&Tokens, &BadTokens),
    ) -> Result<Identity, Complaint> {
        let refused = |complaint, why| {
            telemetry::handshake_refused(why, visitor);
            if let (Visitor::Address(client), true) = (visitor, why != UNAVAILABLE) {
                bad_tokens.refused(bad_tokens.shown(client, credential.text()), Instant::now());
            }
            complaint
        };
        let bad_token = || refused(complaint::BAD_TOKEN, BAD_TOKEN.1);
        let bad_ticket = || refused(complaint::USED_TICKET, BAD_TICKET);
        let not_now = |error: StoreError| refused(not_now(&error), UNAVAILABLE);
        let now = Timestamp::now();
        let access = match credential {
            Credential::Token(token) => tokens.verify_access(token, now).map_err(|_| bad_token())?,
            Credential::Ticket(ticket) => {
                let ticket = tokens.verify_ticket(ticket, now).map_err(|_| bad_ticket())?;
                let ends = Timestamp(ticket.ends.saturating_mul(1_000_000));
                match self.store.use_up(ticket.access.jti.clone(), ends).await {
                    Ok(true) => ticket.access,
                    Ok(false) => return Err(bad_ticket()),
                    Err(error) => return Err(not_now(error)),
                }
            }
        };
        let mark = self.store.rights_mark(access.user, Endpoint::Many.topic(access.user));
        let bearer = self.store.bearer(access.user, access.family).await.map_err(not_now)?;
        let account = known(&bearer).ok_or_else(|| refused(complaint::BAD_TOKEN, OVER.1))?;
        let token_left = self.terms.token_ends(&access).saturating_mul(1_000_000).saturating_sub(now.0);
        let token_left = Duration::from_micros(u64::try_from(token_left).unwrap_or(0));
        Ok(Identity { account, family: access.family, mark, token_left, token_expires: access.expires })
    }

    /// How a user may listen to a topic.
    pub async fn seat(&self, user: UserId, family: FamilyId, topic: Topic) -> Result<Seating, Complaint> {
        let wanted = match topic {
            Topic::Room(room) => Wanted::Chat(room),
            Topic::Post(post) => Wanted::Post(post),
            Topic::Notifications(_) => Wanted::Notifications,
            Topic::Feed(_) | Topic::Author(_) => Wanted::Feed,
        };
        let access = Access { user, expires: i64::MAX, jti: String::new(), family };
        let admission = match self.admit(access, wanted) {
            Verdict::Now(admission) => admission,
            Verdict::Later(admission) => admission.await,
        };
        match admission {
            Ok(Entry { endpoint, mark, .. }) => Ok(Seating { endpoint, mark }),
            Err(Denied::Inside(_, why) | Denied::Status(_, why)) => Err(match why {
                _ if why == NOT_PARTICIPANT.1 => complaint::NOT_PARTICIPANT,
                _ if why == BLOCKED.1 => complaint::BLOCKED,
                _ if why == HIDDEN.1 => complaint::HIDDEN,
                _ if why == UNAVAILABLE => complaint::UNAVAILABLE,
                _ => complaint::BAD_TOKEN,
            }),
        }
    }

    fn admit(&self, access: Access, wanted: Wanted) -> Verdict {
        let terms = self.terms;
        match wanted {
            Wanted::Chat(room) => {
                let mark = self.store.rights_mark(access.user, Topic::Room(room));
                let bearer = self.store.cached_bearer(access.user, access.family);
                if let (Some(bearer), Some(admission)) = (bearer, self.store.cached_admission(room, access.user)) {
                    return Verdict::Now(decide_chat(terms, mark, room, &access, &bearer, &admission));
                }
                let store = self.store.clone();
                Verdict::Later(Box::pin(async move {
                    let asked = store.entrance(room, access.user, access.family).await;
                    let (bearer, admission) = asked.map_err(|error| unavailable(wanted, &error))?;
                    decide_chat(terms, mark, room, &access, &bearer, &admission)
                }))
            }
            Wanted::Feed => self.admit_listener(access, wanted, Endpoint::Feed),
            Wanted::Notifications => self.admit_listener(access, wanted, Endpoint::Notifications),
            Wanted::Post(post) => self.admit_listener(access, wanted, Endpoint::Post(post)),
        }
    }

    fn admit_listener(&self, access: Access, wanted: Wanted, endpoint: Endpoint) -> Verdict {
        let terms = self.terms;
        let mark = self.store.rights_mark(access.user, endpoint.topic(access.user));
        let head = match endpoint {
            Endpoint::Post(post) => self.store.cached_post_head(post).map(Some),
            _ => Some(None),
        };
        if let (Some(bearer), Some(head)) = (self.store.cached_bearer(access.user, access.family), head) {
            return Verdict::Now(decide_listener(terms, mark, wanted, endpoint, &access, &bearer, head));
        }
        let store = self.store.clone();
        Verdict::Later(Box::pin(async move {
            let asked = match endpoint {
                Endpoint::Post(post) => {
                    let asked = store.entrance_to_post(post, access.user, access.family).await;
                    asked.map(|(bearer, head)| (bearer, Some(head)))
                }
                _ => store.bearer(access.user, access.family).await.map(|bearer| (bearer, None)),
            };
            let (bearer, head) = asked.map_err(|error| unavailable(wanted, &error))?;
            decide_listener(terms, mark, wanted, endpoint, &access, &bearer, head)
        }))
    }
}

fn decide_chat(
    terms: Terms,
    mark: Mark,
    room: RoomId,
    access: &Access,
    bearer: &Bearer,
    admission: &Admission,
) -> Result<Entry, Denied> {
    let wanted = Wanted::Chat(room);
    let account = known(bearer).ok_or(denied(wanted, OVER))?;
    match admission.membership {
        Membership::Open => {}
        Membership::Closed => return Err(denied(wanted, BLOCKED)),
        Membership::None => return Err(denied(wanted, NOT_PARTICIPANT)),
    }
    let has_presence = admission.participants <= terms.presence_room_max;
    let endpoint = Endpoint::Chat { room, has_presence };
    Ok(Entry { account, endpoint, family: access.family, token_ends: terms.token_ends(access), mark })
}

/// `head` is that of the wanted post, if a post is wanted; `None` if it does not exist.
fn decide_listener(
    terms: Terms,
    mark: Mark,
    wanted: Wanted,
    endpoint: Endpoint,
    access: &Access,
    bearer: &Bearer,
    head: Option<Option<PostHead>>,
) -> Result<Entry, Denied> {
    let account = known(bearer).ok_or(denied(wanted, OVER))?;
    if head.is_some_and(|head| !head.is_some_and(|head| head.is_visible_to(account.id))) {
        return Err(denied(wanted, HIDDEN));
    }
    let outlives_token = matches!(endpoint, Endpoint::Feed | Endpoint::Notifications) && !terms.strict_tokens;
    let token_ends = if outlives_token { i64::MAX } else { terms.token_ends(access) };
    Ok(Entry { account, endpoint, family: access.family, token_ends, mark })
}

/// The bearer's account, if it is active and its login has not ended.
fn known(bearer: &Bearer) -> Option<Arc<Account>> {
    bearer.account.clone().filter(|account| account.is_active && !bearer.is_over)
}

impl Terms {
    fn token_ends(self, access: &Access) -> i64 {
        access.expires.saturating_add(i64::try_from(self.token_grace.as_secs()).unwrap_or(i64::MAX))
    }
}

/// A refused chat socket is opened, told the reason and closed. Every other refusal is a 403.
fn denied(wanted: Wanted, (text, why): Reason) -> Denied {
    match wanted {
        Wanted::Chat(_) => Denied::Inside(Refused { text, goodbye: reason::REFUSED }, why),
        Wanted::Feed | Wanted::Post(_) | Wanted::Notifications => Denied::Status(403, why),
    }
}

/// Why somebody is denied: as the client reads it, and as the log and the metrics say it.
type Reason = (&'static str, Why);

const NO_TOKEN: Reason = (reason::NO_TOKEN, "no token");
const BAD_TOKEN: Reason = (reason::BAD_TOKEN, "token");
/// The user is gone or deactivated, or the login is over.
const OVER: Reason = (reason::BAD_TOKEN, "user or login over");
const BLOCKED: Reason = (reason::BLOCKED, "blocked");
const NOT_PARTICIPANT: Reason = (reason::NOT_PARTICIPANT, "not a participant");
const HIDDEN: Reason = (reason::HIDDEN.reason, "no such post for this user");
/// It is none, is too old, or was used.
const BAD_TICKET: Why = "ticket";
const UNAVAILABLE: Why = "database";

fn not_now(error: &StoreError) -> Complaint {
    tracing::warn!(%error, "a socket's request could not be judged");
    complaint::UNAVAILABLE
}

fn unavailable(wanted: Wanted, error: &StoreError) -> Denied {
    tracing::warn!(%error, "a handshake could not be judged");
    match wanted {
        Wanted::Chat(_) => Denied::Inside(Refused { text: reason::TRY_LATER, goodbye: reason::OVERLOAD }, UNAVAILABLE),
        Wanted::Feed | Wanted::Post(_) | Wanted::Notifications => Denied::Status(503, UNAVAILABLE),
    }
}
