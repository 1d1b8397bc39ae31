//! Reads the keys of tokens again when their file has changed, so that keys are rotated without a restart.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use crate::access::key_file::{KeyFile, Loaded, Unusable};
use crate::access::keys::Keys;
use crate::access::token::Tokens;
use crate::limits::KEY_FILE_LOOK;
use crate::telemetry::alarm;

/// Looks at the file from now on: at SIGHUP at once.
pub(super) fn start(file: KeyFile, tokens: Arc<Tokens>, control: &Handle) -> std::io::Result<()> {
    let hangup = {
        let _entered = control.enter();
        signal(SignalKind::hangup())?
    };
    tell(&tokens.keys());
    control.spawn(alarm::watched("the look at the keys of tokens", keep(file, tokens, hangup)));
    Ok(())
}

async fn keep(file: KeyFile, tokens: Arc<Tokens>, mut hangup: tokio::signal::unix::Signal) {
    let mut looks = interval(KEY_FILE_LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // What was read at the start is read once more: it may have changed since.
    let mut known: Option<String> = None;
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            _ = hangup.recv() => {}
        }
        let (read, before) = (file.clone(), known.clone());
        let read = tokio::task::spawn_blocking(move || read.load_unless(before.as_deref()));
        let Ok(Some(read)) = read.await else { continue };
        let content = match &read {
            Ok(loaded) => &loaded.content,
            Err(unusable) => &unusable.content,
        };
        let is_first = known.replace(content.clone()).is_none();
        taken(read, is_first, &file, &tokens);
    }
}

/// Puts new keys in the place of the old ones. If the file gives none, the old ones stay.
fn taken(read: Result<Loaded, Unusable>, is_first: bool, file: &KeyFile, tokens: &Tokens) {
    let path = file.path().display();
    match read {
        Ok(Loaded { keys, left_out, is_open_to_all, .. }) => {
            for why in left_out {
                tracing::warn!(%path, "a key of tokens is left out: {why}");
            }
            if is_open_to_all {
                tracing::warn!(%path, "every program on this machine can read keys that sign tokens: chmod o-r");
            }
            if keys.all().iter().any(|key| !key.can_sign()) && !tokens.have_audience() {
                tracing::warn!(
                    %path,
                    "others sign tokens, too, and PREGON_JWT_AUDIENCE is not set: tokens for their other services are taken"
                );
            }
            if !is_first {
                let names = names(&keys);
                tracing::info!(%path, keys = names, signs = keys.signer().kid().unwrap_or("-"), "keys of tokens were read again");
                metrics::counter!("pregon_token_key_reloads_total", "outcome" => "taken").increment(1);
            }
            tell(&keys);
            tokens.replace(keys);
        }
        Err(Unusable { why, .. }) => {
            tracing::warn!(%path, "the keys of tokens stay as they were, because their file gives none: {why}");
            metrics::counter!("pregon_token_key_reloads_total", "outcome" => "refused").increment(1);
        }
    }
}

fn names(keys: &Keys) -> String {
    keys.all().iter().map(|key| key.kid().unwrap_or("-")).collect::<Vec<_>>().join(",")
}

fn tell(keys: &Keys) {
    #[expect(clippy::cast_precision_loss, reason = "there are at most a hundred")]
    metrics::gauge!("pregon_token_keys").set(keys.all().len() as f64);
}
