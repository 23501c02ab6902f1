//! `culvert connections`
use super::{
    door::{Door, DoorArgs, Whom},
    output,
};
use crate::{
    admin::view::{Connection, Pod},
    config::sources::Variables,
    failure::{Exit, Failure},
};

/// List the connections that go through a running node, with who is proven at the other end and
/// the path: plain, tunnel (encrypted), local (both pods are here), direct (past the proxy).
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  culvert connections
  culvert connections --pod shop/cart-0
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
        let door = self.door.door(variables, Whom::Node)?;
        let document = door.get("/connections")?;
        let mut connections: Vec<Connection> = door.read(&document)?;
        if let Some(pod) = &self.pod {
            connections.retain(|connection| connection.pod == *pod);
            if connections.is_empty() {
                known(&door, pod)?;
            }
        }
        match self.output {
            output::Format::Json => output::json(&connections),
            output::Format::Text if connections.is_empty() => output::print("no connection"),
            output::Format::Text => print(&connections),
        }
        Ok(Exit::Done)
    }
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
