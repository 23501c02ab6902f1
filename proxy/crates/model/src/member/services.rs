//! What a workload is an endpoint of.
use crate::{name::ServiceName, service::Port};
use std::sync::Arc;

/// Services, and where a workload has their ports; in the order of their names.
///
/// The pods of one Deployment can share one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Services(Arc<[(ServiceName, Arc<[Port]>)]>);

impl Services {
    pub fn get(&self, name: &ServiceName) -> Option<&Arc<[Port]>> {
        let at = self.0.binary_search_by(|(one, _)| one.cmp(name)).ok()?;
        Some(&self.0[at].1)
    }

    pub fn contains(&self, name: &ServiceName) -> bool {
        self.get(name).is_some()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&ServiceName, &Arc<[Port]>)> {
        self.0.iter().map(|(name, ports)| (name, ports))
    }

    /// Whether somebody else has a clone.
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Of two with one name the last counts.
impl<P: Into<Arc<[Port]>>> FromIterator<(ServiceName, P)> for Services {
    fn from_iter<I: IntoIterator<Item = (ServiceName, P)>>(services: I) -> Self {
        let mut all: Vec<(ServiceName, Arc<[Port]>)> =
            services.into_iter().map(|(name, ports)| (name, ports.into())).collect();
        // Stable, so that the last of one name comes first.
        all.reverse();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all.dedup_by(|(a, _), (b, _)| a == b);
        Self(all.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_with_one_name_the_last_counts() {
        let name = |host: &str| ServiceName::new("shop", host);
        let port = |number| Port {
            port: std::num::NonZeroU16::new(number).unwrap(),
            target: None,
            protocol: crate::service::AppProtocol::Tcp,
        };
        let all = [(name("b"), vec![port(1)]), (name("a"), vec![]), (name("b"), vec![port(2)])];
        let services: Services = all.into_iter().collect();
        assert_eq!(services.len(), 2);
        assert_eq!(services.get(&name("b")).map(|ports| ports[0].port.get()), Some(2));
        assert_eq!(services.iter().map(|(name, _)| &*name.hostname).collect::<String>(), "ab");
        assert!(!services.contains(&name("c")));
    }
}
