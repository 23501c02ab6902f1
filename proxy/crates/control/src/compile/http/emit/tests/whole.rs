//! From manifests to what engines are told.
use super::{Kind, SHOP, compiler, engine, shown};
use crate::compile::http::emit::{Emitter, names};

/// What is written of all of a kind whose names begin so, for the engine of `shop` on `node-a`.
fn told(text: &str, kind: Kind, prefix: &str) -> String {
    let compiler = compiler(&format!("{SHOP}{text}"));
    shown(&Emitter::new(engine("shop"), compiler.scene()), kind, prefix)
}

/// An external server, who is reached by way of a forward proxy.
const TUNNEL: &str = "
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: db, namespace: shop}
spec:
  hosts: [db.example.com]
  addresses: [240.1.0.7]
  location: MESH_EXTERNAL
  resolution: NONE
  ports: [{name: tcp, number: 5432, protocol: TCP}]
---
apiVersion: v1
kind: Service
metadata: {name: forward, namespace: shop}
spec: {clusterIP: 10.96.0.3, selector: {app: forward}, ports: [{name: tcp, port: 3128}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: db, namespace: shop}
spec:
  hosts: [db.example.com]
  tcp: [{route: [{destination: {host: forward, port: {number: 3128}}}]}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: forward, namespace: shop}
spec:
  host: forward
  trafficPolicy: {tunnel: {protocol: POST, targetHost: db.example.com, targetPort: 5432}}
";

#[test]
fn connections_go_by_the_tunnel_that_their_destination_asks_for() {
    let listener = |text: &str| told(text, Kind::Listener, "240.1.0.7_5432");
    let posted = listener(TUNNEL);
    for part in [
        r#""cluster": "outbound|3128||forward.shop.svc.cluster.local""#,
        r#""hostname": "db.example.com:5432""#,
        r#""use_post": true"#,
    ] {
        assert!(posted.contains(part), "{part}\n{posted}");
    }
    let connects = listener(&TUNNEL.replace("protocol: POST, ", ""));
    assert!(connects.contains("tunneling_config") && !connects.contains("use_post"), "{connects}");
    let address = TUNNEL.replace("targetHost: db.example.com", "targetHost: 'fd00::7'");
    assert!(listener(&address).contains(r#""hostname": "[fd00::7]:5432""#));
    let none = TUNNEL.replace(
        "tunnel: {protocol: POST, targetHost: db.example.com, targetPort: 5432}",
        "connectionPool: {tcp: {maxConnections: 7}}",
    );
    assert!(!listener(&none).contains("tunneling_config"));
}

#[test]
fn shares_go_by_a_tunnel_that_they_have_in_common() {
    let shares = "route: [{destination: {host: forward, port: {number: 3128}}, weight: 80}, \
                  {destination: {host: reviews, port: {number: 9080}}, weight: 20}]";
    let one = "route: [{destination: {host: forward, port: {number: 3128}}}]";
    let shared = TUNNEL.replace(one, shares);
    let said = told(&shared, Kind::Listener, "240.1.0.7_5432");
    assert!(said.contains("weighted_clusters") && !said.contains("tunneling_config"), "{said}");
    let rule = TUNNEL.split("---\n").last().unwrap();
    let other = rule.replace("forward", "reviews");
    let said = told(&format!("{shared}---\n{other}"), Kind::Listener, "240.1.0.7_5432");
    assert!(said.contains("weighted_clusters") && said.contains("tunneling_config"), "{said}");
}

/// A port that does not say what is spoken there.
const UNSAID: &str = "
---
apiVersion: v1
kind: Service
metadata: {name: old, namespace: shop}
spec: {clusterIP: 10.96.0.4, selector: {app: old}, ports: [{port: 7000}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: old, namespace: shop}
spec: {host: old, trafficPolicy: {connectionPool: {tcp: {maxConnections: 7}}}}
";

#[test]
fn a_server_that_speaks_first_is_not_waited_for_where_no_rule_is_for_words() {
    let listener = |text: &str, port: u16| told(text, Kind::Listener, &format!("10.96.0.4_{port}"));
    assert!(listener(UNSAID, 7000).contains(r#""listener_filters_timeout": "1s""#));
    let routed = "
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: old, namespace: shop}
spec: {hosts: [old], http: [{route: [{destination: {host: old}}]}]}
";
    assert!(
        listener(&format!("{UNSAID}{routed}"), 7000)
            .contains(r#""listener_filters_timeout": "0s""#)
    );
    // Of some it is known that they do.
    let mysql = listener(&UNSAID.replace("7000", "3306"), 3306);
    assert!(mysql.contains("tcp_proxy") && !mysql.contains("inspector"), "{mysql}");
}

/// A policy that only L7 can answer, and what applications are told of certificates.
const CERTIFICATES: &str = "
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: readers, namespace: shop}
spec: {selector: {matchLabels: {app: reviews}}, rules: [{to: [{operation: {methods: [GET]}}]}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: mesh, namespace: culvert-system}
data:
  mesh: |
    defaultConfig:
      proxyHeaders: {forwardedClientCert: HOW}
";

#[test]
fn applications_are_told_of_their_clients_certificates_when_that_is_asked() {
    for (how, said, tells) in [
        ("SANITIZE", None, false),
        ("SANITIZE_SET", Some("SANITIZE_SET"), true),
        ("APPEND_FORWARD", Some("APPEND_FORWARD"), true),
    ] {
        let text = CERTIFICATES.replace("HOW", how);
        let inbound = told(&text, Kind::Listener, names::INBOUND);
        assert!(inbound.contains("http_connection_manager"), "{inbound}");
        assert_eq!(inbound.contains(r#""uri": true"#), tells, "{inbound}");
        if let Some(said) = said {
            assert!(
                inbound.contains(&format!(r#""forward_client_cert_details": "{said}""#)),
                "{inbound}"
            );
        }
    }
}
