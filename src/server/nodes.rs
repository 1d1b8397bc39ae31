//! Looks for other servers on the same MySQL database. Without Redis they cannot tell each other what happens, and a second
//! server is reported in the log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rustix::process::{Pid, test_kill_process};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::limits::NODE_BEAT;
use crate::store::mysql::{MysqlStore, Node, SeenNode};
use crate::telemetry::alarm;

/// What this server tells the others about itself, and what it knows of them.
pub(super) struct Nodes {
    store: Arc<MysqlStore>,
    me: Node,
    others: Others,
    /// Nodes tell each other what happens, by Redis.
    is_joined: bool,
    /// The last attempt failed. Only a change writes a line of the log.
    is_failing: bool,
}

/// The task that writes this server's row at intervals, until it is stopped.
pub(super) struct Beats {
    store: Arc<MysqlStore>,
    me: Node,
    task: JoinHandle<()>,
}

impl Nodes {
    /// Writes this server's row for the first time, and warns of other servers that run.
    pub(super) async fn enter(store: Arc<MysqlStore>, name: &str, is_joined: bool) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let me = Node {
            id: Uuid::now_v7(),
            name: name.to_owned(),
            host: host.trim().chars().take(64).collect(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let mut nodes = Self { store, me, others: Others::default(), is_joined, is_failing: false };
        nodes.beat().await;
        nodes
    }

    /// Goes on writing the row.
    pub(super) fn start(mut self, control: &Handle) -> Beats {
        let (store, me) = (self.store.clone(), self.me.clone());
        let beats = async move {
            let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + NODE_BEAT, NODE_BEAT);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                self.beat().await;
            }
        };
        Beats { store, me, task: control.spawn(alarm::watched("the look at other servers", beats)) }
    }

    async fn beat(&mut self) {
        match self.store.beat(&self.me).await {
            Ok(seen) => {
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!("other servers on this database are seen again");
                }
                let change = self.others.look(&self.me, &seen, is_running);
                for other in &change.came {
                    if self.is_joined {
                        tracing::info!(%other, "another node serves this database");
                        continue;
                    }
                    tracing::warn!(
                        %other,
                        "another pregon serves this database: clients of one hear nothing live of what clients of the other \
                         do. Set PREGON_REDIS_URL on both, to the same Redis, or stop one of the two"
                    );
                }
                for other in &change.went {
                    tracing::info!(%other, "another server on this database has gone");
                }
                set_seen(1 + self.others.running.len());
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(
                        %error,
                        "pregon_nodes cannot be read and written: another server on this database would not be noticed. Run \
                         pregon migrate, and give the user all rights on the tables named pregon_…"
                    );
                }
                set_seen(0);
            }
        }
    }
}

impl Beats {
    /// Ends the task and removes this server's row.
    pub(super) async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
        if let Err(error) = self.store.leave(&self.me).await {
            tracing::debug!(%error, "this server's row stays in pregon_nodes");
        }
    }
}

fn set_seen(count: usize) {
    metrics::gauge!("pregon_nodes_seen").set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
}

fn is_running(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // A process of another user may not be signalled, but it exists.
    pid.is_some_and(|pid| test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

/// The other servers, as far as they are known to run.
#[derive(Default)]
struct Others {
    /// For each, the time of its last beat when its row was first looked at.
    first: BTreeMap<Uuid, Timestamp>,
    running: BTreeMap<Uuid, String>,
}

#[derive(Default, PartialEq, Eq, Debug)]
struct Change {
    came: Vec<String>,
    went: Vec<String>,
}

impl Others {
    /// Returns what has changed. The row of a server that was killed looks fresh for some seconds. So a row of this
    /// machine counts only while its process exists, or once its time has moved on; a row of another machine counts at
    /// once.
    fn look(&mut self, me: &Node, seen: &[SeenNode], is_running: impl Fn(u32) -> bool) -> Change {
        let mut change = Change::default();
        let mut there = BTreeSet::new();
        for other in seen {
            let id = other.node.id;
            let first = *self.first.entry(id).or_insert(other.seen);
            // Two containers may have the same host name and the same process id.
            let is_killed = || other.node.host == me.host && (other.node.pid == me.pid || !is_running(other.node.pid));
            if other.seen > first || !is_killed() {
                there.insert(id);
                self.running.entry(id).or_insert_with(|| {
                    change.came.push(other.to_string());
                    other.to_string()
                });
            }
        }
        self.first.retain(|id, _| seen.iter().any(|other| other.node.id == *id));
        self.running.retain(|id, name| {
            let is_there = there.contains(id);
            if !is_there {
                change.went.push(std::mem::take(name));
            }
            is_there
        });
        change
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(host: &str, pid: u32) -> Node {
        Node { id: Uuid::now_v7(), name: "n".into(), host: host.into(), pid, version: "1".into() }
    }

    #[test]
    fn a_server_that_was_killed_is_no_other_and_one_that_goes_on_is() {
        let me = node("here", 7);
        let seen = |node: &Node, at| SeenNode { node: node.clone(), started: Timestamp(0), seen: Timestamp(at) };
        let [killed, alive, far, twin] = [node("here", 1), node("here", 2), node("there", 1), node("here", 7)];
        let mut others = Others::default();
        let is_running = |pid| pid == 2;
        let mut look = |seen: &[SeenNode]| {
            let change = others.look(&me, seen, is_running);
            (change.came.len(), change.went.len())
        };
        let all = [&killed, &alive, &far, &twin];
        assert_eq!(
            look(&all.map(|node| seen(node, 5))),
            (2, 0),
            "a living process of this machine, and another machine's"
        );
        assert_eq!(look(&all.map(|node| seen(node, 5))), (0, 0), "each is told once");
        assert_eq!(
            look(&[seen(&killed, 5), seen(&alive, 6), seen(&far, 6), seen(&twin, 6)]),
            (1, 0),
            "the twin's row moves on"
        );
        assert_eq!(look(&[seen(&alive, 6)]), (0, 2));
        assert_eq!(look(&[]), (0, 1));
    }
}
