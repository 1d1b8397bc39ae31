//! Hands writes about posts, people and notifications to their rules.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::domain::event::Committed;
use crate::domain::feed::write::Action;
use crate::domain::write::{Outcome, Refusal, Write};
use crate::store::rules::asked::refused;
use crate::store::rules::work::Work;
use crate::store::rules::{comment, notice, people, post};
use crate::store::sql::LaneSql;
use crate::store::sql::rows::BatchRows;

/// Does what `action` asks for, or says why not.
pub(super) async fn apply<D: LaneSql>(
    rows: &mut BatchRows<'_, D>,
    events: &mut Vec<Arc<Committed>>,
    now: Timestamp,
    write: &Write,
    action: &Action,
) -> Result<Outcome, D::Error> {
    if !rows.is_active_user(write.actor).await? {
        return Ok(refused(Refusal::NotActive));
    }
    let work = Work::new(rows, events, write, now);
    match action {
        Action::Publish { post, new } => post::publish(work, *post, new).await,
        Action::EditPost { post, patch } => post::edit(work, *post, patch).await,
        Action::DeletePost { post } => post::delete(work, *post).await,
        Action::React { post, reaction } => post::react(work, *post, *reaction).await,
        Action::Unreact { post } => post::unreact(work, *post).await,
        Action::Share { post, message } => post::share(work, *post, message).await,
        Action::Comment(new) => comment::add(work, new).await,
        Action::EditComment { post, comment, content } => comment::edit(work, *post, *comment, content).await,
        Action::DeleteComment { post, comment } => comment::delete(work, *post, *comment).await,
        Action::LikeComment { post, comment } => comment::like(work, *post, *comment).await,
        Action::UnlikeComment { post, comment } => comment::unlike(work, *post, *comment).await,
        Action::Block { user } => people::block(work, *user).await,
        Action::Unblock { user } => people::unblock(work, *user).await,
        Action::Follow { user } => people::follow(work, *user).await,
        Action::Unfollow { user } => people::unfollow(work, *user).await,
        Action::RequestFriend { user } => people::request(work, *user).await,
        Action::AnswerRequest { request, accept } => people::answer(work, *request, *accept).await,
        Action::CancelRequest { request } => people::cancel(work, *request).await,
        Action::RemoveFriend { user } => people::remove(work, *user).await,
        Action::ReadNotification { notification } => notice::read(work, *notification).await,
        Action::ReadAllNotifications => notice::read_all(work).await,
        Action::DeleteNotification { notification } => notice::delete(work, *notification).await,
        Action::ClearNotifications => notice::clear(work).await,
    }
}
