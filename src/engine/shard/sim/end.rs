//! The end of a simulation: all clients read, everything that is due comes, all clients go, and nothing is left behind.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::sockets::Reads;
use super::world::{FOLLOWS_PERMITS, World};

impl World {
    pub(super) fn finish(&mut self) {
        self.asked.lanes_are_full.store(true, Ordering::Relaxed);
        self.everybody_reads();
        self.settle();
        for shard in &self.shards {
            for shadow in shard.open() {
                let owed = shadow.is_owed(&self.truth).map(|frame| String::from_utf8_lossy(&frame.bytes).into_owned());
                assert!(owed.is_none(), "session {:?} never heard {owed:?}", shadow.key);
                assert!(!shadow.has_partial(), "session {:?} was sent a part of a frame", shadow.key);
            }
        }
        self.everybody_goes();
        self.nothing_is_left();
    }

    fn everybody_reads(&mut self) {
        for socket in self.shards.iter_mut().flat_map(|shard| shard.sockets.all.iter_mut().flatten()) {
            socket.reads = Reads::All;
        }
    }

    /// Lets everything that is under way come to rest.
    fn settle(&mut self) {
        for _ in 0..20_000 {
            while !self.lists.is_empty() {
                self.answer_list();
            }
            self.pump();
            (0..self.shards.len()).for_each(|shard| self.round(shard));
            self.everybody_reads();
            if self.is_at_rest() {
                return;
            }
        }
        panic!("it does not come to rest");
    }

    fn is_at_rest(&self) -> bool {
        self.lists.is_empty()
            && self.shards.iter().filter(|shard| !shard.is_over).all(|shard| {
                let inbox = &self.inboxes[shard.core.id.index()];
                let is_read =
                    |socket: &super::sockets::Socket| socket.input.is_empty() && socket.held == 0 && !socket.is_full;
                shard.mail.is_empty()
                    && inbox.is_empty()
                    && shard.core.walk.is_empty()
                    && shard.core.over.is_empty()
                    && shard.sockets.all.iter().flatten().all(is_read)
                    && !shard.core.feeds.has_work()
                    && shard.core.due.is_empty()
                    && shard.core.overflow.len() == 0
            })
    }

    fn everybody_goes(&mut self) {
        for shard in 0..self.shards.len() {
            for index in 0..self.shards[shard].sockets.all.len() {
                if let Some(socket) = self.shards[shard].sockets.all[index].as_mut() {
                    socket.has_ended = true;
                }
            }
        }
        // Longer than any timeout of a session, and than the grace of presence.
        for _ in 0..8 {
            self.settle();
            self.wait(Duration::from_secs(1));
        }
        self.settle();
    }

    fn nothing_is_left(&mut self) {
        for shard in &self.shards {
            let core = &shard.core;
            assert_eq!(core.live, 0, "a session is left");
            assert_eq!(core.arena.memory_bytes(), 0, "memory is held by nobody");
            assert!(core.walk.is_empty() && core.registry.is_empty() && core.feeds.is_empty());
            // A drained shard ends with its last session, even if it still had to tidy up.
            let is_tidy = core.feeds.entries() == 0 && core.recent.is_empty();
            assert!(is_tidy || shard.is_over, "authors are heard by nobody, or something is kept for no feed");
            // A real shard runs until no shard has a session, so nobody misses a message that still waits for room.
            assert!(core.overflow.len() == 0 || shard.is_over, "a message waits for no room");
        }
        let ended_early = self.shards.iter().any(|shard| shard.is_over);
        if !ended_early {
            assert!(self.shards.iter().all(|shard| shard.core.presence.is_empty()), "somebody stays present");
            assert!(self.routes.is_empty(), "shards listen for nobody");
            assert_eq!(self.permits.available_permits(), FOLLOWS_PERMITS, "a permit is lost");
        }
    }
}
