//! Which Secrets objects name for certificates, keys and roots, and which `ConfigMap`s for roots: of the
//! Kubernetes API no others are read.
use super::{gateway_api::secrets, istio, plan::has_all};
use crate::{
    gateways::labels::{said, usual},
    object::{Objects, istio::gateway::Gateway},
};
use culvert_model::name::ObjectName;
use std::{collections::BTreeSet, sync::Arc};

/// What certificates are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    Secret,
    ConfigMap,
}

/// One that is named.
pub type Named = (Holder, ObjectName);

impl Holder {
    /// What a reference to the core is to; `None`: to something that holds none.
    pub(super) fn of(group: &str, kind: &str) -> Option<Self> {
        match (group, kind) {
            ("", "Secret") => Some(Self::Secret),
            ("", "ConfigMap") => Some(Self::ConfigMap),
            _ => None,
        }
    }

    /// What a grant has to be for.
    pub(super) const fn kind(self) -> &'static str {
        match self {
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
        }
    }
}

/// The kinds that name them, and those that say whether they may.
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
pub fn named(objects: &Objects) -> BTreeSet<Named> {
    secrets::named(objects).chain(of_istio(objects)).collect()
}

/// Those that gateways of ours, and whatever says how services are talked to, may name.
#[must_use]
pub fn permitted(objects: &Objects) -> BTreeSet<Named> {
    secrets::permitted(objects).into_iter().chain(of_istio(objects)).collect()
}

/// Istio's objects name those of their own namespace, and of those of gateways that they choose.
fn of_istio(objects: &Objects) -> impl Iterator<Item = Named> {
    let gateways = objects.istio_gateways.iter().flat_map(move |gateway| {
        let own = istio::secrets_of(gateway);
        let chosen = homes(gateway, objects).into_iter().flat_map(|home| {
            let there =
                |(holder, named): &Named| (*holder, ObjectName::new(home, Arc::clone(&named.name)));
            own.iter().map(there).collect::<Vec<_>>()
        });
        chosen.chain(own.clone()).collect::<Vec<_>>()
    });
    let rules = objects.destination_rules.iter();
    gateways.chain(rules.flat_map(|rule| istio::secrets_to(rule)))
}

/// Namespaces of gateways that there are by the name of an object, and whose labels are chosen.
fn homes<'a>(chooses: &Gateway, objects: &'a Objects) -> BTreeSet<&'a str> {
    let by_api = objects.kubernetes_gateways.iter().map(|one| {
        let mut labels = usual(&one.meta.name.name);
        labels.extend(said(one));
        (&one.meta.name, labels)
    });
    let of_istio = objects.istio_gateways.iter().map(|one| &one.meta.name);
    let all = by_api.chain(of_istio.map(|name| (name, usual(&name.name))));
    let chosen = all.filter(|(_, labels)| has_all(labels, &chooses.selector));
    chosen.map(|(name, _)| &*name.namespace).collect()
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
      default:
        validation:
          caCertificateRefs:
          - {group: '', kind: Secret, name: clients}
          - {group: '', kind: ConfigMap, name: clients}
          - {group: '', kind: ConfigMap, name: web, namespace: bank}
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
  validation:
    hostname: web
    caCertificateRefs: [{group: '', kind: Secret, name: roots}, {group: '', kind: ConfigMap, name: public}]
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
    tls: {mode: MUTUAL, credentialName: mutual, caCertCredentialName: 'configmap://clients'}
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

    fn names(names: &BTreeSet<Named>, of: Holder) -> Vec<String> {
        let of_it = names.iter().filter(|(holder, _)| *holder == of);
        of_it.map(|(_, name)| name.to_string()).collect()
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
        let secrets = names(&permitted, Holder::Secret);
        assert_eq!(secrets, ["bank/web", "shop/clients", "shop/roots", "shop/web"]);
        // The grant is for Secrets.
        assert_eq!(names(&permitted, Holder::ConfigMap), ["shop/clients", "shop/public"]);
        let named = named(&objects);
        let maps = ["bank/web", "shop/clients", "shop/public"];
        assert_eq!(names(&named, Holder::ConfigMap), maps);
        let all =
            ["bank/safe", "bank/web", "shop/clients", "shop/roots", "shop/theirs", "shop/web"];
        assert_eq!(names(&named, Holder::Secret), all);
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
        assert_eq!(names(&permitted(&objects), Holder::Secret), all);
        assert_eq!(names(&permitted(&objects), Holder::ConfigMap), ["shop/clients"]);
        assert_eq!(named(&objects), permitted(&objects));
    }

    #[test]
    fn secrets_are_beside_the_gateways_that_are_chosen() {
        let chooses = |selector: &str| {
            let istio = ISTIO.replacen("spec:", &format!("spec:\n  selector: {{{selector}}}"), 1);
            let gateway = GATEWAYS.replacen("name: edge", "name: istio-ingressgateway", 1);
            let gateway = gateway.replacen("namespace: shop", "namespace: doors", 1);
            let all = permitted(&read(&format!("{istio}---{gateway}")));
            all.contains(&(Holder::Secret, ObjectName::new("doors", "simple")))
        };
        assert!(chooses("istio: ingressgateway"));
        assert!(!chooses("istio: other"));
    }
}
