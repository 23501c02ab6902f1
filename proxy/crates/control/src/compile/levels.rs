//! The levels of a compile: services, policies, workloads.
use super::{
    enrolment,
    incremental::{Changes, Compiler},
    local, member,
    mesh::{Expected, Wanted},
    peer,
    policies::Changed,
    service,
    store::{Key, Kind},
    told::Level,
    touched::Touched,
    workload,
};
use crate::{
    object::pod::{Phase, Pod},
    problem::Problem,
};
use culvert_model::{
    name::{ObjectName, WorkloadUid},
    pod::LocalPod,
    workload::{Enrolment, Workload},
};
use std::{collections::BTreeMap, sync::Arc};

impl Compiler {
    /// Services.
    pub(super) fn offer(&mut self, touched: &mut Touched, changes: &mut Changes) {
        touched.offers(&self.store);
        let mut drafts = BTreeMap::new();
        let mut told = Vec::new();
        let (config, l7) = (Arc::clone(&self.mesh().config), self.settings.l7);
        for name in &touched.services {
            let namespace = self.store.namespace(&name.namespace).map(AsRef::as_ref);
            let found = self.store.services.get(name);
            let offered = found.map(|found| service::of_service(found, namespace, &config, l7));
            let (drafted, notes) = offered.unwrap_or_default();
            let key = (Kind::Service, name.clone());
            told.push((key.clone(), notes));
            drafts.insert(key, drafted);
        }
        for name in &touched.service_entries {
            let namespace = self.store.namespace(&name.namespace).map(AsRef::as_ref);
            let found = self.store.service_entries.get(name);
            let offered = found.map(|found| service::of_entry(found, namespace, &config, l7));
            let (drafted, notes) = offered.unwrap_or_default();
            let key = (Kind::ServiceEntry, name.clone());
            told.push((key.clone(), notes));
            drafts.insert(key, drafted);
        }
        for (key, notes) in told {
            let notes = named(&key, notes);
            self.tell(Level::Service, key, notes);
        }
        let keys: Vec<Key> = drafts.keys().cloned().collect();
        let changed = self.registry.change(drafts);
        self.looked.services.extend(changed.offered.keys().cloned());
        for (kind, name) in keys {
            let drafts = self.registry.of(kind, &name);
            self.looked.services.extend(drafts.map(|draft| draft.service.host.clone()));
        }
        for (name, offered) in changed.offered {
            self.set_service(name, offered, changes);
        }
        touched.within.extend(changed.namespaces);
    }

    /// Which slices list which pods.
    pub(super) fn list(&mut self, touched: &mut Touched) {
        for name in &touched.slices {
            let pods = match self.store.slices.get(name) {
                Some(slice) => member::listed(slice).cloned().collect(),
                None => Vec::new(),
            };
            touched.pods.extend(pods.iter().cloned());
            touched.pods.extend(self.listing.replace(name, pods));
        }
    }

    /// Policies.
    pub(super) fn judge(&mut self, touched: &mut Touched, changes: &mut Changes) {
        let config = Arc::clone(&self.mesh().config);
        let root = &config.root_namespace;
        if changes.config {
            let statics = self.mesh().policies.keys().filter(|name| peer::is_static(name));
            let old: Vec<ObjectName> = statics.cloned().collect();
            for name in old.into_iter().filter(|name| *name != peer::static_name(&config)) {
                self.set_policy(name, None, changes);
            }
            let everywhere = Arc::new(peer::everywhere(&config));
            self.set_policy(everywhere.name.clone(), Some(everywhere), changes);
        }
        let mut policies = std::mem::take(&mut self.policies);
        let names = &touched.authorization_policies;
        let changed = policies.authorizations(names, &self.store, (&config, self.settings.l7));
        self.take(changed, Kind::AuthorizationPolicy, touched, changes);
        if touched.peers.contains(root) || changes.config {
            touched.peers.extend(policies.demanding_namespaces());
            let all = self.store.peer_authentications.all();
            touched.peers.extend(all.map(|one| Arc::clone(&one.meta.name.namespace)));
            touched.everywhere = true;
        }
        if !touched.peers.is_empty() {
            let changed = policies.peers(&touched.peers, &self.store, &config);
            self.take(changed, Kind::PeerAuthentication, touched, changes);
        }
        touched.everywhere |= touched.within.contains(root);
        self.policies = policies;
    }

    fn take(&mut self, changed: Changed, kind: Kind, touched: &mut Touched, changes: &mut Changes) {
        let Changed { policies, closing, notes, namespaces } = changed;
        for (name, policy) in policies {
            self.set_policy(name, policy, changes);
        }
        for (name, closing) in closing {
            self.set_closing(name, closing, changes);
        }
        for (name, notes) in notes {
            let key = (kind, name);
            let notes = named(&key, notes);
            self.tell(Level::Policy, key, notes);
        }
        touched.within.extend(namespaces);
    }

