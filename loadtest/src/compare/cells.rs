//! The loads under which servers are compared.

use serde::Serialize;

use crate::oracle::Layout;
use crate::pacing::{Pacing, Release};
use crate::scenario::Plan;
use crate::target::Kind;

/// One load: the rooms, and when the next message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cell {
    pub name: &'static str,
    pub rooms: usize,
    pub members: usize,
    pub pacing: Pacing,
    /// Small enough for servers that need half a millisecond per delivery.
    pub is_small: bool,
}

/// The window of a room's only sender.
const fn window(window: u32, release: Release) -> Pacing {
    Pacing::Each { window, release }
}

const fn together(release: Release) -> Pacing {
    Pacing::Together { window: 64, release }
}

const fn rate(per_second: f64) -> Pacing {
    Pacing::Rate { per_second }
}

const fn cell(name: &'static str, rooms: usize, members: usize, pacing: Pacing) -> Cell {
    Cell { name, rooms, members, pacing, is_small: false }
}

const fn small(name: &'static str, rooms: usize, members: usize, pacing: Pacing) -> Cell {
    Cell { name, rooms, members, pacing, is_small: true }
}

/// All cells. Those with the same rooms are adjacent, because they share their servers.
pub const CELLS: &[Cell] = &[
    cell("w1", 1, 1000, window(1, Release::Sender)),
    cell("w1-all", 1, 1000, window(1, Release::All)),
    cell("w16", 1, 1000, window(16, Release::Sender)),
    cell("w16-all", 1, 1000, window(16, Release::All)),
    // 50,000 deliveries a second.
    cell("open", 1, 1000, rate(50.0)),
    // A million deliveries a second: a server has to send several messages at once.
    cell("open-fast", 1, 1000, rate(1000.0)),
    cell("rooms", 1000, 10, together(Release::Sender)),
    cell("rooms-all", 1000, 10, together(Release::All)),
    // 50,000 deliveries a second.
    cell("rooms-open", 1000, 10, rate(5000.0)),
    cell("room-10000", 1, 10_000, window(1, Release::All)),
    small("room-100-sender", 1, 100, window(1, Release::Sender)),
    small("room-100", 1, 100, window(1, Release::All)),
    // 1,000 deliveries a second.
    small("room-100-open", 1, 100, rate(10.0)),
    small("rooms-200", 200, 10, together(Release::All)),
];

/// Measured if no others are named.
pub const DEFAULT: &[&str] = &["w1", "w1-all", "w16", "w16-all", "open"];

impl Cell {
    pub fn layout(&self) -> Layout {
        Layout { rooms: self.rooms, members: self.members, senders: 1 }
    }

    pub fn has_same_rooms(&self, other: &Self) -> bool {
        (self.rooms, self.members) == (other.rooms, other.members)
    }

    /// The cell's plan, without durations.
    pub fn plan(&self, bytes: usize) -> Plan {
        Plan {
            scenario: self.name,
            kind: Kind::Ephemeral,
            layout: self.layout(),
            pacing: self.pacing,
            bytes,
            ..Plan::default()
        }
    }

    /// A description for people.
    pub fn title(&self) -> String {
        let rooms = match self.rooms {
            1 => format!("1 room of {}", self.members),
            rooms => format!("{rooms} rooms of {}", self.members),
        };
        let next = |release| match release {
            Release::Sender => "the next when its sender has its own copy",
            Release::All => "the next when everybody has it",
        };
        match self.pacing {
            Pacing::Each { window: 1, release } => format!("{rooms}, one message under way, {}", next(release)),
            Pacing::Each { window, release } | Pacing::Together { window, release } => {
                format!("{rooms}, {window} messages under way, {}", next(release))
            }
            Pacing::Rate { per_second } => {
                let deliveries = per_second * self.members as f64;
                format!("{rooms}, open loop: {per_second} messages/s, {deliveries} deliveries/s")
            }
        }
    }
}

/// The named cells in the order of `CELLS`; all of them for `all`. The error names the unknown one.
pub fn chosen(names: &[String]) -> Result<Vec<Cell>, String> {
    if let Some(wrong) = names.iter().find(|name| *name != "all" && CELLS.iter().all(|cell| cell.name != **name)) {
        let known: Vec<&str> = CELLS.iter().map(|cell| cell.name).collect();
        return Err(format!("no cell is called {wrong}; there are: all {}", known.join(" ")));
    }
    let is_wanted = |cell: &&Cell| {
        if names.is_empty() {
            return DEFAULT.contains(&cell.name);
        }
        names.iter().any(|name| name == "all" || name == cell.name)
    };
    Ok(CELLS.iter().filter(is_wanted).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_choose_cells() {
        let names = |cells: &[Cell]| cells.iter().map(|cell| cell.name).collect::<Vec<_>>();
        assert_eq!(names(&chosen(&[]).expect("the default")), DEFAULT);
        assert_eq!(names(&chosen(&["open".into(), "w1".into()]).expect("two")), ["w1", "open"]);
        assert_eq!(chosen(&["all".into()]).expect("all").len(), CELLS.len());
        assert!(chosen(&["w2".into()]).is_err_and(|why| why.contains("w2") && why.contains("w16-all")));
    }

    #[test]
    fn names_are_unique_and_equal_rooms_stand_together() {
        for (at, cell) in CELLS.iter().enumerate() {
            assert!(CELLS[..at].iter().all(|other| other.name != cell.name), "{}", cell.name);
        }
        let groups = CELLS.chunk_by(Cell::has_same_rooms).map(|group| group[0].layout());
        let groups: Vec<_> = groups.map(|layout| (layout.rooms, layout.members)).collect();
        let mut unique = groups.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(groups.len(), unique.len(), "{groups:?}");
    }
}
