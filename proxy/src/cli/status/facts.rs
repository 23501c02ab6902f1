//! What is known of a pod: its objects, by the API server; the rest by its node's proxy and by the
//! control plane.
use super::pod::{Facts, Machine, Membership, Proxy, checks, is_well, render};
use crate::{
    admin::view::{ControlStatus, Status},
    cli::{
        cluster::{
            Cluster,
            ask::{self, Answers},
            crew::Crew,
            object::{Node, Pod},
        },
        output,
    },
    failure::{Exit, Failure},
};
use culvert_control::compile::{Ambient, Settings, own::Own};
use culvert_kubernetes::ask::Resource;
use culvert_model::name::ObjectName;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Finds out about a pod, and says why it is or is not captured.
pub(super) fn run(cluster: &Cluster, pod: &str, format: output::Format) -> Result<Exit, Failure> {
    let (namespace, name) = cluster.pod(pod);
    let of = Resource::core("pods").within(namespace).named(name);
    let Some(object) = cluster.any::<Value>(&of)? else {
        let what = format_args!("namespace {namespace} has no pod {name}");
        let next = format!("kubectl -n {namespace} get pods; -n names another namespace");
        return Err(Failure::new(Exit::Found, what, next));
    };
    let facts = facts(cluster, (namespace, name), &object)?;
    let checks = checks(&facts);
    let is_well = is_well(&checks);
    match format {
        output::Format::Json => {
            let pod = format!("{namespace}/{name}");
            let node = &facts.node;
            let captured = facts.is_captured();
            let document = json!({
                "pod": pod, "node": node, "captured": captured, "well": is_well, "checks": checks,
            });
            output::json(&document);
        }
        output::Format::Text => output::print(render(&facts, &checks)),
    }
    Ok(if is_well { Exit::Done } else { Exit::Found })
}

fn facts(
    cluster: &Cluster,
    (namespace, name): (&str, &str),
    object: &Value,
) -> Result<Facts, Failure> {
    // A pod of the API server has all of this shape, or none of it.
    let pod: Pod = serde_json::from_value(object.clone()).unwrap_or_default();
    let crew = Crew::of(cluster)?;
    let node = pod.spec.node_name.clone();
    let ours = crew.nodes.get(&node).and_then(Option::as_ref);
    let serving = crew.control.first();
    let asked: Vec<_> = ours.iter().chain(&serving).map(|pod| pod.metadata.name.as_str()).collect();
    let mut answers = ask::all(cluster, &asked, "/status");
    let proxy = ours.map(|pod| Proxy {
        pod: pod.metadata.name.clone(),
        trouble: pod.trouble(),
        said: read::<Status>(&mut answers, pod).map(Box::new),
    });
    let control = serving.map(|pod| read::<ControlStatus>(&mut answers, pod));
    let said = [
        control.as_ref().and_then(|said| Some(said.as_ref().ok()?.ambient_namespaces.as_str())),
        proxy
            .as_ref()
            .and_then(|proxy| Some(proxy.said.as_ref().ok()?.ambient_namespaces.as_str())),
    ];
    let ambient = said.into_iter().flatten().find_map(|said| said.parse().ok());
    Ok(Facts {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        is_annotated: pod.metadata.annotations.get(CAPTURED).is_some_and(|it| it == "enabled"),
        membership: membership(cluster, (namespace, name), object, ambient.unwrap_or_default()),
        machine: machine(cluster, &node),
        node,
        proxy,
        control,
    })
}

/// What a node writes on the pods that it holds.
const CAPTURED: &str = "ambient.istio.io/redirection";

fn read<T: DeserializeOwned>(answers: &mut Answers, pod: &Pod) -> Result<T, String> {
    let answer = answers.remove(&pod.metadata.name).unwrap_or_else(|| Err("not asked".to_owned()));
    serde_json::from_value(answer?).map_err(|error| format!("it is of another release: {error}"))
}

/// By the same rules as in nodes and control planes.
fn membership(
    cluster: &Cluster,
    (namespace, name): (&str, &str),
    pod: &Value,
    ambient: Ambient,
) -> Membership {
    let of = Resource::core("namespaces").named(namespace);
    let object: Value = match cluster.does(cluster.client().one(&of)) {
        Ok(object) => object,
        Err(refused) => return Membership::Unknown(refused.fault.to_string()),
    };
    let mut own = Own::new(Settings {
        node_name: "".into(),
        cluster: "".into(),
        trust_domain: "cluster.local".into(),
        ambient,
        l7: false,
    });
    let (of_namespace, of_pod) = (ObjectName::new("", namespace), ObjectName::new(namespace, name));
    let applied = own
        .apply(&of_namespace, "", &object.to_string())
        .and_then(|()| own.apply(&of_pod, "", &pod.to_string()));
    if let Err(problems) = applied {
        let words = problems.first().map(ToString::to_string).unwrap_or_default();
        return Membership::Unknown(words);
    }
    match own.pods().next().and_then(|standing| standing.outside) {
        Some(outside) => Membership::Outside(outside),
        None => Membership::Inside,
    }
}

fn machine(cluster: &Cluster, node: &str) -> Option<Machine> {
    let of = Resource::core("nodes").named(node);
    let node: Node = cluster.does(cluster.client().one(&of)).ok()?;
    Some(Machine {
        is_ready: node.is_ready(),
        kernel: node.status.node_info.kernel_version.clone(),
        is_foreign: node.is_foreign(),
    })
}
