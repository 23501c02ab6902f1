//! `culvert uninstall --kubernetes`: all nodes undo what their proxies did.
use super::plan::{Progress, change, is_done, progress};
use crate::{
    cli::{
        cluster::{Cluster, HOME, object::Pod},
        output,
    },
    failure::{Exit, Failure},
};
use culvert_kubernetes::ask::{Refused, Resource};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use tokio::time;

/// How often to look how far they are.
const LOOK: Duration = Duration::from_secs(1);

/// What the proxies are pods of.
const SET: &str = "culvert-node";

/// Changes the DaemonSet, and waits for every node; at most `patience`.
pub(super) fn run(
    cluster: &Cluster,
    patience: Duration,
    format: output::Format,
) -> Result<Exit, Failure> {
    let of = Resource::of_group("apps", "v1", "daemonsets").within(HOME).named(SET);
    let Some(set) = cluster.any::<Value>(&of)? else {
        let what =
            format_args!("there is no DaemonSet {HOME}/{SET} in {}", cluster.client().server());
        return Err(Failure::new(
            Exit::Cannot,
            what,
            "nothing, if it was uninstalled before; else name the right cluster with --context",
        ));
    };
    let change = change(&set).map_err(|error| {
        let next = "uninstall node by node: culvert uninstall, on each";
        Failure::new(
            Exit::Cannot,
            format_args!("the DaemonSet {HOME}/{SET} is not as the chart has it"),
            next,
        )
        .because(&error)
    })?;
    enrolled(cluster);
    if let Some(change) = change {
        let changed = cluster.does(cluster.client().change::<Value>(&of, &change));
        changed.map_err(|refused| cluster.failed(&refused))?;
    }
    let is_text = format == output::Format::Text;
    let nodes = cluster.does(wait(cluster, &of, patience, is_text))?;
    let left: Vec<_> =
        nodes.iter().filter_map(|(node, state)| Some((node, state.as_ref().err()?))).collect();
    match format {
        output::Format::Json => {
            let done: Vec<_> =
                nodes.iter().filter(|(_, state)| state.is_ok()).map(|(node, _)| node).collect();
            let left: Vec<_> =
                left.iter().map(|(node, why)| json!({"node": node, "why": why})).collect();
            output::json(&json!({"done": done, "left": left}));
        }
        output::Format::Text if left.is_empty() => output::print(format_args!(
            "nothing is left on {} nodes; remove the rest: helm uninstall culvert -n {HOME}, or kubectl delete -f deploy/manifests/culvert.yaml",
            nodes.len()
        )),
        output::Format::Text => {
            output::print(format_args!("\nnot done within {} s:", patience.as_secs()));
            output::table(
                ["NODE", "WHY"],
                left.iter().map(|(node, why)| [(*node).clone(), (*why).clone()]),
            );
            output::say(format_args!(
                "next: see what holds them up (kubectl -n {HOME} logs POD -c uninstall), and run this again: it goes on where it was"
            ));
        }
    }
    Ok(if left.is_empty() { Exit::Done } else { Exit::Found })
}

/// Looks until all are done or time is over; says of each when it is.
async fn wait(
    cluster: &Cluster,
    of: &Resource,
    patience: Duration,
    is_told: bool,
) -> Result<Progress, Failure> {
    let end = Instant::now() + patience;
    let mut told = BTreeSet::new();
    loop {
        let seen = look(cluster, of).await;
        let is_over = Instant::now() >= end;
        let (set, nodes) = match seen {
            Ok(seen) => seen,
            // The API server may be away for a moment; what it will not tell, it will not tell later.
            Err(refused) if !is_over && refused.fault.code().is_none_or(|code| code >= 429) => {
                time::sleep(LOOK).await;
                continue;
            }
            Err(refused) => return Err(cluster.failed(&refused)),
        };
        for node in nodes.iter().filter(|(_, state)| state.is_ok()).map(|(node, _)| node) {
            if told.insert(node.clone()) && is_told {
                output::print(format_args!("node {node}: done"));
            }
        }
        if is_over || is_done(&set, &nodes) {
            return Ok(nodes);
        }
        time::sleep(LOOK).await;
    }
}

async fn look(cluster: &Cluster, of: &Resource) -> Result<(Value, Progress), Refused> {
    let pods = Resource::core("pods").within(HOME).labelled("app.kubernetes.io/name=culvert-node");
    let set = cluster.client().one(of).await?;
    let pods = cluster.client().all::<Pod>(&pods).await?;
    Ok((set, progress(pods)))
}

/// Says which namespaces are in the mesh still, where they may be listed: letting their pods go
/// first would cost no connection.
fn enrolled(cluster: &Cluster) {
    let labelled = |label: &str| {
        let of = Resource::core("namespaces").labelled(label);
        cluster.does(cluster.client().all::<Pod>(&of)).unwrap_or_default()
    };
    let names: Vec<_> = labelled("culvert.dev/mesh=enabled")
        .into_iter()
        .map(|namespace| namespace.metadata.name)
        .collect();
    if !names.is_empty() {
        output::say(format_args!(
            "note: in the mesh still: {}. What runs through their node's proxy is cut; nothing is, if they are let go first: kubectl label namespace NAME culvert.dev/mesh-",
            names.join(", ")
        ));
    }
}
