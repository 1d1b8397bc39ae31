//! Counts the operators' connections of each address, so that no address takes all turns.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limits::OPERATOR_CONNECTIONS_OF_ADDRESS_MAX;

/// Who is connected. There are no more addresses than connections.
#[derive(Debug, Default)]
pub(super) struct Crowd(Mutex<BTreeMap<IpAddr, usize>>);

/// A connection, which counts until this is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    crowd: Arc<Crowd>,
    address: IpAddr,
}

impl Crowd {
    /// One more of this address, if it has not too many.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Counted> {
        let mut counts = self.lock();
        let count = counts.get(&address).copied().unwrap_or(0);
        (count < OPERATOR_CONNECTIONS_OF_ADDRESS_MAX).then(|| {
            counts.insert(address, count + 1);
            Counted { crowd: Arc::clone(self), address }
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.crowd.lock();
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_few_and_others_have_theirs() {
        let crowd = Arc::<Crowd>::default();
        let [one, other] = ["10.0.0.1", "10.0.0.2"].map(|address| address.parse::<IpAddr>().unwrap());
        let mut counted: Vec<_> = (0..OPERATOR_CONNECTIONS_OF_ADDRESS_MAX).map(|_| crowd.admit(one).unwrap()).collect();
        assert!(crowd.admit(one).is_none() && crowd.admit(other).is_some());
        counted.pop();
        assert!(crowd.admit(one).is_some());
        counted.clear();
        assert!(crowd.lock().is_empty(), "nothing is kept");
    }
}
