//! Gateways between meshes: TLS of Istio's proxies elsewhere is passed on by the cluster that it asks
//! for (`AUTO_PASSTHROUGH`).
use super::{Ask, Meant, gateways::SECURED, routes::SUBSETS, said};
use crate::compile::http::emit::{Scope, tests::SHOP};
use culvert_model::{http::tls::DownstreamTransport, name::ObjectName};
use culvert_policy::http::{facts::Connection, why::Engine};

/// One pod of `reviews` ends TLS as members of Istio's mesh do; `outside` is none of the mesh.
const MORE: &str = "---
{apiVersion: v1, kind: Pod, metadata: {name: reviews-v3, namespace: shop, labels: {app: reviews, version: v1, security.istio.io/tlsMode: istio}}, spec: {nodeName: node-b}, status: {podIP: 10.2.0.7, phase: Running}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside, namespace: shop}
spec: {hosts: [outside.local], ports: [{number: 443, name: tls, protocol: TLS}], resolution: DNS}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: hidden, namespace: bank}
spec:
  hosts: [hidden.local]
  location: MESH_INTERNAL
  exportTo: ['.']
  resolution: STATIC
  ports: [{number: 443, name: tls, protocol: TLS}]
  endpoints: [{address: 10.9.0.1}]
";

fn meant(hosts: &str) -> Meant {
    let gateway = format!(
        "---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: eastwest, namespace: shop}}
spec: {{selector: {{istio: eastwest}}, servers: [{{port: {{number: 443, name: tls, protocol: TLS}}, hosts: [{hosts}], tls: {{mode: AUTO_PASSTHROUGH}}}}]}}
"
    );
    let meant = Meant::of(&[SHOP, SUBSETS, MORE, &gateway].concat());
    assert_eq!(meant.notes(), [""; 0]);
    meant
}

/// What becomes of TLS that asks for a name and offers a protocol.
fn asks(engine: &Engine, sni: &str, protocol: &str) -> String {
    let ask = Ask { sni: Some(sni), ..SECURED };
    let connection = Connection { protocols: [protocol.into()].into(), ..ask.connection() };
    said(&engine.why(connection, ask.direction, &ask.request()), &ask.request())
}

#[test]
fn tls_goes_to_the_cluster_that_it_asks_for() {
    let meant = meant("'*.local'");
    let engine = meant.gateway("shop", "eastwest");
    for name in [
        "outbound_.9080_._.reviews.shop.svc.cluster.local",
        "outbound_.9080_.v1_.reviews.shop.svc.cluster.local",
        "outbound_.3306_._.ratings.shop.svc.cluster.local",
    ] {
        assert_eq!(asks(&engine, name, "istio"), format!("bytes to {name}"));
        assert_eq!(asks(&engine, name, "h2"), "nobody", "not one of Istio's proxies");
    }
    for name in [
        "outbound_.9081_._.reviews.shop.svc.cluster.local",
        "outbound_.9080_.v3_.reviews.shop.svc.cluster.local",
        "outbound_.443_._.outside.local",
        "outbound_.443_._.hidden.local",
        "reviews.shop.svc.cluster.local",
    ] {
        assert_eq!(asks(&engine, name, "istio"), "nobody", "{name}");
    }
    let name = "outbound_.9080_._.reviews.shop.svc.cluster.local";
    let ask = Ask { sni: Some(name), ..SECURED };
    let connection = Connection { protocols: ["istio".into()].into(), ..ask.connection() };
    let chain = engine.why(connection, ask.direction, &ask.request()).chain.unwrap();
    assert_eq!(chain.transport, DownstreamTransport::Plain, "it does not end here");
}

#[test]
fn only_services_of_the_servers_hosts_can_be_asked_for() {
    let name = |service: &str| format!("outbound_.80_._.{service}.shop.svc.cluster.local");
    let reviews = "outbound_.9080_._.reviews.shop.svc.cluster.local";
    for (hosts, has_ratings, has_reviews) in [
        ("ratings.shop.svc.cluster.local", true, false),
        ("'shop/*.shop.svc.cluster.local'", true, true),
        ("'bank/*'", false, false),
        ("'./reviews.shop.svc.cluster.local'", false, true),
        ("'*.example'", false, false),
    ] {
        let engine = meant(hosts).gateway("shop", "eastwest");
        let is_led = |name: &str| asks(&engine, name, "istio-peer-exchange") != "nobody";
        assert_eq!(
            (is_led(&name("ratings")), is_led(reviews)),
            (has_ratings, has_reviews),
            "{hosts}"
        );
    }
}

#[test]
fn only_endpoints_that_end_the_tls_are_led_to() {
    let gateway = Some(ObjectName::new("shop", "eastwest"));
    let told = meant("'*'").told(Scope { gateway, ..Scope::of_engine("shop", "") });
    let endpoints = |subset: &str| {
        let name = format!("outbound_.9080_.{subset}_.reviews.shop.svc.cluster.local");
        assert!(told.clusters().value(&name).is_some(), "{name}");
        format!("{:?}", told.assignments().value(&name).unwrap())
    };
    for subset in ["", "v1"] {
        let all = endpoints(subset);
        assert!(all.contains("10.2.0.7") && !all.contains("10.1.0.1"), "{all}");
    }
    let none = endpoints("v2");
    assert!(!none.contains("10.2.0"), "{none}");
}
