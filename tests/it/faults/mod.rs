//! What must not happen, made to happen: a server on SQLite lives on, or starts again, and has lost nothing.

mod disk;
mod kill;
mod lock;
mod reactions;
mod removed;
