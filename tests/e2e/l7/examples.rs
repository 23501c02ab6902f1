//! Manifests as people write them (two of them with an error that they have to mend): what they say
//! of clients inside of the mesh, and of strangers at the gateway.
use super::{
    bookinfo::stage::{ENROLLED, contained, in_default, write},
    outside::{Machine, Outside},
    visit::{certificate, edge, open, visit},
};
use e2e::{Mesh, Proof, bookinfo::corpus, eventually};
use serde_json::{Value, json};
use std::fs;

const HOST: &str = "external.service.com";
const SITE: &str = "demo.example.com";

/// What the manifests name.
const APP: &str = "
---
apiVersion: v1
kind: Service
metadata: {name: demo-svc}
spec:
  selector: {app: demo-app}
  ports: [{name: http, port: 8080}]
";

const REQUESTS: u32 = 200;

/// The manifests, and what is wrong with them mended.
fn mended() -> Option<(String, String)> {
    let corpus = corpus("example-manifests")?;
    let read = |file: &str| fs::read_to_string(corpus.join(file)).unwrap();
    let security = read("security.yaml").replace("\nname: demo", "\n name: demo");
    let tls = "   tls: {mode: SIMPLE, credentialName: demo}\n   hosts:\n   - demo.example.com";
    Some((security, read("traffic.yaml").replace("   hosts:\n   - demo.example.com", tls)))
}

#[test]
fn what_people_write_is_done() {
    let Some((security, traffic)) = mended() else { return };
    let machine = Machine::new();
    // Where the manifests say that certificates are.
    let own = machine.authority.certify("own", "spiffe://cluster.local/ns/default/sa/client", 30);
    let Proof { certificate, key } = &own;
    machine.copy("certs/myclientcert.pem", certificate);
    machine.copy("certs/client_private_key.pem", key);
    machine.copy("certs/rootcacerts.pem", &machine.authority.root());
    let mesh = Mesh::start("l7examples", |m| {
        m.plane();
        let client = machine.of(m.node("a")).setting("credentials_dir: /etc/certs");
        client.pod_with("client", in_default).outsider("stranger");
        let node = m.node("b").pod_with("other", in_default);
        for pod in ["one", "two"] {
            node.pod_with(pod, |pod| in_default(pod).label("app", "demo-app").port(8080));
        }
    });
    mesh.write("default.yaml", ENROLLED);
    for node in ["a", "b"] {
        mesh.node(node).await_tunnels(4);
    }
    let app = |pod| contained(&mesh, pod, &["book", pod, "[::]:8080"]);
    let apps = ["one", "two"].map(app);
    assert!(apps.iter().all(|app| app.said(0).get("listening").is_some()));
    let proof = machine.authority.certify_as("external", &format!("DNS:{HOST}"), 30);
    let root = machine.authority.root();
    let told = format!(
        "ssl_client_certificate {}; ssl_verify_client on;
         location / {{ return 200 '$ssl_client_verify $ssl_client_serial to $ssl_server_name'; }}",
        root.display()
    );
    let _outside = Outside::start(&mesh, HOST, &proof, &told);
    write(&mesh, &format!("{traffic}{APP}"));
    let ask_from = |pod: &str, server: &str, times: u32| {
        contained(&mesh, pod, &["ask", server, "/", &times.to_string()]).last_words()
    };
    let ask = |server: &str, times| ask_from("client", server, times);

    // At random: each answers half, and not by turns.
    let said = ask("demo-svc:8080", REQUESTS);
    assert_eq!(said["statuses"]["200"], REQUESTS, "{said}");
    let near_half = |count: &Value| {
        let count = count.as_u64().unwrap_or(0);
        // Five standard deviations.
        count.abs_diff(u64::from(REQUESTS) / 2) <= 36
    };
    assert!(near_half(&said["names"]["one"]) && near_half(&said["turns"]), "{said}");

    // In plain text from the client; over TLS to the server, who is shown the certificate.
    let said = ask(&format!("{HOST}:443"), 3);
    assert_eq!(said["statuses"]["200"], 3, "{said}");
    let body = said["bodies"][0].as_str().unwrap();
    assert!(body.starts_with("SUCCESS ") && body.ends_with(&format!(" to {HOST}")), "{said}");

    // In plain text to the application, from outside of the mesh: as long as nothing forbids it.
    let pod = mesh.pod("one").v4();
    let stranger = |path: &str| {
        mesh.pod("stranger").peer(&["ask", &format!("{pod}:8080"), path, "1"]).last_words()
    };
    assert_eq!(stranger("/")["statuses"]["200"], 1);
    write(&mesh, &format!("{traffic}{APP}{security}"));
    eventually("an end of plain text", || (stranger("/")["ok"] == false).then_some(()));
    // Whoever shows no token is refused; what was open before goes on as it is.
    eventually("refusals", || {
        let said = ask_from("other", "demo-svc:8080", 3);
        said["statuses"].get("200").is_none().then_some(())
    });
    let said = ask(&format!("{HOST}:443"), 3);
    assert_eq!(said["statuses"]["200"], 3, "others do not notice: {said}");
}

