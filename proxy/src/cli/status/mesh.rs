//! The part of a status that is about the mesh: the way into it, and all of it.
use crate::{
    admin::view::{
        Applied, Authority, Certificate, Closing, Control, Engine, Guest, Mesh, Node,
        RefusedResource, Uncaptured, Writer,
    },
    cli::output,
};

/// An authority that ends within a month is told of.
const SOON: i64 = 30 * 24 * 60 * 60;

/// Whether nothing about a node's way into the mesh needs anybody.
pub(super) fn is_well(mesh: &Mesh) -> bool {
    mesh.connected && mesh.refused.is_empty() && mesh.certificates.is_empty()
}

/// Whether nothing about the mesh needs anybody.
pub(super) fn control_is_well(control: &Control) -> bool {
    control.uncaptured.is_empty()
        && control.unsaved.is_none()
        && control.authority.expires_in_seconds > SOON
        && control.authority.troubles.is_empty()
        && control.nodes.iter().all(|node| node.refused.is_empty())
        && control.engines.iter().all(|engine| engine.refused.is_empty())
}

/// One line.
pub(super) fn way(mesh: &Mesh) -> String {
    let Mesh { control, connected, generation, workloads, services, .. } = mesh;
    let connected = match (connected, generation) {
        (true, _) => "connected",
        (false, ..=1) => "away, and nothing is known so far",
        (false, _) => "away: everything stays as it is",
    };
    format!(
        "mesh     {control} {connected}; {workloads} workloads, {services} services, generation {generation}"
    )
}

/// What is wrong.
pub(super) fn troubles(mesh: &Mesh) -> Vec<String> {
    let Mesh { refused, certificates, error, .. } = mesh;
    let mut lines = Vec::new();
    if let Some(error) = error {
        lines.push(format!("\nthe control plane is away: {error}"));
    }
    if !refused.is_empty() {
        lines.push("\nnot understood of what the control plane sent:".to_owned());
        lines.extend(refused.iter().map(not_understood));
    }
    if !certificates.is_empty() {
        lines.push("\ncertificates:".to_owned());
        lines.extend(certificates.iter().map(ailing));
    }
    lines
}

fn not_understood(refused: &RefusedResource) -> String {
    let RefusedResource { resource, field, problem, previous_stays } = refused;
    let field = if field.is_empty() { String::new() } else { format!("{field}: ") };
    let instead = match previous_stays {
        true => "its earlier version stays",
        false => "what it speaks of is closed",
    };
    format!("{resource}: {field}{problem}; {instead}")
}

fn ailing(certificate: &Certificate) -> String {
    let Certificate { identity, state, not_after, failure, .. } = certificate;
    let until = not_after.as_ref().map(|end| format!(" until {end}")).unwrap_or_default();
    let why = failure.as_ref().map(|failure| format!(": {failure}")).unwrap_or_default();
    format!("{identity} is {state}{until}{why}")
}

/// Nodes, pods that are not captured, policies that close.
pub(super) fn control(control: &Control) -> Vec<String> {
    let Control { trust_domain, workloads, services, policies, enrolled, announced, .. } = control;
    let mut lines = vec![
        format!(
            "\ncontrol plane of trust domain {trust_domain}: {workloads} workloads, {enrolled} enrolled, {announced} announced; {services} services, {policies} policies"
        ),
        authority(control),
    ];
    lines.extend(control.writer.iter().map(writes));
    lines
        .extend(control.unsaved.iter().map(|why| format!("what is announced is not saved: {why}")));
    lines.push(String::new());
    if control.nodes.is_empty() {
        lines.push("no node is connected".to_owned());
    } else {
        let heads = ["NODE", "FROM", "VERSION", "CONNECTED", "CAPTURED", "CONFIGURATION"];
        lines.push(output::render(heads, control.nodes.iter().map(row)));
    }
    for Guest { name, address } in &control.guests {
        let from = address.as_deref().unwrap_or("somewhere");
        lines.push(format!("{name} at {from} follows and proved nothing: it counts for no node"));
    }
    for node in control.nodes.iter().filter(|node| !node.refused.is_empty()) {
        lines.push(format!("\nnode {} does not understand:", node.node));
        lines.extend(node.refused.iter().cloned());
    }
    lines.extend(engines(&control.engines));
    if !control.uncaptured.is_empty() {
        lines.push("\nenrolled, and not captured:".to_owned());
        lines.push(output::render(
            ["POD", "NODE", "REACHED", "REASON"],
            control.uncaptured.iter().map(|Uncaptured { pod, node, reason, announced, .. }| {
                let reached = if *announced { "not, it was captured" } else { "in plain text" };
                [pod.clone(), node.clone(), reached.to_owned(), reason.clone()]
            }),
        ));
    }
    lines.extend(closing(control));
    lines
}

