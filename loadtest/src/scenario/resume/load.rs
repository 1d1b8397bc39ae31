//! The clients: members who send and stay, and members who lose their node and come back to another.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;

use super::ledger::Ledger;
use crate::client::{Ending, Entrance, Handler, Links};
use crate::delivery::Reader;
use crate::digest::{digest, excerpt};
use crate::frames::{Frame, Stencil};
use crate::meter::{Ns, Refused, histogram};
use crate::oracle::Layout;
use crate::pacing::Schedule;
use crate::scenario::connect;
use crate::tag::Tag;
use crate::target::{Kind, Seat, Target};
use crate::v1::names::Names;
use crate::v1::read::{self, Ack, Heard, Message};
use crate::v1::{self, Protocol};

/// Connections that are opened between two looks at the sockets.
const OPENS_PER_TURN: usize = 64;
/// The first wait of a client whose attempt failed; it doubles up to [`WAIT_MAX`].
const WAIT_FIRST: Duration = Duration::from_millis(200);
const WAIT_MAX: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Live,
    Waiting,
    /// Holds the time of its attempt.
    Connecting(u64),
}

struct Client {
    phase: Phase,
    tries: u32,
    /// The node that it is on, or comes to.
    node: usize,
    /// It was on the node that was lost, and is not live again.
    is_lost: bool,
}

struct Sender {
    stencil: Stencil,
    next: u32,
}

/// What is there from the beginning.
pub struct Setting<'a> {
    pub target: &'a Target,
    pub layout: Layout,
    /// The node that will be lost, and those that stay.
    pub nodes: &'a [SocketAddr],
    /// Members of each room who are on nodes that stay; the first of them sends.
    pub stay: usize,
    pub bytes: usize,
    /// Clients come back within this time, each at a moment of its own.
    pub spread: Duration,
}

pub struct Resume<'a> {
    setting: Setting<'a>,
    clients: Vec<Client>,
    senders: Vec<Sender>,
    reader: Reader,
    names: Names,
    pub ledger: Ledger,
    schedule: Option<Schedule>,
    turn: usize,
    refused_tags: HashSet<Tag>,
    scratch: Vec<u8>,
    random: fastrand::Rng,
    /// The time and client of each next attempt.
    due: BinaryHeap<Reverse<(u64, usize)>>,
    /// When the node was lost.
    pub lost_at: Option<u64>,
    /// Clients that were on it.
    pub lost: usize,
    /// Those of them that are live again, or were.
    pub back: usize,
    pub attempts: u64,
    now: u64,
    pub back_ns: Ns,
    pub handshake_ns: Ns,
    pub refused: Refused,
    pub failed: BTreeMap<String, u64>,
    pub checked: u64,
    pub resumed: u64,
    /// Clients that were not let into their topic, or lost it.
    left_out: Vec<usize>,
}

impl<'a> Resume<'a> {
    pub fn new(setting: Setting<'a>) -> Result<Self> {
        let layout = setting.layout;
        let (mut messages, mut senders) = (Vec::new(), Vec::new());
        for room in 0..layout.rooms {
            let message = setting.target.message(Kind::Durable, Seat { room, member: 0 }, setting.bytes)?;
            senders.push(Sender { stencil: Stencil::new(&message.sent, &message.sent_holes), next: 0 });
            messages.push(message);
        }
        let client =
            |link| Client { phase: Phase::Connecting(0), tries: 0, node: setting.first_node(link), is_lost: false };
        Ok(Self {
            clients: (0..layout.receivers()).map(client).collect(),
            senders,
            reader: Reader::new(Kind::Durable, Protocol::V1, messages),
            names: Names::new(layout.receivers()),
            ledger: Ledger::new(layout),
            schedule: None,
            turn: 0,
            refused_tags: HashSet::new(),
            scratch: Vec::new(),
            random: fastrand::Rng::with_seed(1),
            due: BinaryHeap::new(),
            lost_at: None,
            lost: 0,
            back: 0,
            attempts: 0,
            now: 0,
            back_ns: histogram()?,
            handshake_ns: histogram()?,
            refused: Refused::default(),
            failed: BTreeMap::new(),
            checked: 0,
            resumed: 0,
            left_out: Vec::new(),
            setting,
        })
    }

