//! Web Push: messages and notifications for users who have no socket on any node.
//!
//! [`Push`] takes what this node has committed, so that exactly one node sends each push. `pending` keeps the newest event of each
//! topic for a moment; `lookup` finds who is to be told and leaves out who has a socket; `dispatch` sends, and sends again. What
//! waits when the process is killed is lost: the message itself is stored and will be seen.

mod address;
mod deliver;
mod dispatch;
mod lookup;
mod note;
mod pending;
mod retries;
mod terms;
mod vapid;
mod waiting;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::mpsc;

pub use self::address::{BadEndpoint, HostRule, Hosts};
pub use self::deliver::{NoRoots, are_keys};
pub use self::note::Content;
pub use self::terms::{Elsewhere, IsHere, Terms, Ways};
pub use self::vapid::{BadContact, BadKey, Contact, PrivateKey, Vapid};

use crate::domain::event::Committed;
use crate::fanout::push::deliver::Sender;
use crate::fanout::push::note::News;
use crate::fanout::push::pending::Offered;
use crate::fanout::push::waiting::Waiting;
use crate::limits::{PUSH_LOOKUPS, PUSH_WAITING_MAX};
use crate::telemetry::alarm;

/// Where events wait to be pushed.
#[derive(Debug, Clone)]
pub struct Push(Arc<Waiting>);

impl Push {
    /// Events wait for `delay`. Nothing is sent before [`Self::start`].
    pub fn new(delay: Duration) -> Self {
        Self(Arc::new(Waiting::new(delay)))
    }

    /// Takes what this node has committed. Never blocks for long.
    pub fn committed(&self, events: &[Arc<Committed>]) {
        let mut has_new = false;
        for news in events.iter().filter_map(|event| News::of(event)) {
            let offered = self.0.pending().offer(news, Instant::now());
            has_new = true;
            match offered {
                Offered::New => {}
                Offered::Collapsed => metrics::counter!("pregon_push_topics_total", "what" => "collapsed").increment(1),
                Offered::Dropped => metrics::counter!("pregon_push_topics_total", "what" => "dropped").increment(1),
            }
        }
        if has_new {
            self.0.bell.notify_one();
        }
    }

    /// Starts what sends.
    ///
    /// # Errors
    /// The system has no root certificates, so no push service could be believed.
    pub fn start(&self, terms: &Terms, vapid: Vapid, ways: Ways, control: &Handle) -> Result<(), NoRoots> {
        let sender = Sender::new(terms, vapid)?;
        let (deliveries, waiting) = mpsc::channel(PUSH_WAITING_MAX);
        let ways = Arc::new(ways);
        let seeker = Arc::new(lookup::Seeker::new(self.0.clone(), ways.clone(), terms, deliveries));
        for _ in 0..PUSH_LOOKUPS {
            control.spawn(alarm::watched("the look-up of pushes", seeker.clone().run()));
        }
        let dispatcher = dispatch::Dispatcher::new(self.0.clone(), ways.store.clone(), sender, terms.ttl_seconds);
        control.spawn(alarm::watched("the sending of pushes", dispatcher.run(waiting)));
        Ok(())
    }

    /// The server is about to end: what is pending is due now, while those who have sockets still have them.
    pub fn hurry(&self) {
        self.0.hurry();
    }

    /// Waits until all that is pending was sent or given up, but no longer than [`crate::limits::PUSH_STOP`].
    pub async fn stop(&self) {
        self.0.stop().await;
    }
}
