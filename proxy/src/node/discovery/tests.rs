//! Responses as they come off the wire, and the snapshots they lead to.
use super::*;
use culvert_model::{
    authz::{Action, Scope},
    snapshot::Snapshot,
};
use culvert_proto::{
    Any, Message as _,
    envoy::service::discovery::v3::{DeltaDiscoveryResponse as Response, Resource as Sent},
    istio::{security, workload},
};
use culvert_runtime::publish::{self, View};
use culvert_xds::client::Mode;

/// A node and what it holds.
struct Stage {
    holdings: Holdings,
    applier: Applier,
    view: View<Snapshot>,
    progress: watch::Receiver<Progress>,
}

impl Stage {
    fn new() -> Self {
        let (snapshots, view) = publish::channel(Snapshot::default());
        let (discovery, progress) = Discovery::new(Mesh::default(), true, snapshots);
        let holdings = Holdings::new(Mode::Everything);
        Self { holdings, applier: discovery.applier(metrics()), view, progress }
    }

    fn addresses(&mut self, resources: Vec<Sent>, removed: &[&str]) {
        let received = self.holdings.addresses.receive(response(resources, removed));
        let changed = Changed::Addresses(received.changes, "1".to_owned());
        self.applier.apply(&self.holdings, changed);
    }

    fn policies(&mut self, resources: Vec<Sent>, removed: &[&str]) {
        let received = self.holdings.policies.receive(response(resources, removed));
        let changed = Changed::Policies(received.changes, "7".to_owned());
        self.applier.apply(&self.holdings, changed);
    }

    fn published(&self) -> u64 {
        self.view.pin().generation.number() - 1
    }

    /// Whose policies deny, by name.
    fn denies(&self, uid: &str) -> Vec<String> {
        let snapshot = self.view.pin();
        let known = snapshot.value.known(&WorkloadUid::new(uid)).cloned().unwrap();
        known.authz.deny.iter().map(|policy| policy.name.to_string()).collect()
    }
}

fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new("test"))
}

fn response(resources: Vec<Sent>, removed: &[&str]) -> Response {
    Response {
        resources,
        removed_resources: removed.iter().map(|name| (*name).to_owned()).collect(),
        nonce: "n".to_owned(),
        ..Response::default()
    }
}

fn sent(name: &str, type_url: &str, value: Vec<u8>) -> Sent {
    let body = Any { type_url: type_url.to_owned(), value };
    Sent { name: name.to_owned(), resource: Some(body), ..Sent::default() }
}

