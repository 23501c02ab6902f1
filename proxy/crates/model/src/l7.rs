//! Which connections must pass L7, as L4's own configuration says it.
//!
//! It is never guessed from what an HTTP engine knows: who asks for L7 and does not get it is
//! refused.
use std::num::NonZeroU16;

/// Ports whose connections must pass L7: of a service, those that its clients dial; of a workload,
/// those that its application listens to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct L7Ports(Box<[NonZeroU16]>);

impl L7Ports {
    pub fn contains(&self, port: u16) -> bool {
        self.0.binary_search_by_key(&port, |one| one.get()).is_ok()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In their order.
    pub fn iter(&self) -> impl Iterator<Item = NonZeroU16> {
        self.0.iter().copied()
    }
}

impl FromIterator<NonZeroU16> for L7Ports {
    fn from_iter<I: IntoIterator<Item = NonZeroU16>>(ports: I) -> Self {
        let mut ports: Vec<_> = ports.into_iter().collect();
        ports.sort_unstable();
        ports.dedup();
        Self(ports.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_found_however_they_were_said() {
        let ports: L7Ports = [443, 80, 443].into_iter().filter_map(NonZeroU16::new).collect();
        assert!(ports.contains(80) && ports.contains(443) && !ports.contains(8080));
        assert_eq!(ports.iter().map(NonZeroU16::get).collect::<Vec<_>>(), [80, 443]);
        assert!(L7Ports::default().is_empty() && !L7Ports::default().contains(0));
    }
}
