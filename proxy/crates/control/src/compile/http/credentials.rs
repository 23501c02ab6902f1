//! Which Secrets objects name for certificates, keys and roots: of the Kubernetes API no others are read.
use super::{gateway_api::secrets, istio};
use crate::object::Objects;
use culvert_model::name::ObjectName;
use std::collections::BTreeSet;

/// The kinds that name Secrets, and those that say whether they may.
#[must_use]
pub fn is_asked(group: &str, kind: &str) -> bool {
    match group {
        "gateway.networking.k8s.io" => {
            ["Gateway", "GatewayClass", "ReferenceGrant", "BackendTLSPolicy"].contains(&kind)
        }
        "networking.istio.io" => ["Gateway", "DestinationRule"].contains(&kind),
        _ => false,
    }
}

/// All that are named, whether or not they may be.
#[must_use]
pub fn named(objects: &Objects) -> BTreeSet<ObjectName> {
    secrets::named(objects).chain(of_istio(objects)).collect()
}

/// Those that gateways of ours, and whatever says how services are talked to, may name.
#[must_use]
pub fn permitted(objects: &Objects) -> BTreeSet<ObjectName> {
    secrets::permitted(objects).into_iter().chain(of_istio(objects)).collect()
}

/// Istio's objects name those of their own namespace.
fn of_istio(objects: &Objects) -> impl Iterator<Item = ObjectName> {
    let gateways = objects.istio_gateways.iter().flat_map(|gateway| istio::secrets_of(gateway));
    let rules = objects.destination_rules.iter();
    gateways.chain(rules.flat_map(|rule| istio::secrets_to(rule)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATEWAYS: &str = r"
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  gatewayClassName: culvert
  tls:
    frontend:
      default: {validation: {caCertificateRefs: [{group: '', kind: Secret, name: clients}]}}
  listeners:
  - {name: own, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: web}]}}
  - {name: far, port: 444, protocol: HTTPS, tls: {certificateRefs: [{name: web, namespace: bank}]}}
  - {name: other, port: 445, protocol: HTTPS, tls: {certificateRefs: [{name: safe, namespace: bank}]}}
  - {name: passed, port: 446, protocol: TLS, tls: {mode: Passthrough, certificateRefs: [{name: passed}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: other, namespace: shop}
spec:
  gatewayClassName: somebody-elses
  listeners:
  - {name: own, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: theirs}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: web, namespace: bank}
spec:
  from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: shop}]
  to: [{group: '', kind: Secret, name: web}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: web, namespace: shop}
spec:
  targetRefs: [{group: '', kind: Service, name: web}]
  validation: {hostname: web, caCertificateRefs: [{group: '', kind: Secret, name: roots}]}
";

    const ISTIO: &str = r"
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: ['*']
    tls: {mode: SIMPLE, credentialName: kubernetes://simple}
  - port: {number: 444, name: mutual, protocol: HTTPS}
    hosts: ['*']
    tls: {mode: MUTUAL, credentialName: mutual}
  - port: {number: 445, name: passed, protocol: TLS}
    hosts: ['*']
    tls: {mode: PASSTHROUGH}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: shop}
spec:
  host: web
  trafficPolicy:
    tls: {mode: SIMPLE, credentialName: roots}
    portLevelSettings: [{port: {number: 80}, tls: {mode: MUTUAL, credentialName: client}}]
  subsets:
  - {name: old, trafficPolicy: {tls: {mode: DISABLE, credentialName: unused}}}
";

    fn names(names: &BTreeSet<ObjectName>) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn read(text: &str) -> Objects {
        let (objects, problems) = Objects::parse("-", text.as_bytes());
        assert_eq!(problems, []);
        objects
    }

    #[test]
    fn gateways_of_ours_name_what_they_may() {
        let objects = read(GATEWAYS);
        let permitted = permitted(&objects);
        assert_eq!(names(&permitted), ["bank/web", "shop/clients", "shop/roots", "shop/web"]);
        let named = named(&objects);
        let all =
            ["bank/safe", "bank/web", "shop/clients", "shop/roots", "shop/theirs", "shop/web"];
        assert_eq!(names(&named), all);
    }

    #[test]
    fn objects_of_istio_name_those_beside_them() {
        let objects = read(ISTIO);
        let all = [
            "shop/client",
            "shop/client-cacert",
            "shop/mutual",
            "shop/mutual-cacert",
            "shop/roots",
            "shop/roots-cacert",
            "shop/simple",
        ];
        assert_eq!(names(&permitted(&objects)), all);
        assert_eq!(named(&objects), permitted(&objects));
    }
}
