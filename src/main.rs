//! Arguments → settings → server → exit code.
fn main() {}
