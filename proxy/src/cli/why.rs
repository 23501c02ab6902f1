//! `culvert why`
mod files;
mod sides;

use super::{
    cluster::{Cluster, crew::Crew},
    door::{Door, DoorArgs, Whom, there::There},
    output,
    start::{Start, whole},
};
use crate::{
    admin::{
        view,
        why::{self, Unanswered, Wanted},
    },
    config::{raw::Layer, settings::Role, sources::Variables},
    failure::{Exit, Failure},
};
use culvert_kubernetes::path::escape;
use culvert_policy::why::{Party, Question};
use files::Files;
use std::{collections::BTreeSet, path::PathBuf, rc::Rc};

/// Say whether one workload may reach another, by which way, and by which rule.
///
/// From the running node, that of a cluster on which the source runs, or with -f from manifests. All answer as connections are decided:
/// policy, rule, the condition that fails, file and line. Where an ALLOW is missing, the rule that
/// came closest and what it lacked.
///
/// With a method, a path, a host or a header, of a request: the route that it takes and those that it does
/// not, clusters and endpoints, timeouts, retries, faults and mirrors at its client; then at each
/// server the policies that are asked there. A node tells what its own engines do, and which node
/// to ask for the rest; of a cluster those are asked, too, and manifests tell all.
///
/// Exit code 0 permitted, 1 denied or depending on what is chosen.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  culvert why pod/shop/web-0 cart.shop:80
  culvert why shop/web-0 cart.shop:80 --kubernetes      as the node of web-0 decides
  culvert why sa/shop/web 10.0.0.7:8080 -f manifests/
  culvert why shop/web-0 reviews.shop:9080 --path /reviews/0 --header end-user:jason
  culvert why 192.0.2.1 pod/shop/cart-0:8080 -o json | jq '.ways[].arrivals[].rule'")]
pub(crate) struct Why {
    /// Who opens the connection: a pod as NAMESPACE/NAME, sa/NAMESPACE/NAME, or an address.
    #[arg(value_name = "SRC")]
    from: String,
    /// Whom it is to reach: a pod as NAMESPACE/NAME, sa/NAMESPACE/NAME, an address or a service's
    /// host name.
    #[arg(value_name = "DST[:PORT]")]
    to: String,
    #[command(flatten)]
    request: RequestArgs,
    /// A manifest, or a folder of manifests, instead of a running node; may be repeated.
    #[arg(short, long = "file", value_name = "PATH", num_args = 1..)]
    files: Vec<PathBuf>,
    /// With -f: the settings file of the control plane, for trust domain and cluster [default: the
    /// one that `CULVERT_CONFIG` names].
    #[arg(long, value_name = "FILE", requires = "files")]
    config: Option<PathBuf>,
    #[command(flatten)]
    door: DoorArgs,
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: output::Format,
}

/// What is asked of the server, if more than a connection.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Of a request")]
struct RequestArgs {
    /// Its method [default: GET].
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// Its path, with its query [default: /].
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// Its host [default: DST].
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// One of its headers; may be repeated.
    #[arg(long = "header", value_name = "NAME:VALUE")]
    headers: Vec<String>,
}

impl RequestArgs {
    fn wanted(self) -> Wanted {
        let Self { method, path, host, headers } = self;
        let headers = (!headers.is_empty()).then(|| headers.join("\n"));
        Wanted { method, path, host, headers }
    }
}

/// What is asked of a node.
fn query(from: &str, to: &str, wanted: &Wanted) -> String {
    let Wanted { method, path, host, headers } = wanted;
    let more = [("method", method), ("path", path), ("host", host), ("headers", headers)];
    let more = more.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
    let mut query = format!("/why?from={}&to={}", escape(from), escape(to));
    for (name, value) in more {
        query.push_str(&format!("&{name}={}", escape(value)));
    }
    query
}

impl Why {
    pub(super) fn run(self, variables: &Variables) -> Result<Exit, Failure> {
        let Self { from, to, request, files, config, door, output } = self;
        let wanted = request.wanted();
        let answer = if files.is_empty() {
            match door.cluster()? {
                Some(cluster) => of_cluster(&cluster, &door, (&from, &to), &wanted)?,
                None => ask(&door.door(variables, Whom::Node)?, (&from, &to), &wanted)?,
            }
        } else {
            let files: Vec<_> = files.into_iter().map(whole).collect();
            let start = Start::of(config);
            // Nothing is shown, so there are settings.
            let Some((config, _)) = start.settings(Role::Control, variables, Layer::new())? else {
                return Ok(Exit::Done);
            };
            let files = Files::read(&files, &config)?;
            let answer = match wanted.is_some() {
                false => why::ask(&files.snapshot, &from, &to),
                true => {
                    let asked = why::ask_for(&wanted, (&from, &to), &files.snapshot, &files);
                    asked.map(|(document, _)| document)
                }
            };
            answer.map_err(|error| not_asked(&error))?
        };
        match output {
            output::Format::Json => output::json(&answer),
            output::Format::Text => output::print(answer.text.trim_end()),
        }
        Ok(if answer.is_permitted() { Exit::Done } else { Exit::Found })
    }
}

fn ask(door: &Door, (from, to): (&str, &str), wanted: &Wanted) -> Result<view::Why, Failure> {
    door.read(&door.get(&query(from, to, wanted))?)
}

/// What the source's node says, and of a request each server's node of its own side; of a node that
/// is named, what that one says.
fn of_cluster(
    cluster: &Rc<Cluster>,
    door: &DoorArgs,
    (from, to): (&str, &str),
    wanted: &Wanted,
) -> Result<view::Why, Failure> {
    let crew = Crew::of(cluster)?;
    if door.names_one() {
        let there = door.there(cluster, &crew, Whom::Node)?;
        return ask(&Door::There(there), (from, to), wanted);
    }
    let source = of_source(cluster, &crew, from)?;
    let mut answer = ask(&Door::There(source), (from, to), wanted)?;
    if wanted.is_some() {
        let wanted = wanted.to_whom(from, to).map_err(|error| not_asked(&error.into()))?;
        let mut silent = BTreeSet::new();
        for gap in sides::gaps(&answer, &wanted) {
            // It says itself whom to ask, where that one does not answer.
            if silent.contains(&gap.node) {
                continue;
            }
            let told = crew.of_node(&gap.node).and_then(|pod| {
                let there = There { cluster: Rc::clone(cluster), pod: pod.to_owned() };
                ask(&Door::There(there), (from, &gap.to), &gap.wanted)
            });
            match told {
                Ok(told) => sides::fill(&mut answer, &gap, &told),
                Err(_silence) => drop(silent.insert(gap.node)),
            }
        }
    }
    Ok(answer)
}

/// The node that knows the source best: its own; any of those that are ready for a source that is
/// no pod.
fn of_source(cluster: &Rc<Cluster>, crew: &Crew, from: &str) -> Result<There, Failure> {
    let node = match Question::parse(from, "none") {
        Ok(Question { source: Party::Pod(pod), .. }) => {
            cluster.node_of(&pod.namespace, &pod.name)?
        }
        Ok(_) | Err(_) => None,
    };
    let pod = match node.and_then(|node| Some(crew.of_node(&node).ok()?.to_owned())) {
        Some(pod) => pod,
        None => crew.any_node()?.to_owned(),
    };
    Ok(There { cluster: Rc::clone(cluster), pod })
}

fn not_asked(error: &Unanswered) -> Failure {
    Failure::of(Exit::Usage, error, "`culvert why --help` shows how to ask")
}

#[cfg(test)]
mod tests;
