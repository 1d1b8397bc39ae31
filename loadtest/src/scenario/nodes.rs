//! Which members of the rooms connect to which node.

use std::net::SocketAddr;

use clap::ValueEnum;

use crate::target::Seat;

/// The members that send.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum SendersOn {
    /// All on --url; the other members are spread over the receiving nodes
    First,
    /// All nodes have senders and receivers, room by room in turns
    All,
}

/// The nodes beside the first one.
#[derive(Clone, Debug, Default)]
pub struct Nodes {
    pub others: Vec<SocketAddr>,
    /// The members of each room that stay on the first node; `None`: the members take turns over all nodes.
    pub at_home: Option<usize>,
}

impl Nodes {
    /// The number of a seat's node; the first is 0.
    pub fn of(&self, seat: Seat) -> usize {
        match self.at_home {
            _ if self.others.is_empty() => 0,
            Some(at_home) if seat.member < at_home => 0,
            Some(at_home) => 1 + (seat.member - at_home) % self.others.len(),
            None => (seat.room + seat.member) % (self.others.len() + 1),
        }
    }

    /// The address of a seat's node.
    pub fn address(&self, first: SocketAddr, seat: Seat) -> SocketAddr {
        self.of(seat).checked_sub(1).map_or(first, |other| self.others[other])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes_of(nodes: &Nodes, room: usize) -> Vec<usize> {
        (0..5).map(|member| nodes.of(Seat { room, member })).collect()
    }

    #[test]
    fn senders_stay_at_home_or_all_take_turns() {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let mut nodes = Nodes { others: vec![address(2), address(3)], at_home: Some(2) };
        assert_eq!(nodes_of(&nodes, 0), [0, 0, 1, 2, 1]);
        assert_eq!(nodes.address(address(1), Seat { room: 0, member: 0 }), address(1));
        assert_eq!(nodes.address(address(1), Seat { room: 0, member: 3 }), address(3));
        nodes.at_home = None;
        assert_eq!((nodes_of(&nodes, 0), nodes_of(&nodes, 1)), (vec![0, 1, 2, 0, 1], vec![1, 2, 0, 1, 2]));
        assert_eq!(nodes_of(&Nodes::default(), 1), [0; 5]);
    }
}
