//! Gateways that end TLS as members of the mesh do: `ISTIO_MUTUAL`.
use super::{
    Ask, Meant,
    gateways::{EDGE, SECURED},
};
use crate::compile::http::emit::tests::SHOP;
use culvert_model::http::{
    secret::{SecretRef, SecretSource},
    source::{From, GrpcTarget},
    tls::{CertificateSource, DownstreamTransport},
};

const WEB: &str = "spiffe://cluster.local/ns/shop/sa/web";

/// One server on port 443.
fn text(protocol: &str, more: &str) -> String {
    format!(
        "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: r, namespace: shop}}
spec:
  hosts: ['*']
  gateways: [edge]
  http: [{{route: [{{destination: {{host: reviews}}}}]}}]
  tcp: [{{route: [{{destination: {{host: ratings, port: {{number: 3306}}}}}}]}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: edge, namespace: shop}}
spec: {{selector: {{app: edge}}, servers: [{{port: {{number: 443, name: p, protocol: {protocol}}}, hosts: [a.example], tls: {{mode: ISTIO_MUTUAL{more}}}}}]}}
"
    )
}

/// What it is called, and by which server of discovery it is told.
fn of(secret: &SecretRef) -> (&str, &str) {
    let SecretSource::Sds(source) = &secret.source else { panic!("{secret:?}") };
    let From::Grpc(server) = &source.from else { panic!("{secret:?}") };
    let GrpcTarget::Cluster(cluster) = &server.servers[0].to else { panic!("{secret:?}") };
    assert_eq!(source.patience, None, "it is waited for");
    (&*secret.name, &**cluster)
}

#[test]
fn members_are_known_to_policies_by_their_identity() {
    let policy = "---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: friends, namespace: shop}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}]
  rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}]}]
";
    let text = [&text("HTTPS", ""), policy].concat();
    let engine = Meant::of(&[SHOP, &text].concat()).gateway("shop", "edge");
    assert_eq!(Ask { who: Some(WEB), ..SECURED }.said(&engine), "reviews:9080");
    let other = "spiffe://cluster.local/ns/shop/sa/other";
    assert_eq!(Ask { who: Some(other), ..SECURED }.said(&engine), "403");
}

#[test]
fn a_gateway_shows_its_own_identity_and_wants_members() {
    for (protocol, to) in [("HTTPS", "reviews:9080"), ("TLS", "bytes to ratings:3306")] {
        let text = text(protocol, ", subjectAltNames: [a.test]");
        let meant = Meant::of(&[SHOP, &text].concat());
        assert_eq!(meant.notes(), [""; 0]);
        let engine = meant.gateway("shop", "edge");
        let ask = Ask { who: Some(WEB), ..SECURED };
        assert_eq!(ask.said(&engine), to);
        assert_eq!(EDGE.said(&engine), "nobody", "nothing is served without TLS");
        let chain = ask.side(&engine).chain.unwrap();
        let DownstreamTransport::Tls(tls) = &chain.transport else { panic!("{chain:?}") };
        let [CertificateSource::Secret(own)] = &*tls.common.certificates else { panic!("{tls:?}") };
        assert_eq!(of(own), ("default", "sds-grpc"));
        let validation = tls.common.validation.as_ref().unwrap();
        assert_eq!(of(validation.secret.as_ref().unwrap()), ("ROOTCA", "sds-grpc"));
        assert!(tls.require_client_certificate && !validation.here.accept_untrusted);
        assert_eq!(validation.here.sans.len(), 2, "of any kind of name");
    }
}
