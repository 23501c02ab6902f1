//! What is known of gateways: for what is made for them, and for the status of whatever leads there.
use super::{Documents, Followed};
use crate::{
    compile::{
        http::gateway_api::status::{CONTROLLER, Says, Standing},
        incremental::Compiler,
    },
    gateways::{CLASS, Gateways, Service, order::Order, status::Told},
    object::{
        Objects,
        gateway_api::{GROUP, reference::ParentRef},
        spanned::Spanned,
    },
};
use culvert_kubernetes::{kind::Kind, trim::Key};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What was heard since it was asked.
#[derive(Debug, Default)]
pub(super) struct Heard {
    is_news: bool,
    /// What was told of last.
    standings: Arc<[Standing]>,
}

impl Heard {
    pub(super) fn heard_of(&mut self, kind: &Kind) {
        self.is_news |= is_told(kind) || is_service(kind);
    }
}

impl Documents {
    /// What is known of gateways, when it may be something else than at the last call.
    pub(crate) fn take_gateways(&mut self, compiler: &Compiler) -> Option<Gateways> {
        let standings = compiler.standings();
        let is_same = Arc::ptr_eq(standings, &self.gateways.standings);
        if is_same && !self.gateways.is_news {
            return None;
        }
        self.gateways = Heard { is_news: false, standings: Arc::clone(standings) };
        let says: BTreeMap<&str, &Says> =
            standings.iter().map(|standing| (&*standing.object, &standing.says)).collect();
        let classes = self.classes();
        let mut known = Gateways { lacks_class: self.lacks_class(), ..Gateways::default() };
        for followed in self.kinds.iter().filter(|followed| is_told(&followed.kind)) {
            for (key, document) in &followed.documents {
                let Some(header) = &document.header else { continue };
                let (uid, api_version) = (&header.metadata.uid, &header.api_version);
                // Of what is leaving nothing is to be made, nor said.
                match document.objects.kubernetes_gateways.first() {
                    Some(gateway) if gateway.meta.is_leaving => continue,
                    Some(gateway) if !classes.contains(&*gateway.spec.gateway_class_name.value) => {
                        continue;
                    }
                    Some(gateway) => {
                        known.orders.push(Order::new(gateway, key, (uid, api_version)));
                    }
                    None => {}
                }
                let object = super::object(followed.kind.kind, key);
                let says = says.get(&*object).map(|says| Says::clone(says));
                let Some(says) = says.or_else(|| unattached(followed.kind.kind)) else { continue };
                known.told.push(Told {
                    kind: followed.kind.kind,
                    plural: followed.kind.plural,
                    api_version: api_version.clone(),
                    key: key.clone(),
                    uid: uid.clone(),
                    generation: header.metadata.generation,
                    says,
                    refs: refs(&document.objects),
                });
            }
        }
        known.services = self.services_of(&known.orders);
        Some(known)
    }

    /// Classes of ours that somebody made.
    fn classes(&self) -> BTreeSet<String> {
        let all = self.kinds.iter().filter(|followed| followed.kind.kind == "GatewayClass");
        let all = all.flat_map(|followed| followed.documents.values());
        let all = all.flat_map(|document| &document.objects.gateway_classes);
        let ours = all.filter(|class| &*class.spec.controller_name == CONTROLLER);
        ours.map(|class| class.meta.name.name.to_string()).collect()
    }

    fn lacks_class(&self) -> bool {
        let mut all = self.kinds.iter().filter(|followed| followed.kind.kind == "GatewayClass");
        let own = Key { namespace: "".into(), name: CLASS.into() };
        all.any(|one| one.is_known && one.is_there && !one.documents.contains_key(&own))
    }

    fn services_of(&self, orders: &[Order]) -> BTreeMap<Key, Service> {
        let Some(Followed { documents, .. }) =
            self.kinds.iter().find(|followed| is_service(&followed.kind))
        else {
            return BTreeMap::new();
        };
        let found = orders.iter().filter_map(Order::service).filter_map(|key| {
            let service = documents.get(&key)?.objects.services.first()?;
            let read = Service::read(service.meta.origin.text());
            Some((key, read))
        });
        found.collect()
    }
}

/// Whether objects of a kind are told what became of them.
pub(super) fn is_told(kind: &Kind) -> bool {
    kind.group == GROUP && kind.kind != "ReferenceGrant"
}

fn is_service(kind: &Kind) -> bool {
    (kind.group, kind.kind) == ("", "Service")
}

/// What is said of a route that is for nothing of ours: what we said before is taken back.
fn unattached(kind: &str) -> Option<Says> {
    kind.ends_with("Route").then(|| Says::Route(Vec::new()))
}

/// What it is attached to.
fn refs(objects: &Objects) -> Vec<Value> {
    let all = |parents: &[Spanned<ParentRef>]| -> Vec<Value> {
        parents.iter().map(|one| parent(&one.value)).collect()
    };
    let http = objects.http_routes.first().map(|route| all(&route.spec.parent_refs));
    let grpc = || objects.grpc_routes.first().map(|route| all(&route.spec.parent_refs));
    let tls = || objects.tls_routes.first().map(|route| all(&route.spec.parent_refs));
    let tcp = || objects.tcp_routes.first().map(|route| all(&route.spec.parent_refs));
    let policy = || {
        let policy = objects.backend_tls_policies.first()?;
        let targets = policy.spec.target_refs.iter().map(|target| &target.value);
        let refs = targets.map(|target| {
            let mut written = json!({
                "group": &*target.group, "kind": &*target.kind, "name": &*target.name,
            });
            if let Some(section) = target.section_name.as_deref() {
                written["sectionName"] = section.into();
            }
            written
        });
        Some(refs.collect())
    };
    http.or_else(grpc).or_else(tls).or_else(tcp).or_else(policy).unwrap_or_default()
}

/// As the API server has it: with its defaults.
fn parent(parent: &ParentRef) -> Value {
    let (group, kind) = parent.what();
    let mut written = json!({ "group": group, "kind": kind, "name": &*parent.name });
    if let Some(namespace) = parent.namespace.as_deref() {
        written["namespace"] = namespace.into();
    }
    if let Some(section) = parent.section_name.as_deref() {
        written["sectionName"] = section.into();
    }
    if let Some(port) = parent.port() {
        written["port"] = port.get().into();
    }
    written
}
