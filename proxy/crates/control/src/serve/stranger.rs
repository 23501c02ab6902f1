//! Connections of strangers: few of each address, and not for long.
//!
//! A stranger becomes a caller with the first call that is admitted. Until then it may take a
//! descriptor and some memory, so there is a bound to how many of them there are, to how many come
//! from one address, and to how long they may take: whoever says nothing, or a byte now and then,
//! harms nobody else.
use parking_lot::Mutex;
use std::{collections::HashMap, net::IpAddr, sync::Arc};

/// How many strangers there may be, and of one address.
const USUAL: (usize, usize) = (4096, 1024);

/// Counts strangers.
#[derive(Clone, Debug)]
pub(crate) struct Strangers(Arc<Mutex<Counts>>);

#[derive(Debug)]
struct Counts {
    /// How many there may be, and of one address.
    most: (usize, usize),
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One of them; counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Stranger {
    strangers: Strangers,
    address: IpAddr,
}

impl Default for Strangers {
    fn default() -> Self {
        Self::at_most(USUAL)
    }
}

impl Strangers {
    /// So many, and so many of one address.
    pub(crate) fn at_most(most: (usize, usize)) -> Self {
        let by_address = HashMap::new();
        Self(Arc::new(Mutex::new(Counts { most, all: 0, by_address })))
    }

    /// `None` when there are too many.
    pub(crate) fn enter(&self, address: IpAddr) -> Option<Stranger> {
        let mut counts = self.0.lock();
        let of_one = counts.by_address.get(&address).copied().unwrap_or(0);
        if counts.all >= counts.most.0 || of_one >= counts.most.1 {
            return None;
        }
        counts.all += 1;
        counts.by_address.insert(address, of_one + 1);
        Some(Stranger { strangers: self.clone(), address })
    }
}

impl Stranger {
    pub(super) fn address(&self) -> IpAddr {
        self.address
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut counts = self.strangers.0.lock();
        counts.all = counts.all.saturating_sub(1);
        if let Some(of_one) = counts.by_address.get_mut(&self.address) {
            *of_one = of_one.saturating_sub(1);
            if *of_one == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_of_one_address_leave_room_for_others() {
        let strangers = Strangers::default();
        let [one, two] = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse().unwrap());
        let all: Vec<_> = (0..USUAL.1).map(|_| strangers.enter(one).unwrap()).collect();
        assert!(strangers.enter(one).is_none());
        drop(strangers.enter(two).unwrap());
        drop(all);
        assert!(strangers.enter(one).is_some());
        assert!(strangers.0.lock().by_address.is_empty());
    }
}
