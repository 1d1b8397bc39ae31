//! Starts Web Push: finds or makes the server's key, and joins what is committed to what sends.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use tokio::runtime::Runtime;

use crate::cluster::whereabouts::Whereabouts;
use crate::config::Settings;
use crate::fanout::push::{Elsewhere, PrivateKey, Vapid, Ways};
use crate::server::delivery::Delivery;
use crate::server::front::Front;
use crate::server::storage::Storage;

/// Starts it, if it is set.
///
/// # Errors
/// The database does not answer, or the system has no root certificates.
pub(super) fn start(
    settings: &Settings,
    (storage, delivery, front): (&Storage, &Delivery, &Front),
    whereabouts: Option<Arc<Whereabouts>>,
    bound: SocketAddr,
    control: &Runtime,
) -> anyhow::Result<()> {
    let (Some(terms), Some(push)) = (&settings.push, &delivery.push) else { return Ok(()) };
    let key = match &terms.key {
        Some(key) => key.clone(),
        None => {
            let stored = control.block_on(storage.store.push_key(PrivateKey::fresh().text()));
            let stored = stored.context("the key of Web Push cannot be read")?;
            let bad = "the key of Web Push in pregon_push_key is none: delete its row, or set PREGON_PUSH_KEY";
            stored.parse().map_err(|_| anyhow::anyhow!(bad))?
        }
    };
    let vapid = Vapid::new(&key, terms.contact.clone()).map_err(|_| anyhow::anyhow!("the key of Web Push is none"))?;
    let _ = front.push_key.set(vapid.public().to_owned());
    let (sockets, lifecycle) = (front.sockets.clone(), front.lifecycle.clone());
    let here = front.sockets.clone();
    if let Some(whereabouts) = &whereabouts {
        whereabouts.answer_by(Arc::new(move |user| sockets.has(user)));
    }
    let elsewhere = whereabouts.map(|whereabouts| -> Elsewhere {
        Arc::new(move |users| {
            let whereabouts = whereabouts.clone();
            Box::pin(async move { whereabouts.elsewhere(users).await })
        })
    });
    let ways = Ways {
        store: storage.store.clone(),
        is_here: Arc::new(move |user| here.has(user)),
        elsewhere,
        page: format!("{}/", settings.public_url(bound)),
    };
    let _guard = control.enter();
    push.start(terms, vapid, ways, control.handle())?;
    let push = push.clone();
    control.spawn(async move {
        lifecycle.draining().await;
        push.hurry();
    });
    tracing::info!(key = front.push_key.get(), "users without sockets are told by Web Push");
    Ok(())
}
