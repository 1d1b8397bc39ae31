//! Reads a picture's size from its header, and refuses pictures that no browser could show.

use std::path::PathBuf;

use crate::limits::{PICTURE_PIXELS_MAX, PICTURE_SIDE_MAX};

/// The answer to a picture that no browser could show.
pub const TOO_LARGE: &str = "La imagen tiene demasiados píxeles: redúcela y vuelve a subirla.";

/// Whether a browser could show it. If the header does not tell the size, browsers decide.
pub async fn is_showable(path: PathBuf) -> bool {
    let size = tokio::task::spawn_blocking(move || imagesize::size(path).ok()).await.ok().flatten();
    size.is_none_or(|size| is_sane(size.width, size.height))
}

fn is_sane(width: usize, height: usize) -> bool {
    width.max(height) <= PICTURE_SIDE_MAX && width.saturating_mul(height) <= PICTURE_PIXELS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_telephones_take_can_be_shown() {
        for (width, height) in [(1, 1), (8_000, 6_000), (16_384, 4_000), (12_000, 9_000)] {
            assert!(is_sane(width, height), "{width} × {height}");
        }
        for (width, height) in [(30_000, 30_000), (40_000, 1), (1, 65_535), (usize::MAX, usize::MAX)] {
            assert!(!is_sane(width, height), "{width} × {height}");
        }
    }
}
