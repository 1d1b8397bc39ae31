//! The composition of a mixed load: kinds of actions and their shares.

use std::fmt::{Display, Formatter};
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use serde::{Serialize, Serializer};

/// Something a member does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Message,
    Reply,
    Typing,
    Read,
    React,
    Edit,
    Delete,
}

pub const ACTS: [Act; 7] = [Act::Message, Act::Reply, Act::Typing, Act::Read, Act::React, Act::Edit, Act::Delete];

impl Act {
    pub fn name(self) -> &'static str {
        match self {
            Self::Message => "messages",
            Self::Reply => "replies",
            Self::Typing => "typing",
            Self::Read => "reads",
            Self::React => "reactions",
            Self::Edit => "edits",
            Self::Delete => "deletes",
        }
    }
}

/// The shares of all actions; their sum does not matter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mix {
    shares: [f64; ACTS.len()],
}

impl Mix {
    pub const MESSAGES: Self = Self { shares: [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0] };

    pub fn is_messages_only(&self) -> bool {
        self.shares[1..].iter().all(|share| *share == 0.0)
    }

    /// The action at `point` (0 to 1) of all shares laid side by side.
    pub fn at(&self, point: f64) -> Act {
        let mut left = point * self.shares.iter().sum::<f64>();
        for (act, share) in ACTS.into_iter().zip(self.shares) {
            if left < share {
                return act;
            }
            left -= share;
        }
        Act::Message
    }
}

/// Two typing frames per message (begin, stop); each message is read by one or two members who did not have the room
/// open; a reaction to every fourth or fifth; one in fifteen edited, one in forty deleted.
impl Default for Mix {
    fn default() -> Self {
        Self { shares: [20.0, 3.0, 40.0, 30.0, 5.0, 1.5, 0.5] }
    }
}

impl FromStr for Mix {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut shares = [0.0; ACTS.len()];
        for part in text.split(',') {
            let wrong = || format!("{part}: must be KIND=SHARE, as in {}", Self::default());
            let (name, share) = part.split_once('=').with_context(wrong)?;
            let Some(at) = ACTS.iter().position(|act| act.name() == name.trim()) else { bail!(wrong()) };
            shares[at] = share.trim().parse().with_context(wrong)?;
            ensure!((0.0..1e9).contains(&shares[at]), wrong());
        }
        ensure!(shares[0] > 0.0, "a mix needs messages, because all other actions refer to them");
        Ok(Self { shares })
    }
}

impl Display for Mix {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let shares = ACTS.into_iter().zip(self.shares).filter(|(_, share)| *share > 0.0);
        for (number, (act, share)) in shares.enumerate() {
            let comma = if number > 0 { "," } else { "" };
            write!(out, "{comma}{}={share}", act.name())?;
        }
        Ok(())
    }
}

impl Serialize for Mix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_is_read_as_it_is_written() {
        let mix = Mix::default();
        assert_eq!(mix.to_string().parse::<Mix>().expect("a mix"), mix);
        assert!("messages=100".parse::<Mix>().expect("a mix").is_messages_only());
        for wrong in ["", "messages", "typing=5", "messages=0", "messages=1,nope=2", "messages=-1", "messages=NaN"] {
            assert!(wrong.parse::<Mix>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn acts_come_in_their_shares() {
        let mix: Mix = "messages=1,typing=2,deletes=1".parse().expect("a mix");
        let acts = [0.0, 0.24, 0.26, 0.74, 0.76, 0.999].map(|point| mix.at(point));
        assert_eq!(acts, [Act::Message, Act::Message, Act::Typing, Act::Typing, Act::Delete, Act::Delete]);
    }
}
