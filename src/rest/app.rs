//! Everything that the handlers share.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::access::client_address::Network;
use crate::access::lifecycle::Lifecycle;
use crate::access::logins::Logins;
use crate::access::origin::Rules;
use crate::access::password::Hasher;
use crate::access::rate::Rates;
use crate::access::token::Tokens;
use crate::fanout::push::Hosts;
use crate::ids::UserId;
use crate::protocol::v0::object::Presenter;
use crate::rest::assets::Assets;
use crate::rest::posts::edit_turns::EditTurns;
use crate::rest::site::Site;
use crate::rest::uploads::upload::MediaDir;
use crate::store::Store;

/// Everything that REST needs from the rest of the server.
pub struct App {
    /// The database.
    pub store: Arc<dyn Store>,
    /// Makes and checks tokens.
    pub tokens: Arc<Tokens>,
    /// Ends logins.
    pub logins: Logins,
    /// Makes and checks password hashes.
    pub hasher: Hasher,
    /// Writes the JSON objects of answers.
    pub presenter: Arc<Presenter>,
    /// The folder of uploads.
    pub media: Arc<MediaDir>,
    /// The flags and menu of the pages.
    pub site: Site,
    /// The page's files.
    pub page: Assets,
    /// Starting, ready or draining.
    pub lifecycle: Arc<Lifecycle>,
    /// The pages that may read answers.
    pub origins: Rules,
    /// Whether requests come by TLS.
    pub is_encrypted: bool,
    /// The proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<Network>,
    /// What browsers have to know to subscribe to pushes; `None`: nothing is pushed.
    pub push: Option<PushDesk>,
    /// The rate limits.
    pub rates: Arc<Rates>,
    /// The time for the whole body of a request.
    pub body_deadline: Duration,
    /// Serialises the edits of a post.
    pub edit_turns: EditTurns,
    /// Has everybody learn that a user's profile was changed.
    pub profile_changed: Arc<dyn Fn(UserId) + Send + Sync>,
    /// This node's name.
    pub node: String,
    /// Whether everybody may read `/metrics`.
    pub metrics_public: bool,
    /// Renders the metrics as Prometheus' text.
    pub render_metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Whether Redis answers; `None` if it is not needed.
    pub redis: Option<Arc<dyn Fn() -> bool + Send + Sync>>,
    /// Whether events of other nodes come by Redis; `None` if there cannot be other nodes.
    pub bus: Option<Arc<dyn Fn() -> bool + Send + Sync>>,
}

/// What the handlers of Web Push need.
pub struct PushDesk {
    /// The key that browsers give to their push services, base64url.
    pub public_key: String,
    /// The push services that may be used.
    pub hosts: Hosts,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}
