//! Opens many connections, a bounded number at a time, until each is admitted.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, bail};
use indicatif::ProgressBar;

use super::nodes::Nodes;
use crate::client::{Ending, Entrance, Handler, Links};
use crate::digest::excerpt;
use crate::frames::Frame;
use crate::interrupt;
use crate::target::{Seat, Target};

/// After this time without an admission the server counts as hanging.
const STALL_NS: u64 = 20_000_000_000;

/// Connections per source address; between two addresses there are about 28,000 ports.
const PER_SOURCE: usize = 500;

pub struct Wanted {
    pub server: SocketAddr,
    /// The nodes beside it.
    pub nodes: Nodes,
    pub members: usize,
    /// The last room may be incomplete.
    pub total: usize,
    pub under_way_max: usize,
    /// The topics that each link hears beside its room, in `pregon.v1`: as many for each, or none at all.
    pub further: Vec<Vec<String>>,
}

impl Wanted {
    fn seat(&self, link: usize) -> Seat {
        Seat { room: link / self.members, member: link % self.members }
    }

    fn address(&self, seat: Seat) -> SocketAddr {
        self.nodes.address(self.server, seat)
    }
}

/// Counts admissions; ignores all other frames.
struct Door<'a> {
    /// The greeting of each link; `None`: the 101 admits it.
    greeting: &'a dyn Fn(usize) -> Option<&'static [u8]>,
    /// Greetings that each link still needs.
    missing: Vec<u16>,
    greetings: u16,
    count: usize,
    failure: Option<String>,
}

impl Door<'_> {
    fn admit(&mut self, link: usize) {
        if let Some(left) = self.missing[link].checked_sub(1) {
            self.missing[link] = left;
            self.count += usize::from(left == 0);
        }
    }

    fn is_in(&self, link: usize) -> bool {
        self.missing[link] == 0
    }
}

impl Handler for Door<'_> {
    fn opened(&mut self, link: usize) {
        if (self.greeting)(link).is_none() {
            self.admit(link);
        }
    }

    fn frame(&mut self, link: usize, frame: Frame<'_>, _now: u64) {
        let Some(greeting) = (self.greeting)(link) else {
            return;
        };
        if frame.payload.starts_with(greeting) {
            self.admit(link);
        } else if !self.is_in(link) && is_refusal(frame.payload) {
            let text = excerpt(frame.payload);
            self.failure.get_or_insert(format!("connection {link} was refused: {text}"));
        }
    }

    fn closed(&mut self, link: usize, ending: &Ending) {
        let limit = if ending.is_limit() { " (a limit of the server)" } else { "" };
        self.failure.get_or_insert_with(|| format!("connection {link} failed: {ending}{limit}"));
    }
}

/// An error, or the end of a subscription.
pub fn is_refusal(text: &[u8]) -> bool {
    text.starts_with(b"{\"type\":\"error\"") || text.starts_with(b"{\"type\":\"unsubscribed\"")
}

/// Connects room by room; the number of a link is `room * members + member`. Any failure ends it. `look` is often
/// called with the time and the number of admitted connections.
pub fn connect(
    links: &mut Links,
    target: &Target,
    wanted: &Wanted,
    bar: &ProgressBar,
    look: &mut dyn FnMut(u64, usize) -> Result<()>,
) -> Result<()> {
    let Wanted { total, under_way_max, .. } = *wanted;
    let place = |link| {
        let seat = wanted.seat(link);
        let further = wanted.further.get(link).map_or(&[][..], Vec::as_slice);
        (wanted.address(seat), target.entrance_to(seat, further))
    };
    let greetings = 1 + wanted.further.first().map_or(0, Vec::len);
    let places = Places { total, under_way_max, place: &place, greeting: &|_| target.greeting(), greetings };
    connect_watched(links, &places, bar, look)
}

/// The addresses of links 0 to `total`, and the greeting that admits each.
pub struct Places<'a> {
    pub total: usize,
    pub under_way_max: usize,
    pub place: &'a dyn Fn(usize) -> (SocketAddr, Entrance),
    pub greeting: &'a dyn Fn(usize) -> Option<&'static [u8]>,
    /// How many greetings admit a link.
    pub greetings: usize,
}

/// Connects all, a bounded number at a time. Any failure ends it.
pub fn connect_to(links: &mut Links, places: &Places<'_>, bar: &ProgressBar) -> Result<()> {
    connect_watched(links, places, bar, &mut |_, _| Ok(()))
}

fn connect_watched(
    links: &mut Links,
    places: &Places<'_>,
    bar: &ProgressBar,
    look: &mut dyn FnMut(u64, usize) -> Result<()>,
) -> Result<()> {
    let total = places.total;
    let greetings = u16::try_from(places.greetings)?;
    let missing = Vec::with_capacity(total);
    let mut door = Door { greeting: places.greeting, missing, greetings, count: 0, failure: None };
    bar.set_length(total as u64);
    let mut last = (0, links.now());
    while door.count < total {
        interrupt::check("connecting")?;
        let next = door.missing.len();
        if next < total && next - door.count < places.under_way_max {
            let (server, entrance) = (places.place)(next);
            links.open(server, source(server, next), entrance)?;
            door.missing.push(door.greetings);
            continue;
        }
        links.turn(Duration::from_millis(100), &mut door)?;
        look(links.now(), door.count)?;
        if let Some(failure) = door.failure {
            bail!("{failure} ({} of {total} were admitted)", door.count);
        }
        if door.count > last.0 {
            last = (door.count, links.now());
            bar.set_position(door.count as u64);
        } else if links.now() - last.1 > STALL_NS {
            bail!("no connection was admitted for 20 s ({} of {total})", door.count);
        }
    }
    Ok(())
}

/// Reconnects these links; the others stay.
pub fn reconnect(links: &mut Links, target: &Target, wanted: &Wanted, again: &[usize]) -> Result<()> {
    let mut missing = vec![0; wanted.total];
    for link in again {
        let seat = wanted.seat(*link);
        let server = wanted.address(seat);
        links.drop_link(*link);
        links.reopen(*link, server, source(server, *link), target.entrance(seat))?;
        missing[*link] = 1;
    }
    let mut door = Door { greeting: &|_| target.greeting(), missing, greetings: 1, count: 0, failure: None };
    let deadline = links.now() + STALL_NS;
    while door.count < again.len() {
        links.turn(Duration::from_millis(100), &mut door)?;
        if let Some(failure) = door.failure {
            bail!("{failure} ({} of {} came back)", door.count, again.len());
        }
        if links.now() > deadline {
            bail!("not admitted again within 20 s ({} of {} were)", door.count, again.len());
        }
    }
    Ok(())
}

/// On loopback the source addresses are spread over 127.0.0.0/8, so that ports do not run out.
pub fn source(server: SocketAddr, number: usize) -> Option<Ipv4Addr> {
    match server.ip() {
        IpAddr::V4(address) if address.is_loopback() => {
            let block = (number / PER_SOURCE) as u16;
            let [high, low] = block.to_be_bytes();
            Some(Ipv4Addr::new(127, 1 + high, low, 1))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_spread_on_loopback_only() {
        let local: SocketAddr = "127.0.0.1:8000".parse().expect("address");
        assert_eq!(source(local, 0), Some(Ipv4Addr::new(127, 1, 0, 1)));
        assert_eq!(source(local, 14_999), Some(Ipv4Addr::new(127, 1, 29, 1)));
        let far: SocketAddr = "10.0.0.1:8000".parse().expect("address");
        assert_eq!(source(far, 0), None);
    }
}
