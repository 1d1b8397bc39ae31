//! A queue whose clients take turns: a client with many requests delays its own, not those of others.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The line is full, and no client in it has more requests than the newcomer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// A few turns at the same time, and a bounded queue for them.
pub struct Line<K: Hash + Eq + Clone> {
    state: Arc<Mutex<State<K>>>,
    waiting_max: usize,
}

impl<K: Hash + Eq + Clone> fmt::Debug for Line<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Line")
    }
}

impl<K: Hash + Eq + Clone> Clone for Line<K> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state), waiting_max: self.waiting_max }
    }
}

struct State<K: Hash + Eq + Clone> {
    free: usize,
    waiting: HashMap<K, VecDeque<oneshot::Sender<Turn<K>>>>,
    /// Each waiting client once; the front one is next.
    order: VecDeque<K>,
}

/// A turn. Dropping it ends it.
pub struct Turn<K: Hash + Eq + Clone>(Option<Arc<Mutex<State<K>>>>);

impl<K: Hash + Eq + Clone> Line<K> {
    /// A line with `at_a_time` turns and `waiting_max` places.
    pub fn new(at_a_time: usize, waiting_max: usize) -> Self {
        let state = State { free: at_a_time, waiting: HashMap::new(), order: VecDeque::new() };
        Self { state: Arc::new(Mutex::new(state)), waiting_max }
    }

    /// Waits for this client's turn.
    ///
    /// # Errors
    /// The line is full, or a client with fewer requests took this place.
    pub async fn turn(&self, client: K) -> Result<Turn<K>, Full> {
        let (sender, turn) = oneshot::channel();
        {
            let mut state = lock(&self.state);
            if state.free > 0 {
                state.free -= 1;
                return Ok(Turn(Some(Arc::clone(&self.state))));
            }
            state.make_room(&client, self.waiting_max)?;
            let own = state.waiting.entry(client.clone()).or_default();
            own.push_back(sender);
            if own.len() == 1 {
                state.order.push_back(client);
            }
        }
        turn.await.map_err(|_| Full)
    }

    /// How many requests wait.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        lock(&self.state).waiting.values().map(VecDeque::len).sum()
    }
}

impl<K: Hash + Eq + Clone> State<K> {
    /// Makes room for one more request of this client. First it drops requests that were given up, then the last
    /// request of the client that has the most.
    fn make_room(&mut self, client: &K, waiting_max: usize) -> Result<(), Full> {
        let count = |state: &Self| state.waiting.values().map(VecDeque::len).sum::<usize>();
        if count(self) < waiting_max {
            return Ok(());
        }
        self.waiting.retain(|_, waiting| {
            waiting.retain(|sender| !sender.is_closed());
            !waiting.is_empty()
        });
        let waiting = &self.waiting;
        self.order.retain(|client| waiting.contains_key(client));
        if count(self) < waiting_max {
            return Ok(());
        }
        let own = self.waiting.get(client).map_or(0, VecDeque::len);
        let most = self.waiting.values_mut().max_by_key(|waiting| waiting.len());
        match most {
            // The client has another request left, so it stays in the order.
            Some(most) if most.len() > own + 1 => drop(most.pop_back()),
            _ => return Err(Full),
        }
        Ok(())
    }

    /// Takes the next request. If its client has more, the client goes to the end of the order.
    fn next(&mut self) -> Option<oneshot::Sender<Turn<K>>> {
        let client = self.order.pop_front()?;
        let waiting = self.waiting.get_mut(&client)?;
        let next = waiting.pop_front();
        if waiting.is_empty() {
            self.waiting.remove(&client);
        } else {
            self.order.push_back(client);
        }
        next
    }
}

impl<K: Hash + Eq + Clone> Drop for Turn<K> {
    fn drop(&mut self) {
        let Some(line) = self.0.take() else { return };
        let mut state = lock(&line);
        while let Some(next) = state.next() {
            match next.send(Turn(Some(Arc::clone(&line)))) {
                Ok(()) => return,
                // The waiter is gone. The returned turn must not be dropped as one, or it would pass itself on while
                // the lock is held.
                Err(mut back) => back.0 = None,
            }
        }
        state.free += 1;
    }
}

fn lock<K: Hash + Eq + Clone>(state: &Mutex<State<K>>) -> MutexGuard<'_, State<K>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;

    use super::*;

    type Waits = std::pin::Pin<Box<dyn Future<Output = Result<Turn<u8>, Full>>>>;

    fn wait(line: &Line<u8>, client: u8) -> Waits {
        let line = line.clone();
        let mut turn: Waits = Box::pin(async move { line.turn(client).await });
        assert!(turn.as_mut().now_or_never().is_none(), "no turn yet");
        turn
    }

    /// The result of the first request of the crowd that no longer waits.
    fn served(crowd: &mut Vec<Waits>) -> Option<Result<Turn<u8>, Full>> {
        let (place, outcome) =
            crowd.iter_mut().enumerate().find_map(|(place, one)| Some((place, one.now_or_never()?)))?;
        drop(crowd.remove(place));
        Some(outcome)
    }

    #[tokio::test]
    async fn a_newcomer_waits_for_one_turn_of_each_not_for_all_of_them() {
        let line = Line::new(1, 96);
        let first = line.turn(0).await.unwrap();
        let mut crowd: Vec<Waits> = (0..96).map(|number| wait(&line, number % 12)).collect();
        let mut newcomer = wait(&line, 99);
        assert_eq!(line.waiting(), 96, "the last of one of the crowd went");
        assert!(matches!(served(&mut crowd), Some(Err(Full))), "one of the crowd has no place any more");
        assert!(served(&mut crowd).is_none());
        drop(first);
        let mut turns = 0;
        while newcomer.as_mut().now_or_never().is_none() {
            drop(served(&mut crowd).unwrap().unwrap());
            turns += 1;
            assert!(turns <= 12, "one turn of each");
        }
    }

    #[tokio::test]
    async fn who_gives_up_holds_nothing() {
        let line = Line::new(2, 3);
        let held = [line.turn(1).await.unwrap(), line.turn(1).await.unwrap()];
        let mut waiting: Vec<Waits> = (0..3).map(|_| wait(&line, 1)).collect();
        let refused = pin!(line.turn(1)).now_or_never();
        assert!(matches!(refused, Some(Err(Full))), "nobody asks for more than oneself");
        drop(waiting.remove(1));
        waiting.push(wait(&line, 1));
        assert_eq!(line.waiting(), 3);
        // One waiter got a turn but gave up before it noticed.
        drop(held);
        drop(waiting.remove(0));
        let turns: Vec<_> = waiting.iter_mut().map(|one| one.as_mut().now_or_never().unwrap().unwrap()).collect();
        assert_eq!((line.waiting(), lock(&line.state).free), (0, 0));
        drop(turns);
        assert_eq!(lock(&line.state).free, 2);
        assert!(lock(&line.state).order.is_empty());
    }
}
