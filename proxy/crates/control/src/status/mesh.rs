//! What the control plane knows of the mesh, for people.
use crate::{
    ca::ledger::Account,
    compile::mesh::Wanted,
    control::{Control, Scene, scene::Reporter},
    status::engines::{self, EngineStatus},
};
use culvert_identity::clock::{Clock as _, SystemClock};
use culvert_model::name::WorkloadUid;
use culvert_xds::{
    report::PodState,
    server::Lag,
    transport::{door::Peer, nodes::Connected},
};
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc, time::Instant};

/// The mesh as the control plane sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MeshStatus {
    pub trust_domain: String,
    pub counts: MeshCounts,
    /// In the order of their names.
    pub nodes: Vec<NodeStatus>,
    /// Who follows and proved nothing.
    pub guests: Vec<Guest>,
    /// Who is told of L7, in the order of what they are told.
    pub engines: Vec<EngineStatus>,
    /// Wanted in the mesh, and not captured.
    pub uncaptured: Vec<Uncaptured>,
    /// Policies that close more than they say, for L4 cannot see what they ask for.
    pub closing: Vec<ClosingPolicy>,
    pub authority: AuthorityStatus,
    pub certificates: Account,
    /// Why what is announced could not be written down, if it could not.
    pub unsaved: Option<String>,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MeshCounts {
    pub workloads: usize,
    pub services: usize,
    pub policies: usize,
    /// Workloads that are to be in the mesh.
    pub enrolled: usize,
    /// Workloads that everybody is told to reach by HBONE.
    pub announced: usize,
}

/// One node that is connected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NodeStatus {
    pub name: String,
    pub address: Option<String>,
    /// What its certificate proved; `None`: it showed a token.
    pub identity: Option<String>,
    /// Of the program; empty: it does not report.
    pub version: String,
    pub instance: String,
    pub connected_for_seconds: u64,
    /// It follows discovery.
    pub follows: bool,
    /// It reports on its pods.
    pub reports: bool,
    /// Changes that it has not answered.
    pub behind: u64,
    /// Responses that it has not answered.
    pub unanswered: usize,
    /// What it said when it last refused something, and has not accepted since.
    pub nacks: Vec<String>,
    pub applied: Vec<AppliedStatus>,
    pub refusals: Vec<RefusalStatus>,
    pub pods: PodCounts,
}

/// Somebody who is told what there is, and counts as nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Guest {
    /// What it calls itself.
    pub name: String,
    pub address: Option<String>,
}

/// How far a node is with one type of resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AppliedStatus {
    pub type_url: String,
    pub version: String,
    pub generation: u64,
}

/// One resource that a node does not understand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RefusalStatus {
    pub type_url: String,
    pub resource: String,
    pub version: String,
    pub field: String,
    pub problem: String,
    pub previous_stays: bool,
}

/// The pods of one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PodCounts {
    pub captured: usize,
    pub pending: usize,
    pub leaving: usize,
}

/// A pod that is to be in the mesh, and is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Uncaptured {
    pub uid: String,
    pub namespace: String,
    pub name: String,
    pub node: String,
    /// `file:line` of the manifest.
    pub origin: String,
    /// Why, as far as it is known.
    pub because: String,
    /// It was captured, and everybody is told so still: connections to it fail meanwhile.
    pub announced: bool,
}

/// A policy that closes more than it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClosingPolicy {
    pub object: String,
    pub because: String,
    pub origin: String,
}

/// Who signs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AuthorityStatus {
    /// Seconds since 1970.
    pub not_after: u64,
    pub roots: usize,
    /// What is wrong with keeping it.
    pub troubles: Vec<String>,
    /// Of the control plane's own certificate.
    pub own_serial: String,
    pub own_not_after: u64,
}

impl Control {
    /// How the mesh is.
    pub fn mesh_status(&self) -> MeshStatus {
        let shared = &*self.shared;
        let listed = shared.nodes.list(&shared.worlds.pin().value);
        let (listed, guests): (Vec<_>, Vec<_>) = listed.into_iter().partition(|one| one.proven);
        // A gateway is listed with whoever is told of HTTP; no node has a slash in its name.
        let listed = listed.into_iter().filter(|one| !one.node.contains('/')).collect();
        let guests = guests.into_iter().map(|guest| Guest {
            name: guest.node.to_string(),
            address: guest.peer.addr.map(|addr| addr.to_string()),
        });
        let authority = Arc::clone(&shared.authority.pin().value);
        let scene = shared.scene.lock();
        let enrolled = scene.members.values().filter(|wanted| wanted.enrolled);
        let announced = scene.members.keys().filter(|uid| scene.announcer.shown(uid).hbone);
        let closing = scene.closing.values().map(|closing| ClosingPolicy {
            object: closing.object.to_string(),
            because: closing.because.to_string(),
            origin: closing.origin.to_string(),
        });
        MeshStatus {
            trust_domain: authority.trust_domain().to_owned(),
            counts: MeshCounts {
                workloads: scene.members.len(),
                services: scene.services,
                policies: scene.policies,
                enrolled: enrolled.count(),
                announced: announced.count(),
            },
            nodes: nodes(listed, &scene),
            guests: guests.collect(),
            engines: engines::list(shared.followers.list(), shared.hub.generation()),
            uncaptured: uncaptured(&scene),
            closing: closing.collect(),
            authority: AuthorityStatus {
                not_after: authority.validity().not_after.as_secs(),
                roots: authority.roots().len(),
                troubles: shared.trouble.list(),
                own_serial: shared.serving.serial(),
                own_not_after: shared.serving.validity().not_after.as_secs(),
            },
            certificates: shared.ledger.account(SystemClock.now().as_secs()),
            unsaved: scene.unsaved.clone(),
        }
    }
}

