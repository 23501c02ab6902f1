//! Names: those of the mesh are answered, all others forwarded, and nobody is left without.
use crate::steps::service;
use e2e::{Mesh, Pod, Running, eventually, programs::of_machine};
use std::{collections::BTreeSet, fs, net::SocketAddr};

/// Of the pod `names`, which is the first one of the first node after the control plane's.
const RESOLVER: &str = "10.77.2.10";

const ENTRY: &str = "\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: mesh}
spec:
  hosts: [api.outside.example]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: TCP, targetPort: 8080}]
  endpoints: [{address: ADDRESS}]
";

/// A mesh with a name server outside of it, and a pod that asks it.
struct Named {
    mesh: Mesh,
    _names: Running,
}

impl Named {
    #[track_caller]
    fn start(test: &str) -> Self {
        let mesh = Mesh::start(test, |m| {
            m.plane();
            m.node("b").outsider("names").pod("one").pod("two");
            let asks = |manifest: culvert_lab::PodManifest| {
                manifest.annotation("culvert.dev/resolvers", RESOLVER)
            };
            m.node("a").pod_with("client", asks);
        });
        assert_eq!(mesh.pod("names").v4().to_string(), RESOLVER);
        for node in ["a", "b"] {
            mesh.node(node).await_tunnels(3);
        }
        let mut dnsmasq = of_machine("dnsmasq", "dnsmasq-base");
        dnsmasq.args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
        ]);
        dnsmasq.args(["--user=root", "--pid-file=", "--log-facility=-", "--log-queries"]);
        dnsmasq.args(["--host-record=far.example,192.0.2.7", "--local=/#/", "--local-ttl=60"]);
        let names = mesh.pod("names").start(dnsmasq);
        names
            .lines()
            .await_from(0, "that it serves", |line| line.contains("started").then_some(()));
        let named = Self { mesh, _names: names };
        eventually("answer of the name server", || {
            (named.dig(&["far.example"]) == ["192.0.2.7"]).then_some(())
        });
        named
    }

    fn client(&self) -> &Pod {
        self.mesh.pod("client")
    }

    /// What `dig +short` says.
    fn dig(&self, words: &[&str]) -> Vec<String> {
        let mut dig = of_machine("dig", "bind9-dnsutils");
        dig.args([&format!("@{RESOLVER}"), "+short", "+time=5", "+tries=1"]).args(words);
        let said = self.client().output(dig);
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        // What went wrong is said as a comment.
        text.lines().filter(|line| !line.starts_with(';')).map(str::to_owned).collect()
    }

    /// What the C library says, with the search list of a pod of Kubernetes.
    fn getent(&self, name: &str) -> BTreeSet<String> {
        let conf = self.mesh.folder().join("resolv.conf");
        let search = "mesh.svc.cluster.local svc.cluster.local cluster.local";
        let text = format!("nameserver {RESOLVER}\nsearch {search}\noptions ndots:5\n");
        fs::write(&conf, text).unwrap();
        let mut shell = of_machine("unshare", "util-linux");
        shell.args(["--mount", "sh", "-ec"]);
        shell.arg("mount --bind \"$1\" /etc/resolv.conf; exec getent ahosts \"$2\"");
        shell.arg("sh").arg(conf).arg(name);
        let said = self.client().output(shell);
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        text.lines().filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect()
    }

    #[track_caller]
    fn write(&self, file: &str, text: &str, name: &str) {
        self.mesh.write(file, text);
        eventually(&format!("answer for {name}"), || (!self.dig(&[name]).is_empty()).then_some(()));
    }
}

const WEB: &str = "web.mesh.svc.cluster.local";

#[test]
fn names_of_the_mesh_are_answered_short_and_long() {
    let named = Named::start("dnsnames");
    named.write("web.yaml", &service("web", "10.96.0.7", "app: one"), WEB);
    named.write("bare.yaml", &service("bare", "None", "app: one"), "bare.mesh.svc.cluster.local");
    assert_eq!(named.dig(&[WEB]), ["10.96.0.7"]);
    assert_eq!(named.dig(&["+tcp", WEB]), ["10.96.0.7"]);
    for name in [WEB, "web", "web.mesh", "web.mesh.svc"] {
        let said = named.getent(name);
        assert!(said.contains("10.96.0.7"), "{name}: {said:?}");
    }
    // Without an address of its own: those of its pods.
    let one = named.mesh.pod("one");
    assert_eq!(named.dig(&["bare.mesh.svc.cluster.local"]), [one.v4().to_string()]);
    assert_eq!(named.dig(&["AAAA", "bare.mesh.svc.cluster.local"]), [one.v6().to_string()]);
    let said = named.getent("bare");
    assert!(one.ns.ips().iter().all(|ip| said.contains(&ip.to_string())), "{said:?}");
}

