//! A node's way into the mesh, and what a control plane knows of all of it.
use super::{certificates, view, when::rfc3339};
use crate::node::Handles;
use culvert_control::{
    control::Control,
    status::{
        engines::EngineStatus,
        mesh::{AppliedStatus, MeshStatus, NodeStatus, RefusalStatus},
    },
};

/// How a node is connected, and how far it is.
pub(super) fn of_node(feed: &Handles) -> view::Mesh {
    let status = feed.follower.status();
    let snapshot = feed.snapshot.pin();
    let progress = feed.progress.borrow();
    let versions = progress.applied.iter();
    let refused = progress.refusals.values().flatten();
    view::Mesh {
        control: feed.address.clone(),
        connected: status.connected,
        error: status.error.map(|error| error.to_string()),
        generation: snapshot.generation.number(),
        workloads: snapshot.value.all_known().count(),
        services: snapshot.value.services().count(),
        versions: versions.map(|(of, applied)| (short(of), applied.version.clone())).collect(),
        refused: refused
            .map(|refused| view::RefusedResource {
                resource: refused.resource.clone(),
                field: refused.field.clone(),
                problem: refused.problem.clone(),
                previous_stays: refused.previous_stays,
            })
            .collect(),
        certificates: certificates::ailing(&feed.identities),
    }
}

/// What a control plane knows.
pub(super) fn of_control(control: &Control) -> view::Control {
    let status = control.mesh_status();
    let MeshStatus { counts, authority, certificates, .. } = &status;
    view::Control {
        trust_domain: status.trust_domain.clone(),
        workloads: counts.workloads,
        services: counts.services,
        policies: counts.policies,
        enrolled: counts.enrolled,
        announced: counts.announced,
        nodes: status.nodes.iter().map(node).collect(),
        guests: (status.guests.iter())
            .map(|guest| view::Guest { name: guest.name.clone(), address: guest.address.clone() })
            .collect(),
        engines: status.engines.iter().map(engine).collect(),
        uncaptured: (status.uncaptured.iter())
            .map(|pod| view::Uncaptured {
                pod: format!("{}/{}", pod.namespace, pod.name),
                node: pod.node.clone(),
                reason: pod.because.clone(),
                origin: pod.origin.clone(),
                announced: pod.announced,
            })
            .collect(),
        closing: (status.closing.iter())
            .map(|closing| view::Closing {
                object: closing.object.clone(),
                because: closing.because.clone(),
                origin: closing.origin.clone(),
            })
            .collect(),
        authority: view::Authority {
            not_after: rfc3339(authority.not_after),
            expires_in_seconds: certificates::left(authority.not_after),
            roots: authority.roots,
            serving_not_after: rfc3339(authority.own_not_after),
            troubles: authority.troubles.clone(),
        },
        certificates_issued: certificates.issued,
        certificates_refused: certificates.refused,
        writer: control.writer().map(|(replica, is_own)| view::Writer { replica, is_own }),
        unsaved: status.unsaved.clone(),
    }
}

fn node(status: &NodeStatus) -> view::Node {
    let refusals = status.refusals.iter().map(|refusal| {
        let RefusalStatus { resource, field, problem, .. } = refusal;
        let field = if field.is_empty() { String::new() } else { format!("{field}: ") };
        format!("{resource}: {field}{problem}")
    });
    // A node that reports says more than its last answer did.
    let refused: Vec<_> = refusals.collect();
    let refused = if refused.is_empty() { status.nacks.clone() } else { refused };
    view::Node {
        node: status.name.clone(),
        address: status.address.clone(),
        identity: status.identity.clone(),
        version: status.version.clone(),
        connected_for_seconds: status.connected_for_seconds,
        reports: status.reports,
        applied: (status.applied.iter())
            .map(|applied| {
                let AppliedStatus { type_url, version, generation } = applied;
                let version = version.clone();
                (short(type_url), view::Applied { version, generation: *generation })
            })
            .collect(),
        current: status.follows && status.behind == 0 && status.unanswered == 0,
        refused,
        captured: status.pods.captured,
        pending: status.pods.pending,
        leaving: status.pods.leaving,
    }
}

fn engine(status: &EngineStatus) -> view::Engine {
    let EngineStatus { id, scope, address, identity, proven, protocol, current, .. } = status;
    view::Engine {
        id: id.clone(),
        scope: scope.clone(),
        address: address.clone(),
        identity: identity.clone(),
        proven: *proven,
        protocol: protocol.clone(),
        connected_for_seconds: status.connected_for_seconds,
        current: *current,
        generation: status.generation,
        behind: status.behind,
        unanswered: status.unanswered,
        refused: status.nacks.clone(),
    }
}

/// `Address` of `type.googleapis.com/istio.workload.Address`.
fn short(type_url: &str) -> String {
    type_url.rsplit('.').next().unwrap_or(type_url).to_owned()
}
