//! What is written and not done is told where it is written, and what several say of one host is
//! put together.
use super::*;
use crate::compile::http::plan::gateway::ClientAuth;

fn told(plan: &Asked) -> Vec<String> {
    let one =
        |note: &crate::problem::Problem| format!("{}:{} {}", note.line, note.column, note.message);
    plan.notes.iter().map(one).collect()
}

/// Alone in its text, but for what stands before it.
fn alone(text: &str) -> Vec<String> {
    let read = read(text);
    told(&plan_of(&read, false))
}

#[test]
fn what_a_server_cannot_speak_is_told_at_its_place() {
    let text = "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: public, namespace: edge}
spec:
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: [a.example.com]
    tls:
      mode: MUTUAL
      credentialName: cert
      insecureSkipVerify: true
      minProtocolVersion: TLSV1_0
      maxProtocolVersion: TLSV1_1
      cipherSuites:
      - ECDHE-RSA-AES128-GCM-SHA256
      - AES128-SHA
";
    let told = alone(text);
    let begins = [
        "11:27 insecureSkipVerify is not done",
        "12:27 minProtocolVersion: TLS before 1.2 is not spoken here",
        "13:27 maxProtocolVersion: TLS before 1.2 is not spoken here",
        "16:9 cipher suite AES128-SHA is not spoken here: it is left out",
    ];
    assert_eq!(told.len(), begins.len(), "{told:#?}");
    for (told, begin) in told.iter().zip(begins) {
        assert!(told.starts_with(begin), "{told} is not {begin}");
    }
}

#[test]
fn lists_of_what_was_revoked_are_looked_at_on_both_sides() {
    let plan = plan(
        "---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: public, namespace: edge}
spec:
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: [a.example.com]
    tls: {mode: MUTUAL, serverCertificate: /c, privateKey: /k, caCertificates: /r, caCrl: /x}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec: {host: reviews, trafficPolicy: {tls: {mode: SIMPLE, caCertificates: /r, caCrl: /y}}}
",
    );
    let gateway = &plan.gateways[&ObjectName::new("edge", "public")];
    let Serves::Https { tls, .. } = &gateway.plan.servers[0].serves else { panic!("{gateway:#?}") };
    assert!(matches!(tls.client, ClientAuth::Required { .. }));
    assert_eq!(tls.revoked.as_deref(), Some("/x"));
    let traffic = &service(&plan, "reviews").traffic[0].policy.tls;
    assert!(matches!(traffic, Tls::Originate(tls) if tls.revoked.as_deref() == Some("/y")));
    assert_eq!(told(&plan), [""; 0]);
}

#[test]
fn a_name_of_tls_that_somebody_has_already_is_told() {
    let gateway = |name: &str, born: &str, hosts: [&str; 2]| {
        format!(
            "---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: {name}, namespace: edge, creationTimestamp: '{born}'}}
spec:
  selector: {{istio: edge}}
  servers:
  - {{port: {{number: 443, name: one, protocol: HTTPS}}, hosts: [{}], tls: {{mode: SIMPLE, credentialName: a}}}}
  - {{port: {{number: 443, name: two, protocol: HTTPS}}, hosts: [{}], tls: {{mode: SIMPLE, credentialName: b}}}}
",
            hosts[0], hosts[1]
        )
    };
    let old = gateway("old", "2026-01-01T00:00:00Z", ["a.example.com", "a.example.com"]);
    let young = gateway("young", "2026-02-01T00:00:00Z", ["a.example.com", "b.example.com"]);
    let plan = plan(&(old + &young));
    let told: Vec<_> = plan.notes.iter().map(|note| note.message.as_str()).collect();
    let is = "a.example.com on port 443 is that of";
    assert_eq!(
        told,
        [
            format!("{is} an earlier server, one: nobody is led here"),
            format!("{is} Gateway edge/old, which is older: nobody is led here"),
        ]
    );
}

#[test]
fn a_host_of_several_is_put_together_and_what_is_never_reached_is_told() {
    let route = |name: &str, born: &str, first: &str| {
        format!(
            "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: shop, creationTimestamp: '{born}'}}
spec:
  hosts: [a.example.com]
  gateways: [edge/public]
  http:
  - match: [{{uri: {{prefix: {first}}}}}]
    route: [{{destination: {{host: reviews}}}}]
  - match: [{{uri: {{prefix: /same}}}}]
    route: [{{destination: {{host: reviews}}}}]
  - route: [{{destination: {{host: reviews}}}}]
"
        )
    };
    let gateway = "---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: public, namespace: edge}
spec: {servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}
";
    let old = route("old", "2026-01-01T00:00:00Z", "/old");
    let young = route("young", "2026-02-01T00:00:00Z", "/young");
    let plan = plan(&(gateway.to_owned() + &young + &old));
    let gateway = &plan.gateways[&ObjectName::new("edge", "public")];
    let Serves::Http { hosts, .. } = &gateway.plan.servers[0].serves else {
        panic!("{gateway:#?}")
    };
    let [host] = &hosts[..] else { panic!("{hosts:#?}") };
    let rules: Vec<_> = (host.rules.iter())
        .map(|rule| (rule.at.object.rsplit('/').next().unwrap(), rule.at.index.unwrap()))
        .collect();
    assert_eq!(
        rules,
        [("old", 0), ("old", 1), ("young", 0), ("young", 1), ("old", 2), ("young", 2)],
        "what is for every request comes last"
    );
    let never: Vec<_> = plan.notes.iter().map(|note| note.object.as_deref()).collect();
    assert_eq!(never, [Some("VirtualService/shop/young"); 2], "{:#?}", plan.notes);
    assert!(plan.notes[0].message.contains("VirtualService/shop/old"), "{:#?}", plan.notes);
}

#[test]
fn certificates_that_pods_do_not_get_and_bodies_that_do_not_fit_are_told() {
    let big = "x".repeat((1 << 20) + 1);
    let plan = plan(&format!(
        "---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: reviews, namespace: shop}}
spec: {{host: reviews, trafficPolicy: {{tls: {{mode: MUTUAL, credentialName: client}}}}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: ratings, namespace: shop}}
spec: {{host: ratings, trafficPolicy: {{tls: {{mode: SIMPLE, credentialName: 'configmap://roots'}}}}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: reviews, namespace: shop}}
spec: {{hosts: [reviews], http: [{{directResponse: {{status: 200, body: {{string: {big}}}}}}}]}}
"
    ));
    let [rule, body] = &plan.notes[..] else { panic!("{:#?}", plan.notes) };
    assert_eq!(rule.object.as_deref(), Some("DestinationRule/shop/reviews"));
    assert!(rule.message.contains("told to gateways alone"), "{rule:#?}");
    assert!(rule.fix.as_deref().is_some_and(|fix| fix.contains("credentials_dir")), "{rule:#?}");
    assert_eq!(body.message, "a body of 1048577 bytes is left out: 1 MiB is the most");
}
