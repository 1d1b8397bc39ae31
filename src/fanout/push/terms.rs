//! What Web Push is given: an operator's settings, and ways to the rest of the server.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::fanout::push::address::Hosts;
use crate::fanout::push::note::Content;
use crate::fanout::push::vapid::{Contact, PrivateKey};
use crate::ids::UserId;
use crate::store::Store;

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
