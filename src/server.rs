//! The composition root. A stand-in with the agreed signature until the engine's own lands.

use crate::config::Settings;

/// Serves until told to stop.
///
/// # Errors
/// Always, for now.
#[expect(clippy::needless_pass_by_value, reason = "the agreed signature")]
pub fn run(settings: Settings) -> anyhow::Result<()> {
    anyhow::bail!("the server has not landed yet (it would listen on {:?})", settings.listen)
}
