//! Does what sockets with many topics need of the database, those that wait together: says whose they are, judges, and has
//! others read what they missed and answer their questions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::access::bad_tokens::BadTokens;
use crate::access::gate::Judge;
use crate::access::rate::Rates;
use crate::access::token::Tokens;
use crate::clock::Timestamp;
use crate::engine::shard::port::{Answer, Errand, Errands, Inbox, ToShard};
use crate::ids::{FamilyId, PostId, RoomId, Topic, UserId};
use crate::limits::{ERRAND_GROUPS_AT_ONCE, ERRAND_KINDS, ERRANDS_BYTES_MAX, ERRANDS_TOGETHER, QUESTIONS_TOGETHER};
use crate::protocol::v1::complaint::Complaint;
use crate::protocol::v1::request::Credential;
use crate::server::questions::Questions;
use crate::server::replay::{Missed, Replay};
use crate::telemetry::alarm;

/// Whatever an errand needs.
pub(super) struct Desk {
    pub judge: Judge,
    pub tokens: Arc<Tokens>,
    pub bad_tokens: Arc<BadTokens>,
    pub rates: Arc<Rates>,
    pub replay: Replay,
    pub inboxes: Arc<[Arc<Inbox>]>,
}

/// The kinds of errands, as the metrics name them, and how many are answered together. Each kind is answered in groups of its own.
const KINDS: [(&str, usize); 4] = [
    ("identify", ERRANDS_TOGETHER),
    ("judge", ERRANDS_TOGETHER),
    ("catch", ERRANDS_TOGETHER),
    // Their answers may be long.
    ("ask", QUESTIONS_TOGETHER),
];
const _: () = assert!(KINDS.len() == ERRAND_KINDS);

fn kind_of(errand: &Errand) -> usize {
    match errand {
        Errand::Identify { .. } => 0,
        Errand::Judge { .. } => 1,
        Errand::Catch { .. } => 2,
        Errand::Ask(_) => 3,
    }
}

/// The bytes of errands that were not answered yet, by kind.
#[derive(Clone, Default)]
pub(super) struct WaitingErrands([Arc<AtomicUsize>; ERRAND_KINDS]);

impl WaitingErrands {
    /// Those of all kinds.
    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(|kind| kind.load(Ordering::Relaxed)).sum()
    }
}

