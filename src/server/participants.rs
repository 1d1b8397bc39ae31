//! Finds participant rows that other programs deleted, and has the sessions of those users leave.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::shard::port::{Inbox, Kind, ShardSet, ToShard, heard};
use crate::ids::{RoomId, Topic, UserId};
use crate::limits::SWEEP_ROOMS_MAX;
use crate::store::Chats;

/// Looks at the rooms that have listeners, at intervals of `every`.
pub(super) async fn sweep(store: Arc<dyn Chats>, inboxes: Arc<[Arc<Inbox>]>, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let live = heard(&inboxes, &[Kind::Rooms]).await;
        let room = |(topic, shards)| if let Topic::Room(room) = topic { Some((room, shards)) } else { None };
        let rooms: Vec<(RoomId, ShardSet)> = live.into_iter().filter_map(room).collect();
        for rooms in rooms.chunks(SWEEP_ROOMS_MAX) {
            let ids: Vec<RoomId> = rooms.iter().map(|(room, _)| *room).collect();
            let asked_at = Instant::now();
            match store.participants(&ids).await {
                Ok(mut rows) => {
                    rows.sort_unstable();
                    rooms.iter().for_each(|room| tell(&inboxes, *room, &rows, asked_at));
                }
                Err(error) => tracing::warn!(%error, "participants could not be looked at"),
            }
        }
    }
}

fn tell(inboxes: &[Arc<Inbox>], (room, shards): (RoomId, ShardSet), rows: &[(RoomId, UserId)], asked_at: Instant) {
    let from = rows.partition_point(|(of, _)| *of < room);
    let users: Arc<[UserId]> = rows[from..].iter().take_while(|(of, _)| *of == room).map(|(_, user)| *user).collect();
    for shard in shards.iter() {
        // A full inbox has more urgent mail; the next sweep tries again.
        let _ = inboxes[shard.index()].try_send(ToShard::Participants { room, users: users.clone(), asked_at });
    }
}
