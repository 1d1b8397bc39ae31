//! Reads missing events from the log, those of many topics by one query, and gives them to their publishers.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::block_in_place;

use crate::domain::event::Committed;
use crate::fanout::publisher::{Fanout, ReadMissing};
use crate::ids::Topic;
use crate::limits::{FILL_EVENTS_MAX, FILL_TOPICS_MAX, FILLS_WAITING_MAX};
use crate::store::{Events, Missing, StoreError};

/// Where questions go.
pub(super) struct Questions(mpsc::Sender<Missing>);

/// Where they come out.
pub(super) struct Reader(mpsc::Receiver<Missing>);

pub(super) fn questions() -> (Questions, Reader) {
    let (ask, asked) = mpsc::channel(FILLS_WAITING_MAX);
    (Questions(ask), Reader(asked))
}

impl Questions {
    /// A question that finds no room is asked again by the next look at the log.
    pub fn port(&self) -> ReadMissing {
        let ask = self.0.clone();
        Box::new(move |missing| ask.try_send(missing).is_ok())
    }
}

impl Reader {
    /// Answers for as long as somebody may ask.
    pub async fn run(mut self, log: Arc<dyn Events>, fanout: Arc<Fanout>) {
        let mut asked = Vec::new();
        while self.0.recv_many(&mut asked, FILL_TOPICS_MAX).await > 0 {
            answer(std::mem::take(&mut asked), &*log, &fanout).await;
        }
    }

    /// What is asked now.
    #[cfg(test)]
    pub fn take(&mut self) -> Vec<Missing> {
        std::iter::from_fn(|| self.0.try_recv().ok()).take(FILL_TOPICS_MAX).collect()
    }
}

/// Reads what is missing and hands it over.
pub(super) async fn answer(asked: Vec<Missing>, log: &dyn Events, fanout: &Fanout) {
    let answers = match read(log, &asked).await {
        Ok(answers) => answers,
        Err(error) => {
            tracing::warn!(%error, "missing events cannot be read: trying again");
            asked.into_iter().map(|missing| (missing, None)).collect()
        }
    };
    block_in_place(|| answers.into_iter().for_each(|(missing, found)| fanout.fill(missing, found)));
}

type Answers = Vec<(Missing, Option<Vec<Arc<Committed>>>)>;

async fn read(store: &dyn Events, asked: &[Missing]) -> Result<Answers, StoreError> {
    let records = store.missing(asked.to_vec()).await?;
    // The rows come in the order of their topics' names. Behind the last row nobody has looked.
    let is_cut = records.len() >= FILL_EVENTS_MAX;
    let last = records.last().filter(|_| is_cut).map(|record| record.topic.to_string());
    let mut found: HashMap<Topic, Vec<Arc<Committed>>> = HashMap::new();
    for event in store.rebuilt(records).await? {
        found.entry(event.topic).or_default().push(event);
    }
    store.overtaken(&found.values().flatten().cloned().collect::<Vec<_>>());
    let answer = |missing: &Missing| {
        let is_read = last.as_ref().is_none_or(|last| missing.topic.to_string() <= *last);
        (*missing, is_read.then(|| found.remove(&missing.topic).unwrap_or_default()))
    };
    Ok(asked.iter().map(answer).collect())
}
