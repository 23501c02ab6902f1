//! Connections that leave by somebody else's forward proxy.
use e2e::{Mesh, Running, eventually, programs::of_machine};
use std::{fs, net::SocketAddr};

/// Where the clients believe that the server is: nobody is there.
const BELIEVED: &str = "240.1.0.7:9090";

/// tinyproxy in the pod `forward`, which leads to port 9090 alone.
#[track_caller]
fn forward_proxy(mesh: &Mesh) -> Running {
    let file = mesh.folder().join("tinyproxy.conf");
    fs::write(&file, "Port 3128\nConnectPort 9090\nLogLevel Connect\nMaxClients 10\n").unwrap();
    let mut tinyproxy = of_machine("tinyproxy", "tinyproxy-bin");
    tinyproxy.args(["-d", "-c"]).arg(file);
    let pod = mesh.pod("forward");
    let running = pod.start(tinyproxy);
    eventually("a forward proxy", || pod.listening().contains(&3128).then_some(()));
    running
}

fn manifests(forward: &str, server: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: db, namespace: mesh}}
spec:
  hosts: [db.example.com]
  addresses: [240.1.0.7]
  location: MESH_EXTERNAL
  resolution: NONE
  ports: [{{name: tcp, number: 9090, protocol: TCP}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: forward, namespace: mesh}}
spec:
  hosts: [forward.example.com]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{{name: tcp, number: 3128, protocol: TCP}}]
  endpoints: [{{address: {forward}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: db, namespace: mesh}}
spec:
  hosts: [db.example.com]
  tcp: [{{route: [{{destination: {{host: forward.example.com, port: {{number: 3128}}}}}}]}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: forward, namespace: mesh}}
spec:
  host: forward.example.com
  trafficPolicy: {{tunnel: {{targetHost: {server}, targetPort: 9090}}}}
"
    )
}

#[test]
fn a_connection_goes_by_the_forward_proxy_that_its_destination_names() {
    let mesh = Mesh::start("l7tunnel", |m| {
        m.plane();
        m.node("a").pod("client").outsider("forward").outsider("server");
    });
    let _server = mesh.pod("server").serve("greet", 9090);
    let proxy = forward_proxy(&mesh);
    let [forward, server] = ["forward", "server"].map(|pod| mesh.pod(pod).v4().to_string());
    mesh.write("routes.yaml", &manifests(&forward, &server));

    // The server speaks first, through the proxy.
    let to: SocketAddr = BELIEVED.parse().unwrap();
    eventually("the server's greeting", || {
        let said = mesh.pod("client").dial("plain", to);
        (said["ok"] == true).then_some(())
    });
    let asked = format!("CONNECT {server}:9090");
    proxy.lines().await_from(0, "the request", |line| line.contains(&asked).then_some(()));
}