fn pod(uid: &str, last: u8) -> Sent {
    let workload = workload::Workload {
        uid: uid.to_owned(),
        name: "cart".to_owned(),
        namespace: "shop".to_owned(),
        addresses: vec![vec![10, 0, 0, last].into()],
        ..workload::Workload::default()
    };
    let address = workload::Address { r#type: Some(workload::address::Type::Workload(workload)) };
    sent(uid, Address::TYPE_URL, address.encode_to_vec())
}

/// One that is understood, or whose action is one that nobody knows.
fn policy(name: &str, action: i32) -> Sent {
    let policy = security::Authorization {
        name: name.to_owned(),
        namespace: "shop".to_owned(),
        scope: 1,
        action,
        ..security::Authorization::default()
    };
    sent(&format!("shop/{name}"), Policy::TYPE_URL, policy.encode_to_vec())
}

#[test]
fn nothing_is_known_before_all_of_it_is() {
    let mut stage = Stage::new();
    stage.addresses(vec![pod("a", 1)], &[]);
    assert_eq!(stage.published(), 0);
    stage.policies(vec![], &[]);
    assert_eq!(stage.published(), 1);
    assert!(stage.view.pin().value.at([10, 0, 0, 1].into()).is_some());
    let progress = stage.progress.borrow().clone();
    let applied: Vec<_> = progress.applied.values().map(|one| &*one.version).collect();
    assert_eq!(applied, ["7", "1"]);
}

#[test]
fn what_changes_nothing_is_not_published_again() {
    let mut stage = Stage::new();
    stage.addresses(vec![pod("a", 1)], &[]);
    stage.policies(vec![], &[]);
    stage.policies(vec![], &[]);
    assert_eq!(stage.published(), 1);
    stage.addresses(vec![], &["a"]);
    assert_eq!(stage.published(), 2);
    assert!(stage.view.pin().value.at([10, 0, 0, 1].into()).is_none());
}

#[test]
fn a_policy_that_is_not_understood_denies_until_it_is_or_goes() {
    let mut stage = Stage::new();
    stage.addresses(vec![pod("a", 1)], &[]);
    stage.policies(vec![policy("odd", 99)], &[]);
    assert_eq!(stage.denies("a"), ["shop/odd"]);
    let refusals = stage.progress.borrow().refusals[Policy::TYPE_URL].clone();
    assert_eq!((&*refusals[0].resource, refusals[0].previous_stays), ("shop/odd", false));
    stage.policies(vec![policy("odd", 0)], &[]);
    assert_eq!(stage.denies("a"), [""; 0]);
    assert_eq!(stage.progress.borrow().refusals[Policy::TYPE_URL], []);
    // Refused now, the version before stays.
    stage.policies(vec![policy("odd", 99)], &[]);
    assert_eq!(stage.denies("a"), [""; 0]);
    stage.policies(vec![policy("other", 99)], &[]);
    assert_eq!(stage.denies("a"), ["shop/other"]);
    stage.policies(vec![], &["shop/other"]);
    assert_eq!(stage.denies("a"), [""; 0]);
    let known = stage.view.pin().value.known(&WorkloadUid::new("a")).cloned().unwrap();
    let allows = known.authz.allow.iter().map(|one| (one.action, one.scope));
    assert_eq!(allows.collect::<Vec<_>>(), [(Action::Allow, Scope::Namespace)]);
}

#[test]
fn the_address_of_what_is_not_understood_is_nobodys() {
    let mut stage = Stage::new();
    let mut bad = pod("b", 2);
    let workload = workload::Workload {
        uid: "b".to_owned(),
        namespace: "shop".to_owned(),
        addresses: vec![vec![10, 0, 0, 2].into()],
        tunnel_protocol: 2,
        ..workload::Workload::default()
    };
    let address = workload::Address { r#type: Some(workload::address::Type::Workload(workload)) };
    bad.resource = sent("b", Address::TYPE_URL, address.encode_to_vec()).resource;
    stage.policies(vec![], &[]);
    stage.addresses(vec![pod("a", 1), bad], &[]);
    let closed =
        |stage: &Stage, last| stage.view.pin().value.is_closed([10, 0, 0, last].into(), "shop");
    assert_eq!((closed(&stage, 1), closed(&stage, 2)), (false, true));
    stage.addresses(vec![], &["b"]);
    assert!(!closed(&stage, 2));
}

#[test]
fn the_settings_of_the_mesh_are_waited_for() {
    let (snapshots, view) = publish::channel(Snapshot::default());
    let (discovery, progress) = Discovery::new(Mesh::default(), false, snapshots);
    let holdings = Holdings::new(Mode::Everything);
    let applier = discovery.applier(metrics());
    let mut stage = Stage { holdings, applier, view, progress };
    stage.addresses(vec![pod("a", 1)], &[]);
    stage.policies(vec![], &[]);
    assert_eq!(stage.published(), 0);
    let settings = MeshSettings {
        outbound: Outbound::RegistryOnly,
        network: "n".to_owned(),
        trust_domain: "td".to_owned(),
    };
    discovery.set_mesh("worker-1", &settings);
    let snapshot = stage.view.pin();
    assert_eq!(snapshot.value.mesh().outbound, OutboundPolicy::RegistryOnly);
    assert_eq!(&*snapshot.value.mesh().node, "worker-1");
    assert!(!discovery.settle(), "they are known already");
}
