//! Makes snapshots: each costs what changed since the one before.
//!
//! Whatever order things arrive in, the result is the same, but for two workloads that claim one
//! address: there the one that claimed it last has it.
use super::{Bound, Called, Endpoint, Ips, Known, Mesh, Snapshot, Vips};
use crate::{
    authz::{Authorization, join::Policies},
    member::Member,
    name::{ObjectName, ServiceName, WorkloadUid},
    network::NetworkRange,
    service::Service,
    shards::Shards,
    share::Sharing,
};
use std::{
    collections::{BTreeSet, HashMap},
    mem,
    net::IpAddr,
    sync::Arc,
};

mod claims;
mod endpoints;

use claims::Claims;
use endpoints::Endpoints;

/// What is known, and what changed since the last snapshot.
#[derive(Debug, Default)]
pub struct Builder {
    mesh: Arc<Mesh>,
    sharing: Sharing,
    policies: Policies,
    known: Shards<WorkloadUid, Arc<Known>>,
    claims: Claims,
    endpoints: HashMap<ServiceName, Endpoints>,
    services: Shards<ServiceName, Arc<Bound>>,
    hosts: Shards<Arc<str>, Arc<[ServiceName]>>,
    /// By network.
    vips: HashMap<Arc<str>, Vips>,
    closed: Vec<NetworkRange>,
    changes: Changes,
}

#[derive(Debug, Default)]
struct Changes {
    /// In the order in which they were told; `None`: it is gone.
    members: Vec<(WorkloadUid, Option<Arc<Member>>)>,
    policies: Vec<(ObjectName, Option<Arc<Authorization>>)>,
    /// Services of which the endpoints changed.
    bound: BTreeSet<ServiceName>,
}

impl Builder {
    pub fn new(mesh: Mesh) -> Self {
        Self { mesh: Arc::new(mesh), ..Self::default() }
    }

    pub fn set_mesh(&mut self, mesh: Mesh) {
        self.mesh = Arc::new(mesh);
    }

    /// Adds a member, or replaces the one of its uid.
    ///
    /// One that nobody else holds is made to [share](crate::share) with the others.
    pub fn set_member(&mut self, mut member: Arc<Member>) {
        if let Some(member) = Arc::get_mut(&mut member) {
            self.sharing.member(member);
        }
        self.changes.members.push((member.uid.clone(), Some(member)));
    }

    pub fn remove_member(&mut self, uid: &WorkloadUid) {
        self.changes.members.push((uid.clone(), None));
    }

    /// Adds a policy, or replaces the one of its name.
    pub fn set_policy(&mut self, policy: Arc<Authorization>) {
        self.changes.policies.push((policy.name.clone(), Some(policy)));
    }

    pub fn remove_policy(&mut self, name: &ObjectName) {
        self.changes.policies.push((name.clone(), None));
    }

    /// Adds a service, or replaces the one of its name.
    pub fn set_service(&mut self, service: Arc<Service>) {
        let name = service.host.clone();
        let before = self.services.get(&name).map(|bound| Arc::clone(&bound.service));
        if before.as_ref().is_none_or(|before| before.vips != service.vips) {
            if let Some(before) = &before {
                self.unindex(before);
            }
            self.index(&service);
        }
        let endpoints = self.endpoints.get(&name).map(Endpoints::all).unwrap_or_default();
        self.services.insert(name, Arc::new(Bound::new(service, endpoints)));
    }

    pub fn remove_service(&mut self, name: &ServiceName) {
        if let Some(before) = self.services.remove(name) {
            self.unindex(&before.service);
        }
    }

    /// Says at which addresses something is of which nothing is understood, all of them each time:
    /// nobody is led there as to a stranger.
    pub fn set_closed(&mut self, ranges: impl IntoIterator<Item = NetworkRange>) {
        self.closed = ranges.into_iter().collect();
    }

    /// Everything told so far, as a whole.
    pub fn build(&mut self) -> Snapshot {
        self.apply_policies();
        for (uid, member) in mem::take(&mut self.changes.members) {
            match member {
                Some(member) => self.learn(member),
                None => self.forget(&uid),
            }
        }
        for name in mem::take(&mut self.changes.bound) {
            self.bind(&name);
        }
        self.policies.sweep();
        let ips = self.claims.winners();
        let closed = self.closed.iter().filter(|range| range.network == self.mesh.network);
        Snapshot {
            mesh: Arc::clone(&self.mesh),
            known: self.known.clone(),
            own_ips: ips.get(&self.mesh.network).cloned().unwrap_or_default(),
            ips,
            services: self.services.clone(),
            hosts: self.hosts.clone(),
            vips: self.vips.get(&self.mesh.network).cloned().unwrap_or_default(),
            closed: closed.map(|range| range.range).collect(),
        }
    }