    /// All come in for the first time, a bounded number at a time.
    pub fn come(&mut self, links: &mut Links, under_way_max: usize) -> Result<bool> {
        let total = self.clients.len();
        let mut opened = 0;
        let deadline = |links: &Links| links.now() + 20_000_000_000;
        let (mut live, mut until) = (0, deadline(links));
        while self.live() < total {
            if crate::interrupt::is_asked() || links.now() > until {
                return Ok(false);
            }
            while opened < total && opened - self.live() < under_way_max {
                let server = self.setting.nodes[self.clients[opened].node];
                links.open(server, connect::source(server, opened), self.entrance(opened))?;
                opened += 1;
            }
            self.act(links)?;
            links.turn(Duration::from_millis(50), self)?;
            if self.live() > live {
                (live, until) = (self.live(), deadline(links));
            }
        }
        Ok(true)
    }

    pub fn live(&self) -> usize {
        self.clients.iter().filter(|client| client.phase == Phase::Live).count()
    }

    pub fn start(&mut self, now: u64, per_second: f64) {
        self.schedule = Some(Schedule::new(now, per_second));
    }

    pub fn stop(&mut self) {
        self.schedule = None;
    }

    /// The node is lost now; `drop`: the clients lose their connections by themselves.
    pub fn lose(&mut self, links: &mut Links, drop: bool) {
        self.now = links.now();
        self.lost_at = Some(self.now);
        self.clients.iter_mut().for_each(|client| client.is_lost = client.node == 0);
        self.lost = self.clients.iter().filter(|client| client.is_lost).count();
        for link in 0..self.clients.len() {
            if drop && self.clients[link].node == 0 {
                links.drop_link(link);
                self.left(link);
            }
        }
    }

    /// A client lost its node, and comes back to another after a moment.
    fn left(&mut self, link: usize) {
        let spread = self.setting.spread.as_nanos() as u64;
        let wait = self.random.u64(0..=spread);
        let node = self.setting.other_node(link);
        let client = &mut self.clients[link];
        (client.phase, client.node) = (Phase::Waiting, node);
        self.due.push(Reverse((self.now + wait, link)));
    }

    fn try_again(&mut self, link: usize) {
        let other = self.setting.other_node(link);
        let client = &mut self.clients[link];
        client.phase = Phase::Waiting;
        // It was not live when the node was lost.
        if client.is_lost && client.node == 0 {
            client.node = other;
        }
        let wait = WAIT_FIRST.saturating_mul(1 << client.tries.min(8)).min(WAIT_MAX);
        client.tries += 1;
        let wait = wait.as_nanos() as u64;
        self.due.push(Reverse((self.now + wait / 2 + self.random.u64(0..=wait / 2), link)));
    }

    /// Opens what is due, and sends what is due.
    pub fn act(&mut self, links: &mut Links) -> Result<()> {
        for _ in 0..OPENS_PER_TURN {
            self.now = links.now();
            let Some(&Reverse((due, link))) = self.due.peek() else { break };
            if due > self.now {
                break;
            }
            self.due.pop();
            self.attempts += 1;
            self.clients[link].phase = Phase::Connecting(self.now);
            let server = self.setting.nodes[self.clients[link].node];
            links.reopen(link, server, connect::source(server, link), self.entrance(link))?;
        }
        self.send_due(links);
        Ok(())
    }

