//! What a check is, and how a file names its own.

use std::pin::Pin;

use anyhow::Result;

use super::world::World;

/// One check: what it is called, and what it does.
pub type Check = (&'static str, Run);
pub type Run = for<'a> fn(&'a World) -> Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// Names the checks of a file.
macro_rules! checks {
    ($($title:literal => $name:ident;)*) => {
        /// The checks of this file.
        pub const CHECKS: &[super::check::Check] = &[$(($title, |world| Box::pin($name(world)))),*];
    };
}
pub(super) use checks;
