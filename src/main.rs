//! pregon.
fn main() {}
