//! `/api/users/<username>/posts/stats/` and `/api/posts/my-reactions-count/`: totals over posts.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::rest::app::App;
use crate::rest::error::Result;
use crate::rest::extract::Caller;
use crate::rest::people::profiles::by_name;

/// `GET users/<username>/posts/stats/`, over the posts that the caller may see.
pub async fn of_author(State(app): State<Arc<App>>, caller: Caller, Path(name): Path<String>) -> Result<Response> {
    let author = by_name(&app, &name).await?;
    let stats = app.store.post_stats(author.id, author.id == caller.id()).await?;
    let by_type = stats.by_type.iter().map(|(kind, count)| json!({"post_type": kind.as_str(), "count": count}));
    let body = json!({
        "user": {"id": author.id, "username": author.username, "display_name": author.display_name},
        "stats": {
            "total_posts": stats.by_type.iter().map(|(_, count)| count).sum::<u64>(),
            "posts_by_type": by_type.collect::<Vec<Value>>(),
            "total_reactions": {
                "likes": stats.counts.likes,
                "celebrations": stats.counts.celebrations,
                "golazos": stats.counts.golazos,
                "comments": stats.comments,
                "shares": stats.shares,
                "views": stats.views,
            },
        },
    });
    Ok(Json(body).into_response())
}

/// `GET posts/my-reactions-count/`: the reactions that the caller has given.
pub async fn given(State(app): State<Arc<App>>, caller: Caller) -> Result<Response> {
    let given = app.store.reactions_given(caller.id()).await?;
    let body = json!({
        "count": given.likes + given.celebrations + given.golazos,
        "breakdown": {"likes": given.likes, "celebrations": given.celebrations, "golazos": given.golazos},
    });
    Ok(Json(body).into_response())
}
