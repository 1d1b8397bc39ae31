//! Provoked faults: a server on SQLite lives on, or restarts, and has lost nothing.

mod disk;
mod kill;
mod lock;
mod reactions;
mod removed;
