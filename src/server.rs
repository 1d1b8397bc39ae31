//! The composition root. A stand-in that serves REST alone, until the engine's own lands.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::ServiceExt;

use crate::auth::password::Hasher;
use crate::auth::token::Tokens;
use crate::chat::event::Committed;
use crate::chat::write::Outcome;
use crate::clock::Timestamp;
use crate::config::Settings;
use crate::http::address::PeerAddr;
use crate::http::health::{Lifecycle, Phase};
use crate::http::rate::Rates;
use crate::http::upload::MediaDir;
use crate::http::{App, router};
use crate::ids::SessionKey;
use crate::store::LanePort;
use crate::store::sqlite::{SqliteOptions, SqliteStore};
use crate::wire::object::Presenter;

struct Nobody;

impl LanePort for Nobody {
    fn committed(&self, _events: &[Arc<Committed>]) {}
    fn answered(&self, _session: SessionKey, _outcome: &Outcome) {}
}

/// Serves until killed.
///
/// # Errors
/// What cannot be opened.
pub fn run(settings: Settings) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(serve(settings))
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let listener = TcpListener::bind(settings.listen[0]).await.context("PREGON_LISTEN")?;
    let bound = listener.local_addr()?;
    let secret = settings.secret()?;
    let options = SqliteOptions { path: settings.database.clone(), readers: 2, clock: Arc::new(Timestamp::now) };
    let lifecycle = Arc::new(Lifecycle::new());
    let app = App {
        store: SqliteStore::open(options, Arc::new(Nobody))?,
        tokens: Arc::new(Tokens::new(secret.bytes())),
        hasher: Hasher::default(),
        presenter: Arc::new(Presenter::new(&settings.public_url(bound), settings.mask_contacts)),
        media: MediaDir::open(settings.media_dir.clone()).context("PREGON_MEDIA_DIR")?,
        lifecycle: Arc::clone(&lifecycle),
        origins: settings.origins.clone(),
        trusted_proxies: settings.trusted_proxies.clone(),
        rates: Rates::new(settings.rate_limits),
        metrics_public: settings.metrics_public,
        render_metrics: Arc::new(String::new),
    };
    let router = router(app);
    lifecycle.enter(Phase::Ready);
    writeln!(std::io::stdout(), "pregon listens on http://{bound}/")?;
    loop {
        let (stream, peer): (_, SocketAddr) = listener.accept().await?;
        let service = router.clone().map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(PeerAddr(peer));
            request.map(axum::body::Body::new)
        });
        tokio::spawn(async move {
            let service = TowerToHyperService::new(service);
            drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
    }
}
