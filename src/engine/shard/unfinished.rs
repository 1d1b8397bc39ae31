//! Who begins messages and does not end them: what a shard holds of these, and who is let go when it is too much.
//!
//! A decoder takes memory for what has come of a message, up to [`SESSION_UNFINISHED_BYTES_MAX`]. Most messages come whole and
//! take none, so it is only looked at after a read that ends in the middle of one.

use super::core::{Core, Slot, Then};
use crate::limits::SESSION_UNFINISHED_BYTES_MAX;
use crate::protocol::v0::reason;
use crate::telemetry;

impl Core {
    /// After a read: one more read of one socket must not pass the shard's share. Those who hold most go first, as somebody
    /// whose message is merely on its way holds little.
    pub(super) fn bound_the_unfinished(&mut self) {
        let most = self.bounds.unfinished_bytes_max.saturating_sub(SESSION_UNFINISHED_BYTES_MAX);
        if self.unfinished_bytes <= most {
            return;
        }
        let holds = |(index, slot): (u32, &Option<Slot>)| Some((slot.as_ref()?.decoder.heap_bytes(), index));
        let mut holders: Vec<(usize, u32)> = (0..).zip(&self.slots).filter_map(holds).collect();
        holders.retain(|(bytes, _)| *bytes > 0);
        holders.sort_unstable_by(|one, other| other.cmp(one));
        // Some more than is needed now, so that the next read does not sort them all again.
        let wanted = most / 8 * 7;
        for (bytes, index) in holders {
            if self.unfinished_bytes <= wanted {
                break;
            }
            metrics::counter!("pregon_shed_total", "what" => "unfinished").increment(1);
            if self.is_open(index) {
                telemetry::session_let_go("unfinished", self.id.0);
                self.goodbye(index, reason::OVERLOAD);
            }
            if let Some(slot) = self.slots[index as usize].as_mut() {
                slot.decoder.end();
                self.unfinished_bytes -= bytes;
            }
            // Its answer would not be understood: the message's middle is gone.
            self.then(index, Then::Finish);
        }
    }
}

#[cfg(test)]
mod tests;
