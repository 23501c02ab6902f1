//! One copy of what many workloads and services have in common.
//!
//! A node knows thousands of them; what comes off the wire has copies of everything.
use crate::{
    locality::Locality,
    member::{Member, Services},
    name::{ObjectName, ServiceName},
    network::{Gateway, NetworkRange},
    service::Service,
};
use std::{collections::HashSet, hash::Hash, sync::Arc};

/// Remembers what it has seen as long as somebody else uses it.
#[derive(Debug, Default)]
pub struct Sharing {
    strings: HashSet<Arc<str>>,
    services: HashSet<Services>,
    policies: HashSet<Arc<[ObjectName]>>,
    gateways: HashSet<Arc<Gateway>>,
    localities: HashSet<Arc<Locality>>,
    /// How much there may be before it looks for what nobody uses.
    enough: usize,
}

impl Sharing {
    /// Makes `service` share its parts with what came before it.
    pub fn service(&mut self, service: &mut Service) {
        let Service { host, name, vips, .. } = service;
        self.host(host);
        *name = shared(&mut self.strings, name);
        for NetworkRange { network, range: _ } in vips {
            *network = shared(&mut self.strings, network);
        }
        self.sweep();
    }

    /// Makes `member` share its parts with what came before it.
    pub fn member(&mut self, member: &mut Member) {
        let Member {
            uid: _,
            name: ObjectName { namespace, name: _ },
            identity,
            addresses: _,
            hostname,
            network,
            network_mode: _,
            tunnel: _,
            native_tunnel: _,
            waypoint,
            network_gateway,
            app_tunnel: _,
            node,
            cluster,
            locality,
            canonical_name,
            canonical_revision,
            owner,
            owner_kind: _,
            services,
            l7: _,
            policies,
            health: _,
            capacity: _,
        } = member;
        let often = [
            namespace,
            hostname,
            network,
            node,
            cluster,
            canonical_name,
            canonical_revision,
            owner,
            identity.uri_mut(),
        ];
        for text in often {
            *text = shared(&mut self.strings, text);
        }
        for gateway in waypoint.iter_mut().chain(network_gateway) {
            *gateway = shared(&mut self.gateways, gateway);
        }
        *policies = shared(&mut self.policies, policies);
        *locality = shared(&mut self.localities, locality);
        *services = match self.services.get(services) {
            Some(same) => same.clone(),
            None => {
                let own = services.iter().map(|(name, ports)| (name.clone(), Arc::clone(ports)));
                let mut own: Vec<_> = own.collect();
                own.iter_mut().for_each(|(name, _)| self.host(name));
                let own: Services = own.into_iter().collect();
                self.services.insert(own.clone());
                own
            }
        };
        self.sweep();
    }

    fn host(&mut self, name: &mut ServiceName) {
        let ServiceName { namespace, hostname } = name;
        *namespace = shared(&mut self.strings, namespace);
        *hostname = shared(&mut self.strings, hostname);
    }

    /// Forgets what nobody else has, now and then: each time there is twice as much as was in use.
    fn sweep(&mut self) {
        if self.len() < self.enough.max(1024) {
            return;
        }
        self.services.retain(Services::is_shared);
        self.policies.retain(|policies| Arc::strong_count(policies) > 1);
        self.gateways.retain(|gateway| Arc::strong_count(gateway) > 1);
        self.localities.retain(|locality| Arc::strong_count(locality) > 1);
        self.strings.retain(|text| Arc::strong_count(text) > 1);
        self.enough = 2 * self.len();
    }

    fn len(&self) -> usize {
        let shared = self.services.len() + self.policies.len();
        self.strings.len() + shared + self.gateways.len() + self.localities.len()
    }
}

/// The one of `all` that equals `value`, which is put there if there is none.
fn shared<T: Eq + Hash + Clone>(all: &mut HashSet<T>, value: &T) -> T {
    if let Some(same) = all.get(value) {
        return same.clone();
    }
    all.insert(value.clone());
    value.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{identity::Identity, name::WorkloadUid, service::Port};

    fn member(at: usize) -> Member {
        let name = ObjectName::new("shop", format!("cart-{at}"));
        let host = ServiceName::new("shop", "cart.example.com");
        Member {
            node: format!("node-{}", at % 2).into(),
            services: [(host, Vec::<Port>::new())].into_iter().collect(),
            policies: [ObjectName::new("root", "strict")].into(),
            ..Member::new(
                WorkloadUid::pod("c", &name),
                name,
                Identity::try_new("td", "shop", "cart").unwrap(),
            )
        }
    }

    #[test]
    fn equal_parts_are_one_and_say_the_same() {
        let mut sharing = Sharing::default();
        let [mut first, mut second] = [member(0), member(2)];
        sharing.member(&mut first);
        sharing.member(&mut second);
        assert_eq!((&first, &second), (&member(0), &member(2)));
        assert!(Arc::ptr_eq(&first.node, &second.node));
        assert!(Arc::ptr_eq(&first.policies, &second.policies));
        let mut service = Service::new(ServiceName::new("shop", "cart.example.com"), "cart");
        sharing.service(&mut service);
        let (host, _) = first.services.iter().next().unwrap();
        assert!(Arc::ptr_eq(&host.hostname, &service.host.hostname));
        assert!(Arc::ptr_eq(&first.name.namespace, &service.host.namespace));
    }

    #[test]
    fn forgets_what_nobody_uses() {
        let mut sharing = Sharing::default();
        for at in 0..100_000 {
            let mut one = member(at);
            one.node = at.to_string().into();
            sharing.member(&mut one);
        }
        assert!(sharing.len() < 3000, "{}", sharing.len());
    }
}
