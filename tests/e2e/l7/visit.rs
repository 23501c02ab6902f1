//! The edge of a mesh: a gateway on a node without a proxy, and somebody outside who visits it.
use e2e::{Mesh, Node, programs::of_machine};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The node of the gateway; its pod `visitor` is in no mesh.
pub(super) fn edge(mesh: &Mesh) -> &Node {
    mesh.node("edge")
}

/// Starts a gateway there; it serves when this returns.
#[track_caller]
pub(super) fn open(mesh: &Mesh, name: &str) {
    open_with(mesh, name, &[]);
}

/// The same with more flags.
#[track_caller]
pub(super) fn open_with(mesh: &Mesh, name: &str, more: &[&str]) {
    let token = mesh.plane().token(name);
    edge(mesh).gateway_with(name, mesh.plane(), &token, more);
    edge(mesh).await_gateway();
}

/// A certificate for `host`, as the Secret that a gateway shows, and the file by which clients know it.
#[track_caller]
pub(super) fn certificate(mesh: &Mesh, host: &str, (namespace, name): (&str, &str)) -> PathBuf {
    let made = rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": name, "namespace": namespace},
        "stringData": {"tls.crt": certificate, "tls.key": key},
    });
    mesh.write("secret.yaml", &secret.to_string());
    let file = mesh.folder().join("site.pem");
    fs::write(&file, certificate).unwrap();
    file
}

/// What the visitor is answered, whatever host it asks at the edge: status, who served it by what it
/// says itself, and the body; `root` is what a certificate has to lead to.
#[track_caller]
pub(super) fn visit(mesh: &Mesh, url: &str, root: Option<&Path>, headers: &[&str]) -> Value {
    let root = root.map(|root| root.to_str().expect("a path that is text"));
    let more: Vec<&str> = root.into_iter().flat_map(|root| ["--cacert", root]).collect();
    visit_with(mesh, url, headers, &more)
}

/// The same with more arguments of curl's.
#[track_caller]
pub(super) fn visit_with(mesh: &Mesh, url: &str, headers: &[&str], more: &[&str]) -> Value {
    let mut curl = of_machine("curl", "curl");
    curl.args(["-s", "-i", "--max-time", "20", "--noproxy", "*"]);
    for header in headers {
        curl.args(["-H", header]);
    }
    curl.args(["--connect-to", &format!("::{}:", edge(mesh).ns.ip4())]);
    curl.args(more);
    let said = mesh.pod("visitor").output({
        curl.arg(url);
        curl
    });
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return json!({"curl": said.status.code(), "text": text});
    };
    let status: Option<u16> = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
    let (own, name) = (field("x-own: "), field("x-name: "));
    json!({"status": status, "own": own, "name": name, "body": body.trim_end()})
}
