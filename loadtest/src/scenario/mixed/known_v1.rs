//! What a mixed load over `pregon.v1` knows beside what other loads know.

use super::events_v1::Numbers;
use crate::v1::names::Names;

/// The topics of the rooms, and what clients were told.
pub struct OfV1 {
    pub topics: Vec<String>,
    pub numbers: Numbers,
    pub names: Names,
}
