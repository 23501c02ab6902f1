//! One copy of each string, however many workloads have it.
use crate::{
    locality::Locality,
    member::{Member, Services},
    name::ObjectName,
};
use std::{collections::HashSet, sync::Arc};

/// Remembers what it has seen as long as somebody else uses it.
#[derive(Debug, Default)]
pub(super) struct Interner {
    strings: HashSet<Arc<str>>,
    services: HashSet<Services>,
    /// How much there may be before it looks for what nobody uses.
    enough: usize,
}

impl Interner {
    /// Makes `member` share its parts with the members before it.
    pub(super) fn share(&mut self, member: &mut Member) {
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
            waypoint: _,
            network_gateway: _,
            app_tunnel: _,
            node,
            cluster,
            locality: Locality { region, zone, subzone },
            canonical_name,
            canonical_revision,
            owner,
            owner_kind: _,
            services,
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
            region,
            zone,
            subzone,
            canonical_name,
            canonical_revision,
            owner,
            identity.uri_mut(),
        ];
        for text in often {
            *text = self.string(text);
        }
        for ObjectName { namespace, name } in policies {
            *namespace = self.string(namespace);
            *name = self.string(name);
        }
        *services = match self.services.get(services) {
            Some(same) => same.clone(),
            None => {
                self.services.insert(services.clone());
                services.clone()
            }
        };
        self.sweep();
    }

    fn string(&mut self, text: &Arc<str>) -> Arc<str> {
        if let Some(same) = self.strings.get(text) {
            return Arc::clone(same);
        }
        self.strings.insert(Arc::clone(text));
        Arc::clone(text)
    }

    /// Forgets what nobody else has, now and then: each time there is twice as much as was in use.
    fn sweep(&mut self) {
        if self.strings.len() + self.services.len() < self.enough.max(1024) {
            return;
        }
        self.services.retain(Services::is_shared);
        self.strings.retain(|text| Arc::strong_count(text) > 1);
        self.enough = 2 * (self.strings.len() + self.services.len());
    }
}