fn nodes(listed: Vec<Connected>, scene: &Scene) -> Vec<NodeStatus> {
    let mut nodes: BTreeMap<String, NodeStatus> = BTreeMap::new();
    let named = |nodes: &mut BTreeMap<String, NodeStatus>, name: &str, peer: &Peer, at: Instant| {
        let node = nodes.entry(name.to_owned()).or_default();
        name.clone_into(&mut node.name);
        node.address = peer.addr.map(|addr| addr.to_string());
        let identity = peer.identity.as_ref().map(ToString::to_string);
        node.identity = identity.or(node.identity.take());
        node.connected_for_seconds = node.connected_for_seconds.max(at.elapsed().as_secs());
    };
    for Connected { node: name, peer, since, addresses, policies, refusals, .. } in listed {
        named(&mut nodes, &name, &peer, since);
        let Some(node) = nodes.get_mut(&*name) else { continue };
        node.follows = true;
        for Lag { changes, unanswered } in [addresses, policies] {
            node.behind = node.behind.max(changes);
            node.unanswered += unanswered;
        }
        node.nacks.extend(refusals);
    }
    for reporter in scene.reporters.values() {
        named(&mut nodes, &reporter.node, &reporter.peer, reporter.since);
        if let Some(node) = nodes.get_mut(&*reporter.node) {
            report(node, reporter);
        }
    }
    nodes.into_values().collect()
}

fn report(node: &mut NodeStatus, reporter: &Reporter) {
    let Reporter { hello, sheet, .. } = reporter;
    node.reports = true;
    (node.version, node.instance) = (hello.version.clone(), hello.instance.clone());
    let applied = sheet.applied.iter().map(|(type_url, applied)| AppliedStatus {
        type_url: type_url.clone(),
        version: applied.version.clone(),
        generation: applied.generation,
    });
    node.applied = applied.collect();
    let refusals = sheet.refusals.iter().flat_map(|(type_url, refusals)| {
        refusals.iter().map(|refusal| RefusalStatus {
            type_url: type_url.clone(),
            resource: refusal.resource.clone(),
            version: refusal.version.clone(),
            field: refusal.field.clone(),
            problem: refusal.problem.clone(),
            previous_stays: refusal.previous_stays,
        })
    });
    node.refusals = refusals.collect();
    node.pods = PodCounts::default();
    for pod in sheet.pods.values() {
        match pod.state {
            PodState::Captured => node.pods.captured += 1,
            PodState::Pending(_) => node.pods.pending += 1,
            PodState::Leaving => node.pods.leaving += 1,
        }
    }
}

fn uncaptured(scene: &Scene) -> Vec<Uncaptured> {
    let wanted = scene.members.iter().filter(|(_, wanted)| wanted.enrolled);
    wanted
        .filter_map(|(uid, wanted)| {
            let because = because(scene, uid, wanted)?;
            let member = &wanted.member;
            Some(Uncaptured {
                uid: uid.as_str().to_owned(),
                namespace: member.name.namespace.to_string(),
                name: member.name.name.to_string(),
                node: member.node.to_string(),
                origin: wanted.origin.to_string(),
                because,
                announced: scene.announcer.shown(uid).hbone,
            })
        })
        .collect()
}

/// Why a workload is not captured; `None` when it is, or was and nothing else is known.
fn because(scene: &Scene, uid: &WorkloadUid, wanted: &Wanted) -> Option<String> {
    let node = &wanted.member.node;
    let announced = scene.announcer.shown(uid).hbone;
    Some(match scene.announcer.said(uid) {
        Some(PodState::Captured) => return None,
        Some(PodState::Pending(why)) => format!("node {node} says: {why}"),
        Some(PodState::Leaving) => format!("node {node} is to let it go: its own manifests differ"),
        None if announced => return None,
        None if node.is_empty() => "it is on no node".to_owned(),
        None if scene.reporters.values().any(|reporter| reporter.node == *node) => {
            format!("node {node} does not know of it")
        }
        None => format!("node {node} is not connected"),
    })
}