/// The port by which shards have errands done, on the control runtime.
///
/// What waits while others are answered is answered together. So a lone errand waits for nobody, and when thousands of clients
/// come back at once, a few queries serve a hundred of them.
pub(super) fn port(desk: Desk, waiting: &WaitingErrands, control: &Handle) -> Errands {
    let inboxes = desk.inboxes.clone();
    let desk = Arc::new(desk);
    let mut shares = waiting.0.iter();
    let queues = KINDS.map(|(kind, together)| {
        // Bounded by the bytes that wait. Each kind has a share of its own, so that none keeps the others out.
        let waiting = shares.next().cloned().unwrap_or_default();
        let (queue, errands) = unbounded_channel();
        let groups = Groups { kind, together, desk: desk.clone(), inboxes: inboxes.clone(), waiting: waiting.clone() };
        control.spawn(alarm::watched("the desk", groups.answer(errands)));
        (queue, waiting)
    });
    Arc::new(move |errand| {
        let (queue, waiting) = &queues[kind_of(&errand)];
        let bytes = errand.bytes();
        if waiting.fetch_add(bytes, Ordering::Relaxed) + bytes > ERRANDS_BYTES_MAX || queue.send(errand).is_err() {
            waiting.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        true
    })
}

/// Answers the errands of one kind, those that wait together.
struct Groups {
    kind: &'static str,
    together: usize,
    desk: Arc<Desk>,
    inboxes: Arc<[Arc<Inbox>]>,
    /// Bytes of errands that were not answered yet.
    waiting: Arc<AtomicUsize>,
}

impl Groups {
    async fn answer(self, mut errands: UnboundedReceiver<Errand>) {
        let turns = Arc::new(Semaphore::new(ERRAND_GROUPS_AT_ONCE));
        while let Ok(turn) = turns.clone().acquire_owned().await {
            let mut group = Vec::new();
            if errands.recv_many(&mut group, self.together).await == 0 {
                return;
            }
            let (desk, inboxes, waiting, kind) =
                (self.desk.clone(), self.inboxes.clone(), self.waiting.clone(), self.kind);
            tokio::spawn(alarm::watched("the desk", async move {
                let shards: Vec<usize> = group.iter().map(|errand| errand.session().shard.index()).collect();
                let bytes: Vec<usize> = group.iter().map(Errand::bytes).collect();
                let answers = desk.done(kind, group).await;
                for ((shard, bytes), answer) in shards.into_iter().zip(bytes).zip(answers) {
                    // Waits while the inbox is full, and with it the groups behind this one.
                    inboxes[shard].send_async(ToShard::Answer(Box::new(answer))).await;
                    waiting.fetch_sub(bytes, Ordering::Relaxed);
                }
                drop(turn);
            }));
        }
    }
}

/// What an errand asks of the caches.
#[derive(Default)]
struct Asked {
    bearer: Option<(UserId, FamilyId)>,
    admission: Option<(RoomId, UserId)>,
    post: Option<PostId>,
}

impl Desk {
    /// One answer for each errand, in the same order. They are all of one kind.
    async fn done(&self, kind: &'static str, group: Vec<Errand>) -> Vec<Answer> {
        let count = group.len();
        let paces: Vec<Result<(), u32>> = group.iter().map(|errand| self.pace(errand)).collect();
        let mut queries = u64::from(self.read_ahead(&group, &paces).await);
        let mut missed = Vec::new();
        let mut others = Vec::new();
        for (errand, pace) in group.into_iter().zip(paces) {
            match errand {
                Errand::Identify { session, request, credential, visitor } => others.push(
                    async move {
                        let tokens = (&*self.tokens, &*self.bad_tokens);
                        let outcome = self.judge.identify(&credential, visitor, tokens).await;
                        Answer::Identified { session, request, outcome }
                    }
                    .boxed(),
                ),
                Errand::Judge { session, ticket, user, family, topic } => others.push(
                    async move {
                        let outcome = match pace {
                            Ok(()) => self.judge.seat(user, family, topic).await,
                            Err(wait_ms) => Err(Complaint::too_fast(wait_ms)),
                        };
                        Answer::Judged { session, ticket, outcome }
                    }
                    .boxed(),
                ),
                Errand::Ask(asked) => others.push(
                    async move {
                        let Self { judge, replay, inboxes, .. } = self;
                        let questions = Questions { judge, presenter: &replay.presenter, inboxes };
                        Answer::Replied { session: asked.session, frames: questions.answered(&asked).await }
                    }
                    .boxed(),
                ),
                Errand::Catch { session, ticket, user, topic, from, subscribing } => {
                    missed.push(Missed { session, ticket, user, topic, from, subscribing });
                }
            }
        }
        let mut answers = join_all(others).await;
        if !missed.is_empty() {
            let (caught, more) = self.replay.catch(missed).await;
            answers.extend(caught);
            queries += u64::from(more);
        }
        metrics::counter!("pregon_errands_total", "errand" => kind).increment(count as u64);
        metrics::counter!("pregon_errand_queries_total", "errand" => kind).increment(queries);
        answers
    }

    /// Whether a user subscribes too fast to a topic; how long it has to wait then, in milliseconds.
    fn pace(&self, errand: &Errand) -> Result<(), u32> {
        match errand {
            Errand::Judge { user, topic, .. } => self.rates.subscription(*user, *topic),
            Errand::Identify { .. } | Errand::Catch { .. } | Errand::Ask(_) => Ok(()),
        }
    }

    /// Has the caches know what a group of errands asks, with a few queries for all, except those that came too fast. What the
    /// caches do not know afterwards is asked one by one. Returns the number of queries, those included.
    async fn read_ahead(&self, group: &[Errand], paces: &[Result<(), u32>]) -> u32 {
        let in_time = group.iter().zip(paces).filter(|(_, pace)| pace.is_ok());
        let asked: Vec<Asked> = in_time.map(|(errand, _)| self.asked(errand)).collect();
        let store = &self.judge.store;
        let mut queries = 0;
        if group.len() > 1 {
            let bearers = asked.iter().filter_map(|asked| asked.bearer).collect();
            let admissions = asked.iter().filter_map(|asked| asked.admission).collect();
            for read in [store.know_bearers(bearers).await, store.know_admissions(admissions).await] {
                match read {
                    Ok(count) => queries += count,
                    Err(error) => tracing::warn!(%error, "what many sockets ask could not be read together"),
                }
            }
        }
        let is_known = |asked: &&Asked| {
            asked.bearer.is_none_or(|(user, family)| store.cached_bearer(user, family).is_some())
                && asked.admission.is_none_or(|(room, user)| store.cached_admission(room, user).is_some())
                && asked.post.is_none_or(|post| store.cached_post_head(post).is_some())
        };
        let unknown = asked.iter().filter(|asked| !is_known(asked)).count();
        queries + u32::try_from(unknown).unwrap_or(u32::MAX)
    }

    fn asked(&self, errand: &Errand) -> Asked {
        match errand {
            Errand::Identify { credential: Credential::Token(token), .. } => {
                let access = self.tokens.verify_access(token, Timestamp::now()).ok();
                Asked { bearer: access.map(|access| (access.user, access.family)), ..Asked::default() }
            }
            Errand::Judge { user, family, topic, .. } => {
                let (admission, post) = match topic {
                    Topic::Room(room) => (Some((*room, *user)), None),
                    Topic::Post(post) => (None, Some(*post)),
                    Topic::Feed(_) | Topic::Author(_) | Topic::Notifications(_) => (None, None),
                };
                Asked { bearer: Some((*user, *family)), admission, post }
            }
            Errand::Ask(question) => {
                let admission = Some((question.room, question.user));
                Asked { bearer: Some((question.user, question.family)), admission, post: None }
            }
            Errand::Identify { .. } | Errand::Catch { .. } => Asked::default(),
        }
    }
}
