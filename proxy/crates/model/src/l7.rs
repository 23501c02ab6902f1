//! Which connections must pass L7, as L4's own configuration says it.
//!
//! It is never guessed from what an HTTP engine knows: who asks for L7 and does not get it is
//! refused.
use crate::name::ObjectName;
use std::{num::NonZeroU16, sync::Arc};

/// Ports whose connections must pass L7: of a service, those that its clients dial; of a workload,
/// those that its application listens to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct L7Ports {
    ports: Box<[NonZeroU16]>,
    /// Of few.
    more: Option<Box<More>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct More {
    /// Sorted; empty: all.
    clients: Box<[Arc<str>]>,
    /// Sorted.
    policies: Box<[ObjectName]>,
}

impl L7Ports {
    pub fn contains(&self, port: u16) -> bool {
        self.ports.binary_search_by_key(&port, |one| one.get()).is_ok()
    }

    pub fn is_empty(&self) -> bool {
        self.ports.is_empty()
    }

    /// In their order.
    pub fn iter(&self) -> impl Iterator<Item = NonZeroU16> {
        self.ports.iter().copied()
    }

    /// Whether connections of clients in a namespace are meant.
    pub fn is_for(&self, namespace: &str) -> bool {
        let clients = self.clients();
        clients.is_empty() || clients.binary_search_by(|one| (**one).cmp(namespace)).is_ok()
    }

    /// The namespaces of the clients that are meant; none: everybody.
    pub fn clients(&self) -> &[Arc<str>] {
        self.more.as_ref().map_or(&[], |more| &more.clients)
    }

    /// The policies that are decided there, with all that L7 sees: whoever sees less leaves them
    /// to it.
    pub fn policies(&self) -> &[ObjectName] {
        self.more.as_ref().map_or(&[], |more| &more.policies)
    }

    /// Only of clients in these namespaces; none: of everybody.
    #[must_use]
    pub fn only_for(self, namespaces: impl IntoIterator<Item = Arc<str>>) -> Self {
        let mut clients: Vec<_> = namespaces.into_iter().collect();
        clients.sort_unstable();
        clients.dedup();
        self.with(|more| more.clients = clients.into())
    }

    /// Where these policies are decided.
    #[must_use]
    pub fn deciding(self, policies: impl IntoIterator<Item = ObjectName>) -> Self {
        let mut policies: Vec<_> = policies.into_iter().collect();
        policies.sort_unstable();
        policies.dedup();
        self.with(|more| more.policies = policies.into())
    }

    /// Without ports there is nothing more to say.
    fn with(mut self, change: impl FnOnce(&mut More)) -> Self {
        let mut more = self.more.take().unwrap_or_default();
        change(&mut more);
        let says = !self.is_empty() && *more != More::default();
        self.more = says.then_some(more);
        self
    }
}

impl FromIterator<NonZeroU16> for L7Ports {
    fn from_iter<I: IntoIterator<Item = NonZeroU16>>(ports: I) -> Self {
        let mut ports: Vec<_> = ports.into_iter().collect();
        ports.sort_unstable();
        ports.dedup();
        Self { ports: ports.into(), more: None }
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

    #[test]
    fn who_names_nobody_means_everybody() {
        let ports: L7Ports = [80].into_iter().filter_map(NonZeroU16::new).collect();
        assert!(ports.is_for("shop") && ports.is_for("bank"));
        let some = ports.clone().only_for(["shop".into(), "edge".into(), "shop".into()]);
        assert!(some.is_for("shop") && some.is_for("edge") && !some.is_for("bank"));
        assert_eq!(some.only_for([]), ports);
        assert_eq!(L7Ports::default().only_for(["shop".into()]), L7Ports::default());
    }
}
