//! Who may come in: token, user and participant row, from caches where they are fresh.

use std::sync::Arc;
use std::time::Duration;

use crate::auth::origin::Rules;
use crate::auth::token::{Access, Tokens};
use crate::chat::user::Admission;
use crate::clock::Timestamp;
use crate::http::health::{Lifecycle, Phase};
use crate::ids::RoomId;
use crate::session::Entry;
use crate::shard::port::{Gate, Refused, Verdict};
use crate::store::{Store, StoreError};
use crate::wire::reason;

/// The gate before all shards.
pub(super) struct Door {
    pub store: Arc<dyn Store>,
    pub tokens: Arc<Tokens>,
    pub origins: Rules,
    pub lifecycle: Arc<Lifecycle>,
    pub terms: Terms,
}

/// What a session is admitted on.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    /// From a token's end to the end of its sockets.
    pub token_grace: Duration,
    /// Participants up to which a room sends presence frames.
    pub presence_room_max: u32,
}

impl Gate for Door {
    fn allows_origin(&self, origin: Option<&str>, host: &str) -> bool {
        self.origins.allows(origin, host)
    }

    fn admit(&self, room: RoomId, token: Option<&str>) -> Verdict {
        let Some(token) = token else { return Verdict::Now(refuse(reason::NO_TOKEN)) };
        let Ok(access) = self.tokens.verify_access(token, Timestamp::now()) else {
            return Verdict::Now(refuse(reason::BAD_TOKEN));
        };
        if let Some(admission) = self.store.cached_admission(room, access.user) {
            return Verdict::Now(decide(self.terms, room, &access, Ok(admission)));
        }
        let (store, terms) = (self.store.clone(), self.terms);
        Verdict::Later(Box::pin(async move {
            let admission = store.admission(room, access.user).await;
            decide(terms, room, &access, admission)
        }))
    }

    fn is_draining(&self) -> bool {
        self.lifecycle.phase() == Phase::Draining
    }
}

fn decide(
    terms: Terms,
    room: RoomId,
    access: &Access,
    admission: Result<Admission, StoreError>,
) -> Result<Entry, Refused> {
    let admission = admission.map_err(|error| {
        tracing::warn!(%error, "a handshake could not be judged");
        Refused { text: reason::TRY_LATER, goodbye: reason::OVERLOAD }
    })?;
    match admission.account {
        Some(account) if account.is_active => {
            if !admission.is_participant {
                return refuse(reason::NOT_PARTICIPANT);
            }
            let grace = i64::try_from(terms.token_grace.as_secs()).unwrap_or(i64::MAX);
            Ok(Entry {
                account,
                room,
                has_presence: admission.participants <= terms.presence_room_max,
                token_ends: access.expires.saturating_add(grace),
            })
        }
        _ => refuse(reason::BAD_TOKEN),
    }
}

fn refuse(text: &'static str) -> Result<Entry, Refused> {
    Err(Refused { text, goodbye: reason::REFUSED })
}