/// What the gateway was told of the routes, by its own account.
fn routes(mesh: &Mesh) -> Value {
    let dump = edge(mesh).document("/config_dump?resource=dynamic_route_configs");
    let tables = dump["configs"].as_array().unwrap().iter();
    let hosts = tables.flat_map(|one| one["route_config"]["virtual_hosts"].as_array()).flatten();
    hosts.flat_map(|host| host["routes"].as_array()).flatten().cloned().collect()
}

/// How often the gateway has asked the application again.
fn again(mesh: &Mesh) -> u64 {
    let name = "cluster.outbound|8080||demo-svc.default.svc.cluster.local.upstream_rq_retry";
    let stats = edge(mesh).document("/stats?format=json");
    let all = stats["stats"].as_array().unwrap();
    let found = all.iter().find(|one| one["name"] == name);
    found.and_then(|one| one["value"].as_u64()).unwrap_or_default()
}

#[test]
fn strangers_get_what_is_written() {
    let Some((security, traffic)) = mended() else { return };
    let mesh = Mesh::start("l7exgateway", |m| {
        m.plane();
        m.node("edge").without_proxy().outsider("visitor");
        let node = m.node("b");
        for pod in ["one", "two"] {
            node.pod_with(pod, |pod| in_default(pod).label("app", "demo-app").port(8080));
        }
    });
    mesh.write("default.yaml", ENROLLED);
    mesh.node("b").await_tunnels(2);
    let app = |pod| contained(&mesh, pod, &["book", pod, "[::]:8080"]);
    let (first, second) = (app("one"), app("two"));
    assert!([&first, &second].iter().all(|app| app.said(0).get("listening").is_some()));
    let root = certificate(&mesh, SITE, ("istio-system", "demo"));
    // Of the security, what says that the pods take nothing but tunnels.
    let strict = security.split("\n---").find(|one| one.contains("STRICT")).unwrap();
    let strict = strict.trim_start_matches('-');
    write(&mesh, &format!("{traffic}{APP}---{strict}"));
    open(&mesh, "istio-system/istio-ingressgateway");
    let ask = |path: &str| visit(&mesh, &format!("https://{SITE}{path}"), Some(&root), &[]);

    let said = eventually("an answer at 443", || {
        let said = ask("/api/orders");
        (said["status"] == 200).then_some(said)
    });
    assert!(said["name"] == "one" || said["name"] == "two", "{said}");
    assert_eq!(ask("/health")["status"], 200);
    for path in ["/", "/other", "/admin/api"] {
        assert_eq!(ask(path)["status"], 404, "{path}");
    }
    let plain = visit(&mesh, &format!("http://{SITE}/api"), None, &[]);
    assert_eq!(plain["curl"], 7, "nobody listens in plain text: {plain}");
    let pod = mesh.pod("one").v4();
    let past =
        || mesh.pod("visitor").peer(&["ask", &format!("{pod}:8080"), "/api", "1"]).last_words();
    // Pods that were enrolled just now are strict once everybody knows that they take tunnels.
    eventually("nobody past the gateway", || (past()["ok"] == false).then_some(()));

    // Ten seconds for all, and three tries of two.
    let routes = routes(&mesh);
    let to_app = routes.as_array().unwrap();
    assert_eq!(to_app.len(), 2, "{routes}");
    for route in to_app {
        let action = &route["route"];
        assert_eq!(action["timeout"], "10s", "{route}");
        assert_eq!(action["retry_policy"]["num_retries"], 3, "{route}");
        assert_eq!(action["retry_policy"]["per_try_timeout"], "2s", "{route}");
    }
    // Whoever takes longer for one try than he has is given up.
    assert_eq!(ask("/api/hangs")["status"], 504);
    // Where one does not answer, the other is tried; and where neither does, as often as it says.
    drop(first);
    for _ in 0..20 {
        let said = ask("/api");
        assert_eq!((&said["status"], &said["name"]), (&json!(200), &json!("two")), "{said}");
    }
    drop(second);
    let before = again(&mesh);
    assert_eq!(ask("/api")["status"], 503);
    assert_eq!(again(&mesh) - before, 3);

    // Whoever shows no token is refused.
    let _apps = (app("one"), app("two"));
    eventually("the application", || (ask("/health")["status"] == 200).then_some(()));
    write(&mesh, &format!("{traffic}{APP}{security}"));
    eventually("refusals", || (ask("/health")["status"] != 200).then_some(()));
}
