//! Asks other nodes which of some users have sockets there, and waits a moment for their answers.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::Notify;
use tokio::time::timeout;

use crate::cluster::link::Link;
use crate::cluster::peers::Peers;
use crate::cluster::send::Outbox;
use crate::cluster::wire::{Bell, NodeId};
use crate::ids::UserId;
use crate::limits::WHEREABOUTS_PATIENCE;

/// Whether a user has a socket on this node. Never blocks.
pub type HasSocket = Arc<dyn Fn(UserId) -> bool + Send + Sync>;

/// What is gathered for one question.
struct Gathering {
    there: HashSet<UserId>,
    missing: HashSet<NodeId>,
    /// Rings when nobody is missing any more.
    whole: Arc<Notify>,
}

/// The way to the other nodes.
pub struct Whereabouts {
    peers: Arc<Peers>,
    link: Arc<Link>,
    outbox: Outbox,
    has_socket: OnceLock<HasSocket>,
    /// As many as there are look-ups at once.
    questions: Mutex<HashMap<uuid::Uuid, Gathering>>,
}

impl Whereabouts {
    pub(super) fn new(peers: Arc<Peers>, link: Arc<Link>, outbox: Outbox) -> Self {
        Self { peers, link, outbox, has_socket: OnceLock::new(), questions: Mutex::default() }
    }

    /// What others are answered by. Before it is set, nobody is here.
    pub fn answer_by(&self, has_socket: HasSocket) {
        let _ = self.has_socket.set(has_socket);
    }

    /// Those of `users`, at most [`crate::limits::PUSH_PAGE_ROWS`], who have sockets on other nodes. Nodes that do not answer within
    /// [`WHEREABOUTS_PATIENCE`] have none of them, and neither has anybody while Redis is away.
    pub async fn elsewhere(&self, users: Vec<UserId>) -> HashSet<UserId> {
        let missing: HashSet<NodeId> = self.peers.known().into_keys().collect();
        if missing.is_empty() || !self.link.is_up() {
            return HashSet::new();
        }
        let (id, whole) = (uuid::Uuid::now_v7(), Arc::new(Notify::new()));
        let gathering = Gathering { there: HashSet::new(), missing, whole: whole.clone() };
        self.lock().insert(id, gathering);
        self.outbox.ring_bell(Bell::WhoIsThere { id, users });
        let _ = timeout(WHEREABOUTS_PATIENCE, whole.notified()).await;
        self.lock().remove(&id).map(|gathered| gathered.there).unwrap_or_default()
    }

    /// Another node asks.
    pub(super) fn asked(&self, id: uuid::Uuid, mut users: Vec<UserId>) {
        let has_socket = self.has_socket.get();
        users.retain(|user| has_socket.is_some_and(|has_socket| has_socket(*user)));
        self.outbox.ring_bell(Bell::TheseAre { id, users });
    }

    /// Another node answered; maybe somebody else's question.
    pub(super) fn answered(&self, node: NodeId, id: uuid::Uuid, users: Vec<UserId>) {
        let mut questions = self.lock();
        let Some(gathering) = questions.get_mut(&id) else { return };
        if gathering.missing.remove(&node) {
            gathering.there.extend(users);
        }
        if gathering.missing.is_empty() {
            gathering.whole.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<uuid::Uuid, Gathering>> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
