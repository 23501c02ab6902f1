//! `culvert connections`
use super::{
    cluster::{Cluster, ask, crew::Crew},
    door::{Door, DoorArgs, Whom, there::There},
    output,
};
use crate::{
    admin::view::{Connection, Pod},
    config::sources::Variables,
    failure::{Exit, Failure},
};
use std::rc::Rc;

/// List the connections that go through a running node, with who is proven at the other end and
/// the path: plain, tunnel (encrypted), local (both pods are here), direct (past the proxy).
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  culvert connections
  culvert connections --pod shop/cart-0
  culvert connections --kubernetes                   of all nodes of a cluster
  culvert connections --kubernetes --pod shop/cart-0
  culvert connections -o json | jq 'map(.bytes_sent) | add'")]
pub(crate) struct Connections {
    /// Only those of this pod.
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = pod_name)]
    pod: Option<String>,
    #[command(flatten)]
    door: DoorArgs,
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: output::Format,
}

impl Connections {
    pub(super) fn run(self, variables: &Variables) -> Result<Exit, Failure> {
        let connections = match self.door.cluster()? {
            Some(cluster) if !self.door.names_one() => match &self.pod {
                Some(pod) => self.of(&Door::There(of_pod(&cluster, pod)?))?,
                None => everywhere(&cluster)?,
            },
            _ => self.of(&self.door.door(variables, Whom::Node)?)?,
        };
        match self.output {
            output::Format::Json => output::json(&connections),
            output::Format::Text if connections.is_empty() => output::print("no connection"),
            output::Format::Text => print(&connections),
        }
        Ok(Exit::Done)
    }
}

impl Connections {
    /// Those of one node.
    fn of(&self, door: &Door) -> Result<Vec<Connection>, Failure> {
        let document = door.get("/connections")?;
        let mut connections: Vec<Connection> = door.read(&document)?;
        if let Some(pod) = &self.pod {
            connections.retain(|connection| connection.pod == *pod);
            if connections.is_empty() {
                known(door, pod)?;
            }
        }
        Ok(connections)
    }
}

/// The node of a pod.
fn of_pod(cluster: &Rc<Cluster>, name: &str) -> Result<There, Failure> {
    let (namespace, pod) = cluster.pod(name);
    let Some(node) = cluster.node_of(namespace, pod)? else {
        let what = format_args!("namespace {namespace} has no pod {pod} that runs");
        return Err(Failure::new(Exit::Found, what, format!("kubectl -n {namespace} get pods")));
    };
    let pod = Crew::of(cluster)?.of_node(&node)?.to_owned();
    Ok(There { cluster: Rc::clone(cluster), pod })
}

/// Those of all nodes; all must answer, for half of them would look like all.
fn everywhere(cluster: &Cluster) -> Result<Vec<Connection>, Failure> {
    let crew = Crew::of(cluster)?;
    let pods: Vec<_> =
        crew.nodes.values().flatten().map(|pod| pod.metadata.name.as_str()).collect();
    let mut all = Vec::new();
    for (pod, answer) in ask::all(cluster, &pods, "/connections") {
        let of_pod = answer.and_then(|answer| {
            serde_json::from_value::<Vec<Connection>>(answer).map_err(|error| error.to_string())
        });
        all.extend(of_pod.map_err(|why| {
            let next = "culvert status --kubernetes; --node NAME asks one node alone";
            Failure::new(
                Exit::Cannot,
                format_args!("pod {pod} does not tell its connections"),
                next,
            )
            .and(why)
        })?);
    }
    Ok(all)
}

/// No connections of a pod is an answer; no such pod is a mistake.
fn known(door: &Door, name: &str) -> Result<(), Failure> {
    let pods: Vec<Pod> = door.read(&door.get("/pods")?)?;
    if pods.iter().any(|pod| pod.full_name() == name) {
        return Ok(());
    }
    let what = format_args!("no pod {name} of this node is enrolled");
    Err(Failure::new(Exit::Found, what, "`culvert status` lists those that are"))
}

fn pod_name(text: &str) -> Result<String, &'static str> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => Ok(text.to_owned()),
        Some(_) | None => Err("want NAMESPACE/NAME"),
    }
}

fn print(connections: &[Connection]) {
    output::table(
        [
            "POD",
            "DIRECTION",
            "SOURCE",
            "DESTINATION",
            "PATH",
            "PEER",
            "STATE",
            "SENT",
            "RECEIVED",
            "AGE",
        ],
        connections.iter().map(|c| {
            [
                c.pod.clone(),
                c.direction.clone(),
                c.source.clone(),
                destination(c),
                c.path.clone().unwrap_or_default(),
                peer(c).to_owned(),
                c.state.clone(),
                bytes(c.bytes_sent),
                bytes(c.bytes_received),
                age(c.age_seconds),
            ]
        }),
    );
}

/// With the service that was meant.
fn destination(connection: &Connection) -> String {
    let Connection { destination, service, .. } = connection;
    match service {
        Some(service) => format!("{destination} ({service})"),
        None => destination.clone(),
    }
}

/// Who is proven at the other end, without what all identities begin with.
fn peer(connection: &Connection) -> &str {
    let Connection { direction, source_identity, destination_identity, .. } = connection;
    let identity = if direction == "inbound" { source_identity } else { destination_identity };
    let identity = identity.as_deref().unwrap_or("-");
    identity.strip_prefix("spiffe://").unwrap_or(identity)
}

/// At most four digits and a unit.
fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut shown = count;
    while shown >= 10_000 && unit + 1 < UNITS.len() {
        shown /= 1024;
        unit += 1;
    }
    format!("{shown}{}", UNITS[unit])
}

/// The two largest units.
fn age(seconds: f64) -> String {
    // A connection of 584 thousand million years is shown as its youngest self.
    let seconds = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ages_are_short() {
        assert_eq!([bytes(0), bytes(9_999), bytes(10_000)], ["0B", "9999B", "9KiB"]);
        assert_eq!(bytes(u64::MAX), "16777215TiB");
        assert_eq!([age(59.9), age(61.0), age(90_061.0)], ["59s", "1m1s", "1d1h"]);
    }
}
