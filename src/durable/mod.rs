//! What is asked to be kept, and what was: the two ends of every write lane.

pub mod event;
pub mod write;