    /// The time until something is due.
    pub fn patience(&self, now: u64) -> Duration {
        let come = self.due.peek().map(|Reverse((due, _))| *due);
        let send = self.schedule.as_ref().map(Schedule::due);
        let due = come.into_iter().chain(send).min().unwrap_or(u64::MAX);
        Duration::from_nanos(due.saturating_sub(now)).min(Duration::from_millis(50))
    }

    fn send_due(&mut self, links: &mut Links) {
        let now = links.now();
        while self.schedule.as_mut().and_then(|plan| plan.take(now)).is_some() {
            let number = self.turn;
            self.turn = (self.turn + 1) % self.senders.len();
            let sender = &mut self.senders[number];
            let tag = Tag { sender: number as u32, seq: sender.next };
            sender.next += 1;
            self.scratch.clear();
            sender.stencil.put(&tag.encode(), &mut self.scratch);
            links.send(number * self.setting.layout.members, &self.scratch);
        }
    }

    /// Whether everybody has everything.
    pub fn is_complete(&self) -> bool {
        (0..self.clients.len()).all(|client| self.ledger.is_complete(client))
    }

    /// The final judgement.
    pub fn finish(&mut self) {
        let sent: Vec<u32> = self.senders.iter().map(|sender| sender.next).collect();
        self.ledger.finish(&sent, &self.refused_tags);
    }

    pub fn sent(&self) -> u64 {
        self.senders.iter().map(|sender| u64::from(sender.next)).sum()
    }

    fn entrance(&self, link: usize) -> Entrance {
        let members = self.setting.layout.members;
        let seat = Seat { room: link / members, member: link % members };
        let Target::Pregon(fixture, _) = self.setting.target else { return Entrance::default() };
        let token = &fixture.user(seat.room, seat.member).token;
        v1::entrance(token, [(self.setting.target.topic(seat).as_str(), self.ledger.place(link))])
    }

    fn subscribed(&mut self, link: usize, cursor: v1::Cursor, is_resumed: bool, now: u64) {
        self.ledger.let_in(link, cursor, is_resumed);
        let client = &mut self.clients[link];
        let Phase::Connecting(since) = client.phase else { return };
        (client.phase, client.tries) = (Phase::Live, 0);
        // Others come again, too, and some come twice.
        if let Some(lost_at) = self.lost_at.filter(|_| std::mem::take(&mut client.is_lost)) {
            self.back += 1;
            self.resumed += u64::from(is_resumed);
            self.back_ns.saturating_record(now.saturating_sub(lost_at).max(1));
            self.handshake_ns.saturating_record(now.saturating_sub(since).max(1));
        }
    }

    fn message(&mut self, link: usize, text: &[u8], message: &Message<'_>) {
        self.checked += 1;
        let tag = self.reader.message_of_v1(message).filter(|tag| tag.seq < self.senders[tag.sender as usize].next);
        let Some(tag) = tag else {
            return self.ledger.damaged(link, &format!("not what was sent: {}", excerpt(text)));
        };
        let user = self.names.user(self.clients[link].node, message.user);
        if user != Some(digest(self.reader.sender(tag.sender).as_bytes())) {
            self.ledger.damaged(link, &format!("{tag} names another sender, or one who was never named"));
        }
        self.ledger.hear(link, message.cursor, tag, digest(message.id));
    }

    fn acked(&mut self, link: usize, ack: &Ack<'_>) {
        match (Tag::named(&ack.id), ack.cursor, ack.message) {
            (Some(tag), Some(at), Some(id)) if !ack.is_repeated => self.ledger.acked(link, at, tag, id),
            _ => self.ledger.damaged(link, &format!("an ack that fits nothing that was sent: {ack:?}")),
        }
    }
}

impl Setting<'_> {
    /// The number of the node to which a client comes first: 0 is the one that will be lost.
    fn first_node(&self, link: usize) -> usize {
        let (room, member) = (link / self.layout.members, link % self.layout.members);
        if member < self.stay { 1 + (room + member) % (self.nodes.len() - 1) } else { 0 }
    }

    /// The node to which a client comes that has lost the first.
    fn other_node(&self, link: usize) -> usize {
        1 + link % (self.nodes.len() - 1)
    }
}

