//! Steps that several stories take.
use e2e::{Mesh, Running, eventually};
use serde_json::Value;
use std::net::SocketAddr;

const CANARY: &str = "a-canary-sang-in-the-mine";

pub(crate) const ONLY_CLIENT: &str =
    "[{from: [{source: {principals: [\"cluster.local/ns/mesh/sa/client\"]}}]}]";

pub(crate) const STRICT: &str = "\
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata:
  name: default
  namespace: mesh
spec:
  mtls: {mode: STRICT}
";

/// A policy of namespace `mesh` for the pods that `selector` selects.
pub(crate) fn policy(name: &str, action: &str, selector: &str, rules: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata:\n  name: {name}\n  \
         namespace: mesh\nspec:\n  selector: {{matchLabels: {{{selector}}}}}\n  action: {action}\n  \
         rules: {rules}\n"
    )
}

/// A service of namespace `mesh`, of the pods that `selector` selects: port 80 to their 8080.
pub(crate) fn service(name: &str, cluster_ip: &str, selector: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: mesh}}\nspec:\n  \
         clusterIP: {cluster_ip}\n  selector: {{{selector}}}\n  \
         ports: [{{name: http, port: 80, targetPort: 8080}}]\n"
    )
}

/// A connection that stays; it was answered when this returns.
#[track_caller]
pub(crate) fn hold(mesh: &Mesh, from: &str, to: SocketAddr) -> Running {
    let held = mesh.pod(from).start_peer("watch", to, &[]);
    let said = held.said(0);
    assert_eq!(said["ok"], true, "{said}");
    held
}

/// Requests at this rate from `from` until the end; they have begun when this returns.
#[track_caller]
pub(crate) fn load(mesh: &Mesh, from: &str, to: SocketAddr, rate: u64) -> Running {
    let load = mesh.pod(from).start_peer("load", to, &[&rate]);
    assert_eq!(load.said(0)["ok"], true);
    load
}

/// Ends it; none of its requests failed.
#[track_caller]
pub(crate) fn unharmed(load: Running) {
    let said = load.finish();
    assert!(said["failed"] == 0 && said["done"].as_u64() > Some(0), "{said}");
}

/// Waits until a new connection from there ends like this.
#[track_caller]
pub(crate) fn await_dial(mesh: &Mesh, from: &str, to: SocketAddr, ok: bool) {
    let dial = || mesh.pod(from).dial("plain", to)["ok"] == ok;
    // The first of another kind may be one that the change itself ended.
    eventually(&format!("{from} to {to} that goes well: {ok}"), || {
        (dial() && dial()).then_some(())
    });
}

/// The first line of a node that ended like this.
#[track_caller]
pub(crate) fn await_close(mesh: &Mesh, node: &str, close: &str) -> Value {
    mesh.node(node).await_access(close, |line| line["close"] == close)
}

/// Every field of `expect` is in `line`.
#[track_caller]
pub(crate) fn fields(line: &Value, expect: &Value) {
    for (key, value) in expect.as_object().unwrap() {
        assert_eq!(&line[key], value, "{key} of {line}");
    }
}

/// Taps on every link of these nodes, the ones between their pods included.
#[derive(Debug)]
pub(crate) struct Taps(Vec<Running>);

impl Taps {
    #[track_caller]
    pub(crate) fn on(mesh: &Mesh, nodes: &[&str]) -> Self {
        let tap = |node: &&str| {
            let tap = mesh.node(node).peer(&["sniff", CANARY]);
            assert_eq!(tap.said(0)["listening"], true);
            tap
        };
        Self(nodes.iter().map(tap).collect())
    }

    /// In how many packets the canary was heard.
    #[track_caller]
    pub(crate) fn heard(self) -> u64 {
        let heard = self.0.into_iter().map(|tap| {
            let heard = tap.finish();
            assert!(heard["packets"].as_u64() > Some(0), "{heard}");
            heard["sang"].as_u64().unwrap()
        });
        heard.sum()
    }
}

/// Sends the canary there and back.
#[track_caller]
pub(crate) fn sing(mesh: &Mesh, from: &str, to: SocketAddr) {
    let told = mesh.pod(from).ask_peer("tell", to, &[&CANARY]);
    assert_eq!(told["ok"], true, "{told}");
}

/// Sends the canary while the nodes' links are listened to; in how many packets it was heard.
#[track_caller]
pub(crate) fn sung(mesh: &Mesh, nodes: &[&str], from: &str, to: SocketAddr) -> u64 {
    let taps = Taps::on(mesh, nodes);
    sing(mesh, from, to);
    taps.heard()
}