    /// Workloads.
    pub(super) fn populate(&mut self, touched: &mut Touched, changes: &mut Changes) {
        touched.workloads(&self.store);
        for name in &touched.pods {
            self.pod(name, changes);
        }
        for name in &touched.workload_entries {
            let mut notes = Vec::new();
            let found = self.store.workload_entries.get(name).cloned();
            let wanted = found.map(|entry| self.world().entry(&entry, &mut notes));
            let wanted = wanted.unwrap_or(Ok(None)).map(|one| one.into_iter().collect());
            self.make((Kind::WorkloadEntry, name.clone()), wanted, notes, changes);
        }
        for name in &touched.service_entries {
            let mut notes = Vec::new();
            let found = self.store.service_entries.get(name).cloned();
            let wanted = found.map(|entry| self.world().entry_endpoints(&entry, &mut notes));
            let wanted = wanted.unwrap_or_else(|| Ok(Vec::new()));
            self.make((Kind::ServiceEntry, name.clone()), wanted, notes, changes);
        }
        for name in &touched.slices {
            let found = self.store.slices.get(name).cloned();
            let wanted = found.map(|slice| self.world().slice(&slice));
            let wanted = wanted.unwrap_or_else(|| Ok(Vec::new()));
            self.make((Kind::EndpointSlice, name.clone()), wanted, Vec::new(), changes);
        }
    }

    fn make(
        &mut self,
        key: Key,
        wanted: Result<Vec<Wanted>, Box<Problem>>,
        mut notes: Vec<Problem>,
        changes: &mut Changes,
    ) {
        let wanted = wanted.unwrap_or_else(|problem| {
            notes.push(*problem);
            Vec::new()
        });
        let notes = named(&key, notes);
        self.tell(Level::Workload, key.clone(), notes);
        self.set_members(key, wanted, changes);
    }

    fn pod(&mut self, name: &ObjectName, changes: &mut Changes) {
        self.addresses.release(name);
        self.netns.release(name);
        let mut problems = Vec::new();
        let made = match self.store.pods.get(name).cloned() {
            Some(pod) => self.of_pod(&pod, &mut problems),
            None => None,
        };
        let expected = if made.is_none() { self.expected(name) } else { None };
        let (wanted, local) = made.unzip();
        let uid = WorkloadUid::pod(&self.settings.cluster, name);
        self.set_local(&uid, local.flatten(), changes);
        self.set_expected(uid, expected, changes);
        self.make((Kind::Pod, name.clone()), Ok(wanted.into_iter().collect()), problems, changes);
    }

    /// What is known of a pod that has no address yet, and is to be in the mesh.
    fn expected(&self, name: &ObjectName) -> Option<Expected> {
        let pod = self.store.pods.get(name)?;
        let namespace = self.store.namespace(&name.namespace).map(AsRef::as_ref);
        let is_enrolled =
            enrolment::wish(pod, namespace, self.settings.ambient).enrolment == Enrolment::Enrolled;
        let node = pod.node.as_deref().filter(|_| is_enrolled && pod.ips.is_empty())?;
        let identity = self.world().identity_of(pod).ok()?;
        Some(Expected { node: node.into(), name: name.clone(), identity })
    }

    /// The workload that a pod is, and what this node must know to hold it.
    fn of_pod(
        &mut self,
        pod: &Pod,
        problems: &mut Vec<Problem>,
    ) -> Option<(Wanted, Option<LocalPod>)> {
        let namespace = self.store.namespace(&pod.meta.name.namespace).map(AsRef::as_ref);
        let wish = enrolment::wish(pod, namespace, self.settings.ambient);
        problems.extend(wish.notes.iter().chain(&wish.problems).cloned());
        let mount = local::netns(pod).map_err(|problem| problems.push(*problem));
        let resolvers = local::resolvers(pod).map_err(|problem| problems.push(*problem));
        if pod.phase.is_over() {
            // Its address may be another pod's by now.
            return None;
        }
        if !pod.uses_host_network {
            for ip in &pod.ips {
                self.addresses.claim(ip.value, pod, ip.at);
            }
        }
        let is_enrolled = wish.enrolment == Enrolment::Enrolled;
        if pod.ips.is_empty() && (!is_enrolled || pod.phase == Phase::Pending) {
            return None;
        }
        if pod.uses_host_network {
            return self.world().pod(pod, &wish).map(|wanted| (wanted, None)).ok();
        }
        let described = match workload::workload(pod, wish.enrolment, &self.settings) {
            Ok(described) => described,
            Err(problem) => {
                problems.push(*problem);
                return None;
            }
        };
        let wanted = match self.world().pod(pod, &wish) {
            Ok(wanted) => wanted,
            Err(problem) => {
                problems.push(*problem);
                return None;
            }
        };
        let (true, true, Ok(mount), Ok(resolvers)) =
            (is_enrolled, local::is_here(pod, &self.settings), mount, resolvers)
        else {
            return Some((wanted, None));
        };
        let Some(mount) = mount else {
            problems.push(local::no_netns(pod));
            return Some((wanted, None));
        };
        self.netns.claim(mount.value.display(), pod, mount.at);
        let workload = Workload {
            identity: wanted.member.identity.clone(),
            node: Arc::clone(&wanted.member.node),
            ..described
        };
        let local = LocalPod {
            workload: Arc::new(workload),
            netns: mount.value,
            fail: wish.fail,
            container_ports: pod.tcp_ports.clone(),
            resolvers,
        };
        Some((wanted, Some(local)))
    }
}

/// Problems that say of which object they are.
fn named((kind, name): &Key, problems: Vec<Problem>) -> Vec<Problem> {
    let name = format!("{kind:?}/{name}");
    problems.into_iter().map(|problem| problem.of(&name)).collect()
}
