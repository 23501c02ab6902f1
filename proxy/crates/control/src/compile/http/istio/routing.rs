//! Which rules connections to a service have.
use super::{
    Objects,
    action::{self, Scene},
    ascribe, delegate,
    hosts::{self, clients, generality},
    matching::{Place, matching},
    stream,
};
use crate::{
    compile::http::plan::{Routing, Rules, rule::HttpRule},
    object::istio::{domain::HostPattern, virtual_service::VirtualService},
    problem::Problem,
};
use culvert_model::name::ServiceName;
use std::{cmp::Reverse, collections::BTreeMap};

/// What decides between objects that speak of one service: who says its name most exactly, who
/// says it to its own namespace only, to some, to all; who is older.
type Rank = ((bool, Reverse<usize>), Shown, usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Shown {
    Itself,
    Few,
    All,
}

/// The routes of every service that some object speaks of, in the order in which they count.
pub(super) fn of_services(
    objects: &Objects<'_>,
    notes: &mut Vec<Problem>,
) -> BTreeMap<ServiceName, Vec<Routing>> {
    let mut ranked: BTreeMap<ServiceName, Vec<(Rank, usize)>> = BTreeMap::new();
    let mut meant: Vec<Vec<Routing>> = Vec::new();
    for (age, service) in objects.virtual_services.iter().enumerate() {
        let routings = routings(service, objects, notes);
        if routings.is_empty() {
            continue;
        }
        let own = &*service.meta.name.namespace;
        let shown = match routings.first().and_then(|one| one.clients.namespaces.as_ref()) {
            None => Shown::All,
            Some(all) if all.iter().all(|one| **one == *own) => Shown::Itself,
            Some(_) => Shown::Few,
        };
        for host in &service.hosts {
            let host = hosts::full_pattern(&host.value, own);
            for name in objects.covered(&host) {
                let all = ranked.entry(name.clone()).or_default();
                all.push(((generality(&host), shown, age), meant.len()));
            }
        }
        meant.push(routings);
    }
    let mut services = BTreeMap::new();
    for (name, mut all) in ranked {
        all.sort();
        let mut seen = std::collections::BTreeSet::new();
        let all = all.into_iter().filter(|(_, index)| seen.insert(*index));
        let all = all.filter_map(|(_, index)| meant.get(index)).flatten().cloned();
        services.insert(name, all.collect());
    }
    services
}

/// What `service` says for workloads of the mesh.
fn routings(
    service: &VirtualService,
    objects: &Objects<'_>,
    notes: &mut Vec<Problem>,
) -> Vec<Routing> {
    if service.is_delegate() {
        return Vec::new();
    }
    let Some(clients) = clients(&service.export_to, &service.meta.name.namespace) else {
        return Vec::new();
    };
    let is_mesh = service.is_for_mesh();
    if !is_mesh {
        return Vec::new();
    }
    let http = http(service, Place::Mesh, false, objects, notes);
    let tls = stream::tls(service, Place::Mesh, objects.hosts, None);
    let tcp = stream::tcp(service, Place::Mesh, objects.hosts);
    let mut all = Vec::new();
    let mut push = |rules| all.push(Routing { clients: clients.clone(), port: None, rules });
    if !http.is_empty() {
        push(Rules::Http(http));
    }
    if !tls.is_empty() {
        push(Rules::Tls(tls));
    }
    if !tcp.is_empty() {
        push(Rules::Tcp(tcp));
    }
    all
}

/// The HTTP rules of `service` that hold at a place.
pub(super) fn http(
    service: &VirtualService,
    place: Place<'_>,
    is_tls: bool,
    objects: &Objects<'_>,
    notes: &mut Vec<Problem>,
) -> Vec<HttpRule> {
    let mut rules = Vec::new();
    for said in delegate::routes(service, objects, notes) {
        let matches = said.route.matches.iter();
        let matches: Vec<_> =
            matches.filter_map(|one| matching(one, said.meta, place, notes)).collect();
        if matches.is_empty() && !said.route.matches.is_empty() {
            continue;
        }
        let scene = Scene { meta: said.meta, hosts: objects.hosts, is_tls };
        rules.push(action::rule(&said.route, said.at, matches, &scene, notes));
        ascribe(notes, "VirtualService", said.meta);
    }
    ascribe(notes, "VirtualService", &service.meta);
    rules
}

/// The hosts of `service`, whole.
pub(super) fn hosts(service: &VirtualService) -> Vec<HostPattern> {
    let own = &*service.meta.name.namespace;
    service.hosts.iter().map(|host| hosts::full_pattern(&host.value, own)).collect()
}
