//! Finds out who is to be told of an event by push: subscriptions by the store, less those whose user has a socket on any node.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Mutex, mpsc};
use tokio::time::{sleep, sleep_until};
use uuid::Uuid;

use crate::domain::push::Subscription;
use crate::fanout::push::dispatch::Delivery;
use crate::fanout::push::note::{Content, News, Note, What};
use crate::fanout::push::terms::{Terms, Ways};
use crate::fanout::push::waiting::{UnderWay, Waiting};
use crate::ids::UserId;
use crate::limits::{PUSH_NOBODY, PUSH_PAGE_ROWS};
use crate::store::StoreError;

/// Looks topics up, several at once.
pub(super) struct Seeker {
    push: Arc<Waiting>,
    ways: Arc<Ways>,
    content: Content,
    page: String,
    deliveries: mpsc::Sender<Delivery>,
    /// Until when it is believed that nobody has subscribed.
    nobody_until: Mutex<Option<Instant>>,
}

impl Seeker {
    pub fn new(push: Arc<Waiting>, ways: Arc<Ways>, terms: &Terms, deliveries: mpsc::Sender<Delivery>) -> Self {
        let page = terms.page.clone().unwrap_or_else(|| ways.page.clone());
        Self { push, ways, content: terms.content, page, deliveries, nobody_until: Mutex::default() }
    }

    /// Looks up what is due, for as long as the runtime lives.
    pub async fn run(self: Arc<Self>) {
        loop {
            let (news, under_way) = self.next().await;
            let what = match self.look_up(&news).await {
                Ok(true) => "looked_up",
                Ok(false) => "nobody",
                Err(error) => {
                    tracing::warn!(%error, "whom a push is for cannot be read");
                    "failed"
                }
            };
            metrics::counter!("pregon_push_topics_total", "what" => what).increment(1);
            drop(under_way);
        }
    }

    /// Waits for what is due next.
    async fn next(&self) -> (News, UnderWay) {
        loop {
            let due = {
                let mut pending = self.push.pending();
                let taken = pending.take(Instant::now());
                #[expect(clippy::cast_precision_loss, reason = "gauges are floating-point numbers")]
                metrics::gauge!("pregon_push_waiting", "queue" => "topics").set(pending.len() as f64);
                match taken {
                    // Counted under the lock, so that a stop sees it in one of the two places.
                    Some(news) => {
                        if !pending.is_empty() {
                            // Others look up the next one.
                            self.push.bell.notify_one();
                        }
                        return (news, self.push.begin());
                    }
                    None => pending.next_due(),
                }
            };
            match due {
                Some(due) => tokio::select! {
                    () = sleep_until(due.into()) => {}
                    () = self.push.bell.notified() => {}
                },
                None => self.push.bell.notified().await,
            }
        }
    }

    /// Hands over a push for each browser that is to be told. False if nobody has subscribed to anything.
    async fn look_up(&self, news: &News) -> Result<bool, StoreError> {
        if !self.has_any().await? {
            return Ok(false);
        }
        let store = &self.ways.store;
        match news.what {
            What::Notification { user, notification, .. } => {
                let found = store.push_of_notification(user, notification).await?;
                if !found.is_empty() {
                    let note = Arc::new(Note::new(news, None, self.content, &self.page));
                    self.tell(found, &note).await;
                }
            }
            What::Message { room, message, sender } => {
                let mut note = None;
                let mut after = (UserId(Uuid::nil()), Uuid::nil());
                loop {
                    let found = store.push_in_room((room, sender, news.at), after, PUSH_PAGE_ROWS).await?;
                    let Some(last) = found.last() else { break };
                    after = (last.user, last.id);
                    let is_last = found.len() < PUSH_PAGE_ROWS as usize;
                    let note = match &note {
                        Some(note) => note,
                        None => {
                            // A closed room, or a deleted message.
                            let Some(head) = store.room_head(room, message).await? else { break };
                            note.insert(Arc::new(Note::new(news, Some(&head), self.content, &self.page)))
                        }
                    };
                    self.tell(found, note).await;
                    if is_last {
                        break;
                    }
                }
            }
        }
        Ok(true)
    }

    /// Leaves out who has a socket, and hands over the rest. Waits while too many pushes wait.
    async fn tell(&self, mut found: Vec<Subscription>, note: &Arc<Note>) {
        let all = found.len();
        found.retain(|one| !(self.ways.is_here)(one.user));
        let away = found.len();
        metrics::counter!("pregon_push_skipped_total", "why" => "here").increment((all - away) as u64);
        if let Some(elsewhere) = self.ways.elsewhere.as_ref().filter(|_| !found.is_empty()) {
            let mut users: Vec<UserId> = found.iter().map(|one| one.user).collect();
            users.dedup();
            let there: HashSet<UserId> = elsewhere(users).await;
            found.retain(|one| !there.contains(&one.user));
            metrics::counter!("pregon_push_skipped_total", "why" => "elsewhere").increment((away - found.len()) as u64);
        }
        for subscription in found {
            let delivery = Delivery { subscription, note: note.clone(), attempts: 0, _under_way: self.push.begin() };
            if self.deliveries.send(delivery).await.is_err() {
                // The sender has panicked, and the server ends.
                sleep(PUSH_NOBODY).await;
            }
        }
    }

    /// Whether anybody has subscribed; that nobody has is believed for a moment.
    async fn has_any(&self) -> Result<bool, StoreError> {
        let mut nobody_until = self.nobody_until.lock().await;
        if nobody_until.is_some_and(|until| Instant::now() < until) {
            return Ok(false);
        }
        let has_any = self.ways.store.has_push_subscriptions().await?;
        *nobody_until = (!has_any).then(|| Instant::now() + PUSH_NOBODY);
        Ok(has_any)
    }
}