#[test]
fn a_service_outside_of_the_mesh_gets_an_address_by_which_it_is_reached() {
    let named = Named::start("dnsentry");
    let address = named.mesh.pod("names").v4().to_string();
    named.write("entry.yaml", &ENTRY.replace("ADDRESS", &address), "api.outside.example");
    let vip = named.dig(&["api.outside.example"]).remove(0);
    assert!(vip.starts_with("240.240."), "{vip}");
    let _server = named.mesh.pod("names").serve("greet", 8080);
    let said = named.client().dial("plain", format!("{vip}:80").parse().unwrap());
    assert_eq!(said["ok"], true, "{said}");
    let line = named.mesh.node("a").await_access("its line", |line| line["close"] == "done");
    assert_eq!(line["dst.service"], "api.outside.example", "{line}");
}

#[test]
fn what_the_mesh_does_not_know_is_asked_where_it_was_meant_to() {
    let named = Named::start("dnsforward");
    for way in ["+notcp", "+tcp"] {
        assert_eq!(named.dig(&[way, "far.example"]), ["192.0.2.7"], "{way}");
    }
    assert_eq!(named.getent("far.example"), ["192.0.2.7".to_owned()].into());
    let mut dig = of_machine("dig", "bind9-dnsutils");
    dig.args([&format!("@{RESOLVER}"), "nobody.example"]);
    let said = named.client().run(dig);
    assert!(said.contains("NXDOMAIN"), "{said}");
    // Through the proxy: the kernel counted them.
    assert!(named.mesh.node("a").counter("client", "dns") > 0);
}

#[test]
fn without_the_proxy_a_pods_own_name_server_answers() {
    let named = Named::start("dnskilled");
    named.write("web.yaml", &service("web", "10.96.0.7", "app: one"), WEB);
    named.mesh.node("a").kill();
    // After the lease of its last heartbeat.
    eventually("answer of the pod's own", || {
        (named.dig(&["+tries=1", "+time=1", "far.example"]) == ["192.0.2.7"]).then_some(())
    });
    assert!(named.dig(&[WEB]).is_empty(), "only the mesh knows that name");
    named.mesh.node("a").start();
    eventually("answer of the mesh", || (named.dig(&[WEB]) == ["10.96.0.7"]).then_some(()));
}

#[test]
fn a_services_connections_are_shared_out_and_retried_where_somebody_listens() {
    let named = Named::start("dnsvip");
    let mesh = &named.mesh;
    for pod in ["one", "two"] {
        let manifest = mesh.pod(pod).ns.manifest("mesh", pod).label("tier", "web");
        mesh.write(&format!("{pod}.yaml"), &manifest.to_string());
    }
    named.write("web.yaml", &service("web", "10.96.0.7", "tier: web"), WEB);
    let one = mesh.pod("one").serve("greet", 8080);
    let vip: SocketAddr = "10.96.0.7:80".parse().unwrap();
    // Nobody listens in the other one.
    let said = named.client().ask_peer("many", vip, &[&40]);
    assert_eq!((&said["done"], &said["failed"]), (&40.into(), &0.into()), "{said}");
    let two = mesh.pod("two").serve("greet", 8080);
    let accepted = |server: &e2e::Server| {
        let lines = server.running.lines().json();
        lines.iter().filter(|line| line.get("accepted").is_some()).count()
    };
    assert_eq!(accepted(&one), 40);
    let said = named.client().ask_peer("many", vip, &[&100]);
    assert_eq!((&said["done"], &said["failed"]), (&100.into(), &0.into()), "{said}");
    let [one, two] = [accepted(&one) - 40, accepted(&two)];
    assert_eq!(one + two, 100);
    assert!(one > 10 && two > 10, "{one} and {two}");
    let line = mesh.node("a").await_access("its line", |line| line["path"] == "tunnel");
    assert_eq!(line["dst.service"], WEB, "{line}");
}
