//! A node's way into the mesh, and what a control plane knows of all of it.
use super::{certificates, view};
use crate::node::Handles;
use culvert_control::control::Control;

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
    let _ = control;
    view::Control::default()
}

/// `Address` of `type.googleapis.com/istio.workload.Address`.
fn short(type_url: &str) -> String {
    type_url.rsplit('.').next().unwrap_or(type_url).to_owned()
}
