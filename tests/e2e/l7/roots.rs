//! A service outside of the mesh, that clients' nodes know by the roots of a `ConfigMap`.
use super::outside::web;
use e2e::{Authority, Mesh, eventually, programs::of_machine};
use serde_json::json;
use std::{fs, net::IpAddr, path::Path};
use tempfile::TempDir;

const HOST: &str = "vault.example";
const ADDRESS: &str = "10.96.7.7";

/// It says by `name` what is spoken at its `port`.
fn service(at: IpAddr, name: &str, port: u16) -> String {
    format!(
        "apiVersion: v1
kind: Service
metadata: {{name: vault, namespace: mesh}}
spec: {{clusterIP: {ADDRESS}, ports: [{{name: {name}, port: {port}, targetPort: 443}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: vault, namespace: mesh, labels: {{kubernetes.io/service-name: vault}}}}
addressType: IPv4
endpoints: [{{addresses: ['{at}']}}]
ports: [{{name: {name}, port: 443}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {{name: vault, namespace: mesh}}
spec:
  targetRefs: [{{group: '', kind: Service, name: vault}}]
  validation:
    hostname: {HOST}
    caCertificateRefs: [{{group: '', kind: ConfigMap, name: vault-roots}}]
"
    )
}

fn roots(authority: &Authority) -> String {
    let roots = fs::read_to_string(authority.root()).unwrap();
    let metadata = json!({"name": "vault-roots", "namespace": "mesh"});
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"ca.crt": roots},
    });
    map.to_string()
}

#[test]
fn tls_is_spoken_to_whoever_the_roots_of_a_config_map_certify() {
    let folder = TempDir::with_prefix("culvert-roots-").unwrap();
    let [other, own] = ["other", "own"].map(|name| Authority::make(&folder.path().join(name)));
    let mesh = Mesh::start("l7roots", |m| {
        m.plane();
        m.node("a").outsider("web").pod("client");
    });
    let proof = own.certify_as("vault", &format!("DNS:{HOST}"), 30);
    // A connection for each request, for one that is open goes on by the roots that it came with.
    let own_words = "location / { keepalive_timeout 0; return 200 '$ssl_protocol to $host'; }";
    let _web = web(&mesh, HOST, &proof, own_words);
    mesh.write("roots.yaml", &roots(&other));
    mesh.write("vault.yaml", &service(mesh.pod("web").v4(), "http", 80));
    let answers = |status: u16| {
        eventually(&format!("{status} of {HOST}"), || {
            let to = format!("{ADDRESS}:80");
            let said = mesh.pod("client").peer(&["ask", &to, "/", "2"]).last_words();
            (said["statuses"][status.to_string()] == 2).then_some(())
        });
    };
    // In plain text from the client; of a server that nobody certifies nothing is asked.
    answers(503);
    mesh.write("roots.yaml", &roots(&own));
    answers(200);
    mesh.write("roots.yaml", &roots(&other));
    answers(503);
}

/// What the client is answered; `root` is what a certificate has to lead to.
fn fetched(mesh: &Mesh, scheme: &str, root: &Path) -> Option<String> {
    let mut curl = of_machine("curl", "curl");
    curl.args(["-s", "-f", "--max-time", "20", "--noproxy", "*"]);
    curl.args(["--resolve", &format!("{HOST}:443:{ADDRESS}"), "--cacert"]).arg(root);
    curl.arg(format!("{scheme}://{HOST}:443/"));
    let said = mesh.pod("client").output(curl);
    said.status.success().then(|| String::from_utf8_lossy(&said.stdout).into_owned())
}

#[test]
fn tls_that_a_client_speaks_itself_is_passed_on_as_it_is() {
    let folder = TempDir::with_prefix("culvert-passed-").unwrap();
    let [other, own] = ["other", "own"].map(|name| Authority::make(&folder.path().join(name)));
    let mesh = Mesh::start("l7passed", |m| {
        m.plane();
        m.node("a").outsider("web").pod("client");
    });
    let proof = own.certify_as("vault", &format!("DNS:{HOST}"), 30);
    let _web = web(&mesh, HOST, &proof, "location / { return 200 '$ssl_protocol to $host'; }");
    mesh.write("roots.yaml", &roots(&own));
    mesh.write("vault.yaml", &service(mesh.pod("web").v4(), "https", 443));
    let said = Some(format!("TLSv1.3 to {HOST}"));
    let root = own.root();

    // TLS is spoken for who does not.
    eventually("TLS for a client without", || {
        (fetched(&mesh, "http", &root) == said).then_some(())
    });
    assert_eq!(fetched(&mesh, "https", &root), said);
    // Who does needs nobody's roots but their own.
    mesh.write("roots.yaml", &roots(&other));
    eventually("nobody who is certified", || fetched(&mesh, "http", &root).is_none().then_some(()));
    assert_eq!(fetched(&mesh, "https", &root), said);
}
