//! Answers what sockets of `pregon.v1` ask about a room: how many there are, who, what is unread, and who has read a message.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::access::gate::Judge;
use crate::domain::chat::roster::Attendance;
use crate::engine::shard::port::{Asked, Inbox, ToShard, home};
use crate::ids::{RoomId, Topic, UserId};
use crate::protocol::v0::object::Presenter;
use crate::protocol::v1::answer;
use crate::protocol::v1::complaint::{self, Complaint};
use crate::protocol::v1::reply;
use crate::protocol::v1::request::{Page, Question};
use crate::store::StoreError;

/// Whatever an answer needs.
pub(super) struct Questions<'a> {
    pub judge: &'a Judge,
    pub presenter: &'a Presenter,
    pub inboxes: &'a Arc<[Arc<Inbox>]>,
}

impl Questions<'_> {
    /// The frame that answers.
    pub async fn answered(&self, asked: &Asked) -> Vec<u8> {
        let mut out = Vec::new();
        if let Err(why) = self.answer(&mut out, asked).await {
            out.clear();
            reply::error(&mut out, asked.request.as_deref(), Some(Topic::Room(asked.room)), why);
        }
        out
    }

    async fn answer(&self, out: &mut Vec<u8>, asked: &Asked) -> Result<(), Complaint> {
        let Asked { user, family, room, ref question, ref request, .. } = *asked;
        let seating = self.judge.seat(user, family, Topic::Room(room)).await?;
        let (store, id) = (&self.judge.store, request.as_deref());
        match *question {
            Question::RoomInfo => {
                let participants = store.admission(room, user).await.map_err(not_now)?.participants;
                let Attendance { count, .. } = self.attendance(room, Vec::new()).await?;
                answer::room_info(out, id, room, participants, count);
            }
            Question::Roster(Page { after, limit }) => {
                let participants = store.admission(room, user).await.map_err(not_now)?.participants;
                let found = store.roster(room, after, limit).await.map_err(not_now)?;
                let users: Vec<UserId> = found.rows.iter().map(|row| row.user.id).collect();
                let mut attendance = self.attendance(room, users.clone()).await?;
                let account = store.bearer(user, family).await.map_err(not_now)?.account;
                for (other, is_present) in users.into_iter().zip(&mut attendance.are_present) {
                    *is_present &= account.as_ref().is_none_or(|account| !account.apart.contains(other));
                }
                answer::roster(out, id, self.presenter, (room, participants), &found, &attendance);
            }
            Question::Unread => {
                let unread = store.unread(room, user).await.map_err(not_now)?.ok_or(complaint::NOT_PARTICIPANT)?;
                answer::unread(out, id, room, unread);
            }
            Question::Readers { message, page: Page { after, limit } } => {
                let found = store.readers(room, message, after, limit).await.map_err(not_now)?;
                let found = found.ok_or(complaint::NO_SUCH_MESSAGE)?;
                answer::readers(out, id, self.presenter, (room, message), &found);
            }
        }
        // What was read is not for whoever was removed meanwhile.
        let is_still = self.judge.store.rights_mark(user, Topic::Room(room)) == seating.mark;
        if is_still { Ok(()) } else { Err(complaint::ASK_AGAIN) }
    }

    async fn attendance(&self, room: RoomId, users: Vec<UserId>) -> Result<Attendance, Complaint> {
        let (answer, told) = oneshot::channel();
        let home = home(room, self.inboxes.len());
        let asked = ToShard::Attendance { room, users: users.into(), answer };
        self.inboxes[home.index()].send_async(asked).await;
        // Without an answer the shard is about to end.
        told.await.map_err(|_| complaint::UNAVAILABLE)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands where an error is turned into another")]
fn not_now(error: StoreError) -> Complaint {
    tracing::warn!(%error, "a question about a room could not be answered");
    complaint::UNAVAILABLE
}
