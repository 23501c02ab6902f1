//! A gateway between meshes (`AUTO_PASSTHROUGH`): TLS of Istio's proxies elsewhere goes, as it is, to
//! the cluster that it asks for.
use super::{
    outside::web,
    visit::{edge, open},
};
use e2e::{Authority, Mesh, Proof, eventually, programs::of_machine};
use tempfile::TempDir;

const PORT: u16 = 8443;
const NAME: &str = "outbound_.443_._.reviews.local";

/// `web` ends TLS as a workload with a sidecar does, and says so.
fn manifests(mesh: &Mesh) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: reviews, namespace: mesh}}
spec:
  hosts: [reviews.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{number: 443, name: tls, protocol: TLS}}]
  endpoints: [{{address: {at}, labels: {{security.istio.io/tlsMode: istio}}}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: edge, namespace: mesh}}
spec:
  selector: {{istio: edge}}
  servers:
  - port: {{number: {PORT}, name: tls, protocol: TLS}}
    hosts: ['*.local']
    tls: {{mode: AUTO_PASSTHROUGH}}
",
        at = mesh.pod("web").v4(),
    )
}

/// What the visitor is told who asks for `name` and offers these protocols.
fn ask(mesh: &Mesh, authority: &Authority, proof: &Proof, (name, alpn): (&str, &str)) -> String {
    let mut shell = of_machine("sh", "dash");
    shell.arg("-c").arg(format!(
        "printf 'GET / HTTP/1.1\\r\\nHost: reviews.local\\r\\nConnection: close\\r\\n\\r\\n' | \
         openssl s_client -quiet -connect {to}:{PORT} -servername {name} -alpn {alpn} \
         -CAfile {root} -verify_return_error -cert {certificate} -key {key} 2>&1",
        to = edge(mesh).ns.ip4(),
        root = authority.root().display(),
        certificate = proof.certificate.display(),
        key = proof.key.display(),
    ));
    String::from_utf8_lossy(&mesh.pod("visitor").output(shell).stdout).into_owned()
}

#[test]
fn tls_of_proxies_elsewhere_goes_to_the_cluster_that_it_asks_for() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::make(&folder.path().join("ca"));
    let certify = |name: &str| {
        authority.certify(name, &format!("spiffe://cluster.local/ns/mesh/sa/{name}"), 1)
    };
    let (server, client) = (certify("reviews"), certify("web"));
    let mesh = Mesh::start("l7gwbetween", |m| {
        m.plane();
        m.node("edge").without_proxy().outsider("visitor").outsider("web");
    });
    // It asks for certificates itself: nothing is ended on the way.
    let root = authority.root();
    let mutual = format!(
        "ssl_client_certificate {}; ssl_verify_client on;
         location / {{ return 200 \"seen $ssl_client_verify for $ssl_server_name\\n\"; }}",
        root.display()
    );
    let _web = web(&mesh, "reviews.local", &server, &mutual);
    mesh.write("edge.yaml", &manifests(&mesh));
    open(&mesh, "mesh/edge");
    let ask = |name, alpn| ask(&mesh, &authority, &client, (name, alpn));
    eventually("what is behind the gateway", || {
        ask(NAME, "istio-http/1.1,http/1.1").contains("seen SUCCESS for").then_some(())
    });
    for (name, alpn) in [
        (NAME, "http/1.1"),
        ("outbound_.80_._.reviews.local", "istio,http/1.1"),
        ("reviews.local", "istio,http/1.1"),
    ] {
        let said = ask(name, alpn);
        assert!(!said.contains("seen"), "{name} {alpn}: {said}");
    }
}
