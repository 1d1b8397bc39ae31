//! Our protocol: what goes over the wire, in both directions.

pub mod json;
pub mod object;
