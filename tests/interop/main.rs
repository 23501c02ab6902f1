//! Istio's own programs at the other end of tunnels and of configuration streams.
//!
//! Needs root, and the programs that `cargo xtask test interop` builds.
#![expect(clippy::unwrap_used, reason = "a surprise ends the test")]
use e2e::{Authority, Mesh, Proof, Setup, eventually, programs::of_machine};
use serde_json::Value;
use std::process::{Command, Output};
use tempfile::TempDir;

const HBONE: &str = "15008";

/// A mesh whose certificates an authority of ours signs, so that Istio's programs can have some.
struct Interop {
    mesh: Mesh,
    authority: Authority,
    _folder: TempDir,
}

impl Interop {
    #[track_caller]
    fn start(test: &str, describe: impl FnOnce(&mut Setup)) -> Self {
        let folder = TempDir::with_prefix("culvert-interop-").unwrap();
        let authority = Authority::make(&folder.path().join("ca"));
        let mesh = Mesh::start(test, |m| {
            m.plane_setting(&format!("ca_folder: {}", authority.folder().display()));
            describe(m);
        });
        Self { mesh, authority, _folder: folder }
    }

    #[track_caller]
    fn proof(&self, account: &str) -> Proof {
        let uri = format!("spiffe://cluster.local/ns/outside/sa/{account}");
        self.authority.certify(account, &uri, 1)
    }

    /// Istio's client in a pod outside of the mesh asks `to` for a page, by a tunnel of its own.
    #[track_caller]
    fn ask(&self, proof: &Proof, through: &str, to: &str) -> Output {
        let mut client = of_machine("istio-echo-client", "(cargo xtask test interop)");
        client.args(["--hbone", through, "--hbone-ca"]).arg(self.authority.root());
        client.arg("--hbone-client-cert").arg(&proof.certificate);
        client.arg("--hbone-client-key").arg(&proof.key);
        client.args(["--hbone-insecure-skip-verify", "--count", "1", "--timeout", "8s", to]);
        self.mesh.pod("stranger").output(client)
    }
}

/// Starts Istio's server, which answers HTTP, with or without an end of tunnels before it.
#[track_caller]
fn echo_server(mesh: &Mesh, pod: &str, tunnels: Option<&Proof>) -> e2e::Running {
    let mut server = of_machine("istio-echo-server", "(cargo xtask test interop)");
    server.args(["--port", "8080", "--tcp", "9090", "--grpc", "7070", "--metrics", "15090"]);
    server.env("INSTANCE_IP", mesh.pod(pod).v4().to_string());
    if let Some(proof) = tunnels {
        server.args(["--hbone", HBONE, "--tls", HBONE, "--crt"]).arg(&proof.certificate);
        server.arg("--key").arg(&proof.key);
    }
    let running = mesh.pod(pod).start(server);
    eventually("Istio's server", || mesh.pod(pod).listening().contains(&8080).then_some(()));
    if tunnels.is_some() {
        eventually("its tunnels", || mesh.pod(pod).listening().contains(&15008).then_some(()));
    }
    running
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr]
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .concat()
}

#[test]
fn istios_client_comes_in_by_a_tunnel_and_policy_decides() {
    let interop = Interop::start("interopin", |m| {
        m.node("a").outsider("stranger");
        m.node("b").pod("server");
    });
    let mesh = &interop.mesh;
    let _server = echo_server(mesh, "server", None);
    let server = mesh.pod("server").v4();
    let (through, to) = (format!("{server}:{HBONE}"), format!("http://{server}:8080/"));
    let friend = interop.proof("friend");
    let asked = interop.ask(&friend, &through, &to);
    assert!(asked.status.success() && text(&asked).contains("StatusCode=200"), "{}", text(&asked));
    let line = mesh.node("b").await_access("its line", |line| line["direction"] == "inbound");
    assert_eq!(line["src.identity"], "spiffe://cluster.local/ns/outside/sa/friend", "{line}");
    mesh.write(
        "policy.yaml",
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata:\n  name: friends\n  \
         namespace: mesh\nspec:\n  rules: [{from: [{source: {principals: \
         [\"cluster.local/ns/outside/sa/friend\"]}}]}]\n",
    );
    let enemy = interop.proof("enemy");
    eventually("refusal", || {
        let asked = interop.ask(&enemy, &through, &to);
        (!asked.status.success() && text(&asked).contains("401")).then_some(())
    });
    let asked = interop.ask(&friend, &through, &to);
    assert!(asked.status.success(), "{}", text(&asked));
}

#[test]
fn istios_server_takes_our_tunnels() {
    let interop = Interop::start("interopout", |m| {
        m.node("a").pod("client");
        m.node("b").outsider("echo");
    });
    let mesh = &interop.mesh;
    let proof = interop.proof("echo");
    let speaks = mesh.pod("echo").ns.manifest("outside", "echo");
    mesh.write("echo.yaml", &speaks.label("networking.istio.io/tunnel", "http").to_string());
    let _server = echo_server(mesh, "echo", Some(&proof));
    let url = format!("http://{}:8080/", mesh.pod("echo").v4());
    let line = eventually("a tunnel to Istio's server", || {
        let seen = mesh.node("a").access.count();
        let said = mesh.pod("client").run(curl(&url));
        assert!(said.contains("RequestHeader"), "{said}");
        let line = mesh
            .node("a")
            .access
            .await_from(seen, "its line", |line| serde_json::from_str::<Value>(line).ok());
        (line["path"] == "tunnel").then_some(line)
    });
    assert_eq!(line["dst.identity"], "spiffe://cluster.local/ns/outside/sa/echo", "{line}");
}

#[test]
fn an_independent_client_reads_the_whole_stream() {
    let interop = Interop::start("interopxds", |m| {
        m.node("a").pod("client").outsider("stranger");
    });
    let mesh = &interop.mesh;
    mesh.write(
        "more.yaml",
        "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: mesh}\nspec:\n  clusterIP: \
         10.96.0.7\n  selector: {app: client}\n  ports: [{name: http, port: 80, targetPort: 8080}]\n\
         ---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default, \
         namespace: mesh}\nspec: {mtls: {mode: STRICT}}\n",
    );
    let lines = eventually("every resource", || {
        let said = follow(mesh);
        let lines: Vec<Value> =
            said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let has = |name: &str| {
            lines.iter().any(|line| line["name"].as_str().is_some_and(|n| n.contains(name)))
        };
        (has("web.mesh.svc.cluster.local") && has("istio_converted_static_strict")).then_some(lines)
    });
    let client = lines.iter().find(|line| line["name"] == "Kubernetes//Pod/mesh/client").unwrap();
    let workload = &client["resource"]["workload"];
    assert_eq!(workload["tunnelProtocol"], "HBONE", "{client}");
    assert_eq!(workload["serviceAccount"], "client", "{client}");
    assert!(workload["services"].get("mesh/web.mesh.svc.cluster.local").is_some(), "{client}");
}

#[track_caller]
fn follow(mesh: &Mesh) -> String {
    let mut follow = of_machine("istio-follow", "(cargo xtask test interop)");
    follow.arg("127.0.0.1:15010");
    let said = mesh.plane().output(follow);
    assert!(said.status.success(), "{}", text(&said));
    String::from_utf8(said.stdout).unwrap()
}

fn curl(url: &str) -> Command {
    let mut curl = of_machine("curl", "curl");
    curl.args(["--silent", "--show-error", "--fail", "--max-time", "10", url]);
    curl
}
