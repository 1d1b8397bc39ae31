//! What operators may ask for: sessions listed, told something or cut, and a node's excess given to others.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Extension, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use crate::domain::operator::{Ask, Outcome, Pace, Place, Verb, Whose};
use crate::ids::{RoomId, UserId};
use crate::limits::{NOTICE_CHARS_MAX, PING_TIMEOUT};
use crate::server::operator::Operator;
use crate::store::{Store, StoreError};

/// What requests need.
pub(super) struct Admin {
    pub operator: Arc<Operator>,
    pub store: Arc<dyn Store>,
}

/// Who asks, for the log.
#[derive(Clone, Copy)]
pub(super) struct Peer(pub SocketAddr);

/// Why something was not done: the status, and what to do.
pub(super) struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

impl From<QueryRejection> for Refused {
    fn from(rejection: QueryRejection) -> Self {
        bad(rejection.body_text())
    }
}

impl From<JsonRejection> for Refused {
    fn from(rejection: JsonRejection) -> Self {
        Self(rejection.status(), rejection.body_text())
    }
}

type Answered = Result<Json<Outcome>, Refused>;

fn bad(text: impl Into<String>) -> Refused {
    Refused(StatusCode::BAD_REQUEST, text.into())
}

/// Which sessions to list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    user: Option<String>,
    room: Option<String>,
    node: Option<String>,
    from: Option<String>,
}

/// What to tell whom.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TellBody {
    user: Option<String>,
    room: Option<String>,
    text: String,
}

/// Whose sessions to cut.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CutBody {
    user: Option<String>,
    room: Option<String>,
    #[serde(default)]
    stay_away: bool,
}

/// How fast to move.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RebalanceBody {
    #[serde(default = "usual_seconds")]
    over_seconds: u32,
    #[serde(default = "usual_percent")]
    percent_per_minute: u32,
}

/// Seconds over which a rebalance is spread, unless said otherwise.
fn usual_seconds() -> u32 {
    60
}

/// The part of a node's sessions that move in a minute, unless said otherwise.
fn usual_percent() -> u32 {
    25
}

/// `GET /sessions?user=…|room=…|node=…`
pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    peer: Extension<Peer>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Answered {
    let Query(ListQuery { user, room, node, from }) = query?;
    let from = from.map(|from| from.parse::<Place>().map_err(|error| bad(error.to_string()))).transpose()?;
    if from.is_some() && node.is_none() {
        return Err(bad("a list goes on from a place of one node: name it as node, too"));
    }
    let whose = match (user, room, &node) {
        (None, None, Some(_)) => Whose::All,
        (None, None, None) => return Err(bad("say whose sessions: user, room or node")),
        (user, room, _) => admin.whose(user, room).await?,
    };
    if let Some(name) = &node {
        let known = admin.operator.names();
        if !known.iter().any(|one| **one == **name) {
            let text = format!("no node is named {name:?}: there are {}", known.join(", "));
            return Err(Refused(StatusCode::NOT_FOUND, text));
        }
    }
    let ask = Ask::Sessions { whose, verb: Verb::List(from.unwrap_or_default()) };
    admin.done(peer, node.as_deref(), ask).await
}

/// `POST /sessions/tell`
pub(super) async fn tell(
    State(admin): State<Arc<Admin>>,
    peer: Extension<Peer>,
    body: Result<Json<TellBody>, JsonRejection>,
) -> Answered {
    let Json(TellBody { user, room, text }) = body?;
    let text = text.trim();
    if text.is_empty() || text.chars().count() > NOTICE_CHARS_MAX {
        return Err(bad(format!("the text must have 1 to {NOTICE_CHARS_MAX} characters")));
    }
    let whose = admin.whose(user, room).await?;
    admin.done(peer, None, Ask::Sessions { whose, verb: Verb::Tell(text.into()) }).await
}

/// `POST /sessions/cut`
pub(super) async fn cut(
    State(admin): State<Arc<Admin>>,
    peer: Extension<Peer>,
    body: Result<Json<CutBody>, JsonRejection>,
) -> Answered {
    let Json(CutBody { user, room, stay_away }) = body?;
    let whose = admin.whose(user, room).await?;
    admin.done(peer, None, Ask::Sessions { whose, verb: Verb::Cut { stay_away } }).await
}

/// `POST /rebalance`
pub(super) async fn rebalance(
    State(admin): State<Arc<Admin>>,
    peer: Extension<Peer>,
    body: Result<Json<RebalanceBody>, JsonRejection>,
) -> Answered {
    let Json(RebalanceBody { over_seconds, percent_per_minute }) = body?;
    if !(1..=3600).contains(&over_seconds) || !(1..=100).contains(&percent_per_minute) {
        return Err(bad("over_seconds must be from 1 to 3600, and percent_per_minute from 1 to 100"));
    }
    admin.done(peer, None, Ask::Rebalance(Pace { over_seconds, percent_per_minute })).await
}

impl Admin {
    /// A user by name or id, or a room by id.
    async fn whose(&self, user: Option<String>, room: Option<String>) -> Result<Whose, Refused> {
        match (user, room) {
            (Some(user), None) => Ok(Whose::User(self.user(&user).await?)),
            (None, Some(room)) => {
                let id = room.parse::<RoomId>();
                id.map(Whose::Room).map_err(|_| bad(format!("{room:?} is no room's id: it is a UUID")))
            }
            _ => Err(bad("say whose sessions: either user or room")),
        }
    }

    /// An id is believed while the database is away, because operators are needed most then.
    async fn user(&self, text: &str) -> Result<UserId, Refused> {
        let id = text.parse::<UserId>().ok();
        let look_up = async {
            Ok(match id {
                Some(id) => self.store.account(id).await?.map(|account| account.id),
                None => self.store.profile_by_name(&text.to_lowercase()).await?.map(|profile| profile.id),
            })
        };
        let found: Result<Option<UserId>, StoreError> =
            timeout(PING_TIMEOUT, look_up).await.unwrap_or(Err(StoreError::Unavailable("no answer in time".into())));
        match found {
            Ok(Some(id)) => Ok(id),
            Ok(None) => {
                let text = format!("{text:?} is no user: give a username or an id");
                Err(Refused(StatusCode::NOT_FOUND, text))
            }
            Err(error) => {
                tracing::warn!(%error, "an operator's user could not be looked up");
                let text = "the database does not answer, so names are not known: give the user's id";
                id.ok_or_else(|| Refused(StatusCode::SERVICE_UNAVAILABLE, text.to_owned()))
            }
        }
    }

    async fn done(&self, Extension(Peer(peer)): Extension<Peer>, node: Option<&str>, ask: Ask) -> Answered {
        let outcome = self.operator.everywhere(peer, node, ask).await;
        let busy = || Refused(StatusCode::SERVICE_UNAVAILABLE, "others ask at this moment: ask again".to_owned());
        outcome.map(Json).ok_or_else(busy)
    }
}
