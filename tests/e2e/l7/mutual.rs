//! A gateway that ends TLS as members of the mesh do (`ISTIO_MUTUAL`): it shows its own identity,
//! and knows whoever comes by theirs.
use super::{
    service,
    visit::{edge, open_with, visit_with},
};
use e2e::{Authority, Mesh, Proof, eventually, programs::of_machine};
use serde_json::Value;
use std::net::SocketAddr;
use tempfile::TempDir;

const HOST: &str = "shop.example.com";
const PORT: u16 = 8443;

/// Only a friend may read.
const MANIFESTS: &str = "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: mesh}
spec:
  selector: {istio: edge}
  servers:
  - port: {number: 8443, name: https, protocol: HTTPS}
    hosts: [shop.example.com]
    tls: {mode: ISTIO_MUTUAL}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: mesh}
spec:
  hosts: [shop.example.com]
  gateways: [edge]
  http: [{route: [{destination: {host: shop, port: {number: 80}}}]}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: friends, namespace: mesh}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}]
  rules: [{from: [{source: {principals: [cluster.local/ns/far/sa/friend]}}]}]
";

fn ask(mesh: &Mesh, proof: Option<&Proof>) -> Value {
    let mut more = vec!["--insecure"];
    if let Some(Proof { certificate, key }) = proof {
        more.extend(["--cert", certificate.to_str().unwrap(), "--key", key.to_str().unwrap()]);
    }
    visit_with(mesh, &format!("https://{HOST}:{PORT}/"), &[], &more)
}

/// What the gateway shows, verified: its serial number and names.
fn shown(mesh: &Mesh, authority: &Authority, Proof { certificate, key }: &Proof) -> String {
    let mut shell = of_machine("sh", "dash");
    shell.arg("-c").arg(format!(
        "openssl s_client -connect {to}:{PORT} -servername {HOST} -CAfile {root} -verify_return_error \
         -cert {certificate} -key {key} </dev/null 2>/dev/null | \
         openssl x509 -noout -serial -ext subjectAltName",
        to = edge(mesh).ns.ip4(),
        root = authority.root().display(),
        certificate = certificate.display(),
        key = key.display(),
    ));
    String::from_utf8_lossy(&mesh.pod("visitor").output(shell).stdout).into_owned()
}

#[test]
fn a_gateway_knows_members_by_their_certificates() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::make(&folder.path().join("ca"));
    let foreign = Authority::make(&folder.path().join("foreign"));
    let mesh = Mesh::start("l7gwmutual", |m| {
        m.plane_setting(&format!("ca_folder: {}", authority.folder().display()));
        m.node("edge").without_proxy().outsider("visitor");
        m.node("a").pod_with("first", |pod| pod.label("role", "shop"));
    });
    let _server = mesh.pod("first").serve("http", 8080);
    mesh.write("shop.yaml", &service().replace(", labels: {culvert.dev/l7: enabled}", ""));
    mesh.write("edge.yaml", MANIFESTS);
    open_with(&mesh, "mesh/edge", &["--certificate-life=20s"]);

    let friend = authority.certify("friend", "spiffe://cluster.local/ns/far/sa/friend", 1);
    let said = eventually("the friend's answer", || {
        let said = ask(&mesh, Some(&friend));
        (said["status"] == 200).then_some(said)
    });
    let own = SocketAddr::new(mesh.pod("first").v4(), 8080).to_string();
    assert_eq!(said["own"], own, "{said}");
    let other = authority.certify("other", "spiffe://cluster.local/ns/far/sa/other", 1);
    assert_eq!(ask(&mesh, Some(&other))["status"], 403, "a member, and not the friend");

    // Nobody else is let in, whatever he calls himself.
    let name = "spiffe://cluster.local/ns/far/sa/friend";
    let domain = "spiffe://other.example/ns/far/sa/friend";
    let strangers = [foreign.certify("stranger", name, 1), authority.certify("domain", domain, 1)];
    for proof in strangers.iter().map(Some).chain([None]) {
        let said = ask(&mesh, proof);
        assert!(said["status"].is_null() && said["curl"] != 0, "{said}");
    }

    // It shows its own certificate, and the one that takes its place.
    let first = shown(&mesh, &authority, &friend);
    assert!(first.contains("URI:spiffe://cluster.local/ns/mesh/sa/edge"), "{first}");
    eventually("another certificate", || {
        let now = shown(&mesh, &authority, &friend);
        (now != first && now.contains("serial=")).then_some(())
    });
    assert_eq!(ask(&mesh, Some(&friend))["status"], 200);
}