impl Handler for Resume<'_> {
    fn frame(&mut self, link: usize, frame: Frame<'_>, now: u64) {
        self.now = now;
        match read::heard(frame.payload) {
            Heard::Message(message) => self.message(link, frame.payload, &message),
            Heard::Subscribed { cursor: Some(cursor), resumed, .. } => self.subscribed(link, cursor, resumed, now),
            Heard::Gap { cursor: Some(cursor), .. } => self.ledger.gap(link, cursor),
            Heard::Ack(ack) => self.acked(link, &ack),
            Heard::Users(users) => {
                if let Err(fault) = self.names.learn(self.clients[link].node, &users) {
                    self.ledger.damaged(link, &fault);
                }
            }
            Heard::Error { id, text } => {
                self.refused.count(&text);
                match id.and_then(|id| Tag::named(&id)) {
                    Some(tag) => drop(self.refused_tags.insert(tag)),
                    // It was not let in: it asks again on a new socket, as a client does that was told "later".
                    None => self.left_out.push(link),
                }
            }
            Heard::Unsubscribed { text, .. } => {
                self.refused.count(&text);
                self.left_out.push(link);
            }
            Heard::Broken(what) => self.ledger.damaged(link, &what),
            Heard::Subscribed { cursor: None, .. } | Heard::Gap { cursor: None, .. } => {
                self.ledger.damaged(link, "a room without a place");
            }
            Heard::Change { .. } | Heard::Passing { .. } | Heard::Other => {}
        }
    }

    fn closed(&mut self, link: usize, ending: &Ending) {
        match self.clients[link].phase {
            Phase::Waiting => return,
            Phase::Live if self.clients[link].node == 0 && self.lost_at.is_some() => return self.left(link),
            Phase::Live => self.ledger.disconnected(link, &ending.text),
            Phase::Connecting(_) if ending.is_limit() => self.refused.count(&ending.text),
            Phase::Connecting(_) => *self.failed.entry(ending.text.clone()).or_default() += 1,
        }
        self.try_again(link);
    }

    fn after_read(&mut self, links: &mut Links) {
        for link in std::mem::take(&mut self.left_out) {
            links.drop_link(link);
            self.try_again(link);
        }
        self.send_due(links);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::test_fixture;

    #[test]
    fn who_was_lost_counts_as_back_once_and_nobody_else_does() {
        let target = Target::Pregon(test_fixture(), Protocol::V1);
        let nodes = [SocketAddr::from(([127, 0, 0, 1], 1)), SocketAddr::from(([127, 0, 0, 1], 2))];
        let layout = Layout { rooms: 1, members: 2, senders: 1 };
        let spread = Duration::ZERO;
        let setting = Setting { target: &target, layout, nodes: &nodes, stay: 1, bytes: 250, spread };
        let (mut resume, mut links) = (Resume::new(setting).expect("a scenario"), Links::new().expect("sockets"));
        let (steady, lost) = (0, 1);
        for link in [steady, lost] {
            resume.subscribed(link, v1::Cursor(1), false, 1);
        }
        resume.lose(&mut links, false);
        assert_eq!((resume.lost, resume.back), (1, 0));
        let mut comes_again = |link: usize| {
            resume.closed(link, &Ending::told("it ended".to_owned()));
            assert_eq!(resume.clients[link].node, 1);
            resume.clients[link].phase = Phase::Connecting(2);
            resume.subscribed(link, v1::Cursor(1), true, 3);
            (resume.back, resume.resumed)
        };
        assert_eq!(comes_again(steady), (0, 0), "it was on another node");
        assert_eq!(comes_again(lost), (1, 1));
        assert_eq!(comes_again(lost), (1, 1), "a second time");
    }
}
