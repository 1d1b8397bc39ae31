//! Web Push: messages and notifications for users who have no socket on any node.
//!
//! [`Push`] takes what this node has committed, so that exactly one node sends each push. `pending` keeps the newest event of each
//! topic for a moment; `lookup` finds who is to be told and leaves out who has a socket; `dispatch` sends, and sends again. What
//! waits when the process ends is lost: the message itself is stored and will be seen.

mod address;
mod deliver;
mod dispatch;
mod lookup;
mod note;
mod pending;
mod retries;
mod vapid;

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};

pub use self::address::{BadEndpoint, HostRule, Hosts};
pub use self::deliver::{NoRoots, are_keys};
pub use self::note::Content;
pub use self::vapid::{BadContact, BadKey, Contact, PrivateKey, Vapid};

use crate::domain::event::Committed;
use crate::fanout::push::deliver::Sender;
use crate::fanout::push::note::News;
use crate::fanout::push::pending::{Offered, Pending};
use crate::ids::UserId;
use crate::limits::{PUSH_LOOKUPS, PUSH_STOP, PUSH_WAITING_MAX};
use crate::store::Store;
use crate::telemetry::alarm;

/// What an operator has set.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Whom push services may write to about this server.
    pub contact: Contact,
    /// The server's key; `None`: the one in the database.
    pub key: Option<PrivateKey>,
    /// The push services that may be used.
    pub hosts: Hosts,
    /// How much of a message a push says.
    pub content: Content,
    /// How long an event waits for later ones of its topic, and for its readers, before it is pushed.
    pub delay: Duration,
    /// How long push services keep a push for a browser that is off, in seconds.
    pub ttl_seconds: u32,
    /// The page that a push opens; `None`: that of this server.
    pub page: Option<String>,
}

/// Whether a user has a socket on this node.
pub type IsHere = Arc<dyn Fn(UserId) -> bool + Send + Sync>;

/// Those of some users who have sockets on other nodes.
pub type Elsewhere = Arc<dyn Fn(Vec<UserId>) -> BoxFuture<'static, HashSet<UserId>> + Send + Sync>;

/// What pushes need of the rest of the server.
pub struct Ways {
    /// Who has subscribed.
    pub store: Arc<dyn Store>,
    /// Who has sockets here.
    pub is_here: IsHere,
    /// Who has sockets on other nodes; `None` if there are none.
    pub elsewhere: Option<Elsewhere>,
    /// The address of a page below which a push's page is.
    pub page: String,
}

/// Where events wait to be pushed.
#[derive(Debug)]
pub struct Push {
    pending: Mutex<Pending>,
    /// Rings when something is pending.
    bell: Notify,
    /// Rings when everything was sent.
    idle: Notify,
    /// Topics that are looked up, and pushes that wait or are under way.
    under_way: AtomicUsize,
}

impl Push {
    /// Nothing is sent before [`Self::start`].
    pub fn new(delay: Duration) -> Self {
        Self {
            pending: Mutex::new(Pending::new(delay)),
            bell: Notify::new(),
            idle: Notify::new(),
            under_way: AtomicUsize::new(0),
        }
    }

    /// Takes what this node has committed. Never blocks for long.
    pub fn committed(&self, events: &[Arc<Committed>]) {
        let mut has_new = false;
        for news in events.iter().filter_map(|event| News::of(event)) {
            let offered = self.pending().offer(news, Instant::now());
            has_new = true;
            match offered {
                Offered::New => {}
                Offered::Collapsed => metrics::counter!("pregon_push_topics_total", "what" => "collapsed").increment(1),
                Offered::Dropped => metrics::counter!("pregon_push_topics_total", "what" => "dropped").increment(1),
            }
        }
        if has_new {
            self.bell.notify_one();
        }
    }

    /// Starts what sends.
    ///
    /// # Errors
    /// The system has no root certificates, so no push service could be believed.
    pub fn start(self: &Arc<Self>, terms: &Terms, vapid: Vapid, ways: Ways, control: &Handle) -> Result<(), NoRoots> {
        let sender = Sender::new(terms, vapid)?;
        let (deliveries, waiting) = mpsc::channel(PUSH_WAITING_MAX);
        let ways = Arc::new(ways);
        let seeker = Arc::new(lookup::Seeker::new(self.clone(), ways.clone(), terms, deliveries));
        for _ in 0..PUSH_LOOKUPS {
            control.spawn(alarm::watched("the look-up of pushes", seeker.clone().run()));
        }
        let dispatcher = dispatch::Dispatcher::new(self.clone(), ways.store.clone(), sender, terms.ttl_seconds);
        control.spawn(alarm::watched("the sending of pushes", dispatcher.run(waiting)));
        Ok(())
    }

    /// The server is about to end: what is pending is due now, while those who have sockets still have them.
    pub fn hurry(&self) {
        self.pending().hurry();
        self.bell.notify_one();
    }

    /// Waits until all that is pending was sent or given up, but no longer than [`PUSH_STOP`].
    pub async fn stop(&self) {
        self.hurry();
        let idle = async {
            loop {
                let rung = self.idle.notified();
                if self.is_idle() {
                    return;
                }
                rung.await;
            }
        };
        if tokio::time::timeout(PUSH_STOP, idle).await.is_err() {
            tracing::warn!("some pushes were not sent before the stop");
        }
    }

    fn is_idle(&self) -> bool {
        // Under the lock: what leaves the pending ones is counted before it is released.
        let pending = self.pending();
        pending.is_empty() && self.under_way.load(Ordering::Acquire) == 0
    }

    /// Counts something that is under way until it is dropped.
    fn begin(self: &Arc<Self>) -> UnderWay {
        self.under_way.fetch_add(1, Ordering::AcqRel);
        UnderWay(self.clone())
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something that a stop waits for.
struct UnderWay(Arc<Push>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
        if self.0.is_idle() {
            self.0.idle.notify_one();
        }
    }
}