    fn apply_policies(&mut self) {
        let changes = mem::take(&mut self.changes.policies);
        if changes.is_empty() {
            return;
        }
        let mut scopes = Vec::new();
        for (name, policy) in changes {
            scopes.extend(self.policies.apply(&name, policy.as_ref()));
        }
        let concerned = |known: &&Arc<Known>| {
            let member = &known.member;
            scopes.iter().any(|spoken| spoken.concerns(&member.name.namespace, &member.policies))
        };
        let concerned: Vec<_> = self.known.values().filter(concerned).cloned().collect();
        for before in concerned {
            let member = Arc::clone(&before.member);
            let namespace = &member.name.namespace;
            let authz = self.policies.join_beside(namespace, &member.policies, &member.l7);
            let workload = Called::after(&before.workload, &member);
            self.replace(&Arc::new(Known { member, workload, authz }));
        }
    }

    fn learn(&mut self, member: Arc<Member>) {
        let before = self.known.get(&member.uid).map(Arc::clone);
        if before.as_ref().is_some_and(|before| before.member == member) {
            return;
        }
        let namespace = &member.name.namespace;
        let authz = self.policies.join_beside(namespace, &member.policies, &member.l7);
        let workload = match &before {
            Some(before) => Called::after(&before.workload, &member),
            None => Called::new(Arc::clone(&member)),
        };
        if let Some(before) = &before {
            let gone =
                before.member.network_ips().filter(|ip| !has_ip(&member, ip.ip, &ip.network));
            for ip in gone {
                self.claims.release(&ip, &member.uid, &self.known);
            }
            for (name, _) in before.member.services.iter() {
                if !member.services.contains(name) {
                    self.set_endpoint(name, &member.uid, None);
                }
            }
        }
        self.replace(&Arc::new(Known { member, workload, authz }));
    }

    fn forget(&mut self, uid: &WorkloadUid) {
        let Some(before) = self.known.remove(uid) else { return };
        for ip in before.member.network_ips() {
            self.claims.release(&ip, uid, &self.known);
        }
        for (name, _) in before.member.services.iter() {
            self.set_endpoint(name, uid, None);
        }
    }

    /// Puts `known` wherever its member says.
    fn replace(&mut self, known: &Arc<Known>) {
        self.known.insert(known.member.uid.clone(), Arc::clone(known));
        for ip in known.member.network_ips() {
            self.claims.claim(&ip, known, &self.known);
        }
        for (name, ports) in known.member.services.iter() {
            let endpoint = Endpoint { known: Arc::clone(known), ports: Arc::clone(ports) };
            self.set_endpoint(name, &known.member.uid, Some(endpoint));
        }
    }

    fn set_endpoint(&mut self, name: &ServiceName, uid: &WorkloadUid, endpoint: Option<Endpoint>) {
        if !self.endpoints.contains_key(name) {
            self.endpoints.insert(name.clone(), Endpoints::default());
        }
        if let Some(endpoints) = self.endpoints.get_mut(name) {
            endpoints.set(uid.clone(), endpoint);
        }
        if !self.changes.bound.contains(name) {
            self.changes.bound.insert(name.clone());
        }
    }

    /// Brings the endpoints of a service up to date, known or not.
    fn bind(&mut self, name: &ServiceName) {
        let endpoints = match self.endpoints.get_mut(name) {
            Some(endpoints) => endpoints.apply(),
            None => Arc::default(),
        };
        if endpoints.is_empty() {
            self.endpoints.remove(name);
        }
        if let Some(bound) = self.services.get(name)
            && !Arc::ptr_eq(&bound.endpoints, &endpoints)
        {
            let service = Arc::clone(&bound.service);
            self.services.insert(name.clone(), Arc::new(Bound::new(service, endpoints)));
        }
    }

    fn index(&mut self, service: &Service) {
        let host = lower(&service.host.hostname);
        let before = self.hosts.get(&host).map_or(&[][..], |names| names);
        let names: BTreeSet<_> = before.iter().chain([&service.host]).cloned().collect();
        self.hosts.insert(host, names.into_iter().collect());
        for vip in &service.vips {
            let vips = self.vips.entry(Arc::clone(&vip.network)).or_default();
            vips.insert(vip.range, &service.host);
        }
    }

    fn unindex(&mut self, service: &Service) {
        let host = lower(&service.host.hostname);
        let before = self.hosts.get(&host).map_or(&[][..], |names| names);
        let names: Arc<[ServiceName]> =
            before.iter().filter(|name| **name != service.host).cloned().collect();
        if names.is_empty() {
            self.hosts.remove(&host);
        } else {
            self.hosts.insert(host, names);
        }
        for vip in &service.vips {
            if let Some(vips) = self.vips.get_mut(&vip.network) {
                vips.remove(vip.range, &service.host);
            }
        }
    }
}

fn has_ip(member: &Member, ip: IpAddr, network: &str) -> bool {
    member.network_ips().any(|own| own.ip == ip && *own.network == *network)
}

fn lower(host: &Arc<str>) -> Arc<str> {
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        host.to_ascii_lowercase().into()
    } else {
        Arc::clone(host)
    }
}
