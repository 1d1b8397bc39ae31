//! How many cores this process may use.

pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