/// Who is told of HTTP, and what of it is not understood.
fn engines(engines: &[Engine]) -> Vec<String> {
    if engines.is_empty() {
        return Vec::new();
    }
    let heads = ["HTTP OF", "FROM", "PROTOCOL", "CONNECTED", "CONFIGURATION"];
    let rows = engines.iter().map(|engine| {
        let Engine { scope, address, protocol, connected_for_seconds, generation, .. } = engine;
        let configuration = match engine.current {
            true => format!("current, generation {generation}"),
            false => format!(
                "behind: generation {generation}, {} changes and {} responses not answered",
                engine.behind, engine.unanswered
            ),
        };
        [
            scope.clone(),
            address.clone().unwrap_or_default(),
            protocol.clone(),
            format!("{connected_for_seconds}s"),
            configuration,
        ]
    });
    let mut lines = vec![String::new(), output::render(heads, rows)];
    for engine in engines.iter().filter(|engine| !engine.refused.is_empty()) {
        lines.push(format!("\n{} ({}) does not understand:", engine.scope, engine.id));
        lines.extend(engine.refused.iter().cloned());
    }
    lines
}

/// Policies that close more than they say.
pub(super) fn closing(control: &Control) -> Vec<String> {
    let mut lines = Vec::new();
    if !control.closing.is_empty() {
        lines.push("\npolicies that close more than they say:".to_owned());
        lines.extend(control.closing.iter().map(|closing| {
            let Closing { object, because, origin } = closing;
            format!("{origin}: {object}: {because}")
        }));
    }
    lines
}

fn writes(writer: &Writer) -> String {
    match writer {
        Writer { is_own: true, .. } => "status and Events are written by this replica".to_owned(),
        Writer { replica, .. } if replica.is_empty() => {
            "status and Events are written by no replica so far".to_owned()
        }
        Writer { replica, .. } => format!("status and Events are written by {replica}"),
    }
}

fn authority(control: &Control) -> String {
    let Authority { not_after, expires_in_seconds, roots, troubles, .. } = &control.authority;
    let (issued, refused) = (control.certificates_issued, control.certificates_refused);
    let soon = if *expires_in_seconds < SOON { ", which is SOON" } else { "" };
    let all = format!(
        "certificates: {issued} issued, {refused} refused; the authority ends {not_after}{soon}; roots: {roots}"
    );
    troubles.iter().fold(all, |all, trouble| format!("{all}\nthe authority: {trouble}"))
}

fn row(node: &Node) -> [String; 6] {
    let applied = node.applied.iter();
    let versions: Vec<_> =
        applied.map(|(of, Applied { version, .. })| format!("{of} {version}")).collect();
    let current = if node.current { "current" } else { "behind" };
    let pods = match node.pending {
        0 => node.captured.to_string(),
        pending => format!("{} of {}", node.captured, node.captured + pending),
    };
    [
        node.node.clone(),
        node.address.clone().unwrap_or_default(),
        node.version.clone(),
        format!("{}s", node.connected_for_seconds),
        pods,
        [current.to_owned(), versions.join(", ")].join(" ").trim_end().to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_are_told_of_with_what_they_refused() {
        let well = Engine {
            id: "sidecar~10.0.0.1~n1.shop~shop.svc.cluster.local".into(),
            scope: "namespace shop on n1".into(),
            address: Some("10.0.0.1:4000".into()),
            protocol: "delta".into(),
            connected_for_seconds: 7,
            current: true,
            generation: 12,
            ..Engine::default()
        };
        let ill = Engine {
            id: "router~10.0.0.2~edge.shop~shop.svc.cluster.local".into(),
            scope: "gateway shop/edge".into(),
            protocol: "state of the world".into(),
            current: false,
            generation: 11,
            behind: 2,
            unanswered: 1,
            refused: vec!["listener: no such filter".into()],
            ..well.clone()
        };
        insta::assert_snapshot!(engines(&[well, ill]).join("\n"), @r"

        HTTP OF               FROM           PROTOCOL            CONNECTED  CONFIGURATION
        namespace shop on n1  10.0.0.1:4000  delta               7s         current, generation 12
        gateway shop/edge     10.0.0.1:4000  state of the world  7s         behind: generation 11, 2 changes and 1 responses not answered

        gateway shop/edge (router~10.0.0.2~edge.shop~shop.svc.cluster.local) does not understand:
        listener: no such filter
        ");
    }
}
