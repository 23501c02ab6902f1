//! What of a Gateway says what is to be made for it, if anything.
use super::{Address, Service};
use crate::object::gateway_api::gateway::Gateway;
use culvert_kubernetes::trim::Key;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, sync::Arc};

/// What a Service's type is where nobody says, and who says it, as with Istio.
const USUAL_TYPE: &str = "LoadBalancer";
const TYPE: &str = "networking.istio.io/service-type";

/// By which a made object says of what it was made.
pub(crate) const MADE_OF: &str = "culvert.dev/made-of";

/// Longer names fit no label, and no Service.
const LONGEST: usize = 63;

/// A Gateway of one of our classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) key: Key,
    pub(crate) uid: String,
    pub(crate) api_version: String,
    pub(crate) class: Arc<str>,
    pub(crate) way: Way,
}

/// How it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// By what is to be made.
    Made(Wanted),
    /// By a Service that is there.
    Named(Key),
    /// As it says itself.
    Said,
}

/// What is wanted of what is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Type of the Service.
    pub(crate) service_type: String,
    /// What is spoken on each, in one word.
    pub(crate) ports: BTreeMap<u16, &'static str>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

impl Order {
    pub(crate) fn new(gateway: &Gateway, key: &Key, (uid, api_version): (&str, &str)) -> Self {
        let class = Arc::from(&*gateway.spec.gateway_class_name.value);
        let (uid, api_version) = (uid.to_owned(), api_version.to_owned());
        Self { key: key.clone(), uid, api_version, class, way: Way::of(gateway) }
    }

    /// What is made for it is called so.
    pub(crate) fn made_name(&self) -> String {
        fitting(&format!("{}-{}", self.key.name, self.class))
    }

    /// And its service account as itself: by that its identity is known, wherever it runs.
    pub(crate) fn account(&self) -> &str {
        &self.key.name
    }

    /// By which label its pods are known.
    pub(crate) fn label(&self) -> String {
        fitting(&self.key.name)
    }

    /// The Service by which it is reached.
    pub(crate) fn service(&self) -> Option<Key> {
        match &self.way {
            Way::Made(_) => {
                let namespace = Arc::clone(&self.key.namespace);
                Some(Key { namespace, name: self.made_name().into() })
            }
            Way::Named(service) => Some(service.clone()),
            Way::Said => None,
        }
    }
}

impl Way {
    fn of(gateway: &Gateway) -> Self {
        let mut addresses = gateway.spec.addresses.iter().map(|address| &address.value);
        if let Some(first) = addresses.next() {
            let host = (first.kind() == "Hostname").then(|| first.value());
            let own = &gateway.meta.name.namespace;
            return host.and_then(|host| named(host, own)).map_or(Self::Said, Self::Named);
        }
        let mut ports = BTreeMap::new();
        for listener in gateway.spec.listeners.iter().map(|listener| &listener.value) {
            let word = match &*listener.protocol {
                "HTTP" => "http",
                "HTTPS" => "https",
                "TLS" => "tls",
                "TCP" => "tcp",
                _ => continue,
            };
            ports.entry(listener.port().get()).or_insert(word);
        }
        if ports.is_empty() {
            return Self::Said;
        }
        let said = gateway.spec.infrastructure.as_ref().map(|said| &said.value);
        let labels = said.iter().flat_map(|said| &said.labels);
        let annotations = said.iter().flat_map(|said| &said.annotations);
        Self::Made(Wanted {
            service_type: gateway.meta.annotation(TYPE).unwrap_or(USUAL_TYPE).to_owned(),
            ports,
            labels: labels.map(|(key, value)| (key.to_string(), value.to_string())).collect(),
            annotations: annotations
                .map(|(key, value)| (key.to_string(), value.to_string()))
                .collect(),
        })
    }
}

/// The Service that a host name is of: `name`, or `name.namespace.svc…`.
fn named(host: &str, own: &Arc<str>) -> Option<Key> {
    let mut parts = host.split('.');
    let name = parts.next().filter(|name| !name.is_empty())?;
    match (parts.next(), parts.next()) {
        (None, _) => Some(Key { namespace: Arc::clone(own), name: name.into() }),
        // Nobody outside leads strangers into another's namespace.
        (Some(namespace), None | Some("svc")) if *namespace == **own => {
            Some(Key { namespace: namespace.into(), name: name.into() })
        }
        (Some(_), _) => None,
    }
}

/// The same, as a label and a Service can be called: two names stay two.
fn fitting(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase());
    if name.len() <= LONGEST && starts_well && name.chars().all(is_plain) {
        return name.to_owned();
    }
    let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '-' }).collect();
    let hash = Sha256::digest(name.as_bytes());
    let hash: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let kept: String = plain.chars().take(LONGEST - "gw--".len() - hash.len()).collect();
    let first = if starts_well { "" } else { "gw-" };
    format!("{first}{kept}-{hash}")
}

/// A Service as the API has it, as far as it leads to a gateway.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Raw {
    metadata: RawMeta,
    spec: RawSpec,
    status: RawStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawMeta {
    name: String,
    namespace: String,
    annotations: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawSpec {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawStatus {
    load_balancer: RawBalancer,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawBalancer {
    ingress: Option<Vec<RawIngress>>,
}

#[derive(Deserialize)]
struct RawIngress {
    ip: Option<String>,
    hostname: Option<String>,
}

impl Service {
    /// Reads an object of the API.
    pub(crate) fn read(json: &str) -> Self {
        let Raw { metadata, spec, status } = serde_json::from_str(json).unwrap_or_default();
        let RawMeta { name, namespace, mut annotations } = metadata;
        let is_outside = spec.kind == "LoadBalancer";
        let given = status.load_balancer.ingress.into_iter().flatten();
        let given = given.filter_map(|one| {
            let said = |text: Option<String>| text.filter(|text| !text.is_empty());
            let ip = said(one.ip).map(|ip| Address::Ip(ip.into()));
            ip.or_else(|| said(one.hostname).map(|host| Address::Host(host.into())))
        });
        let addresses = match is_outside {
            true => given.collect(),
            // Whoever is in the cluster comes by its name.
            false => vec![Address::Host(format!("{name}.{namespace}.svc.cluster.local").into())],
        };
        let made_of = annotations.remove(MADE_OF).map(Into::into);
        Self { made_of, is_outside, addresses }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_stay_apart() {
        assert_eq!(fitting("edge-culvert"), "edge-culvert");
        let long = "a".repeat(70);
        let other = format!("{}b", "a".repeat(69));
        for (one, another) in [("1st", "2nd"), ("a.b", "a-b"), (&*long, &*other)] {
            let names = [fitting(one), fitting(another)];
            assert_ne!(names[0], names[1]);
            for name in names {
                assert!(name.len() <= LONGEST, "{name}");
                assert!(name.starts_with(|c: char| c.is_ascii_lowercase()), "{name}");
                assert!(!name.contains('.'), "{name}");
            }
        }
    }

    #[test]
    fn a_service_is_reached_where_it_says() {
        let read = |kind: &str, ingress: &str| {
            let meta = r#""metadata":{"name":"edge","namespace":"shop"}"#;
            Service::read(&format!(
                r#"{{{meta},"spec":{{"type":"{kind}"}},"status":{{"loadBalancer":{{"ingress":{ingress}}}}}}}"#
            ))
        };
        let given = read("LoadBalancer", r#"[{"ip":"192.0.2.1"},{"hostname":"edge.example"}]"#);
        let expected = vec![Address::Ip("192.0.2.1".into()), Address::Host("edge.example".into())];
        assert_eq!(given.addresses, expected);
        assert_eq!(read("LoadBalancer", "null").addresses, []);
        let inside = vec![Address::Host("edge.shop.svc.cluster.local".into())];
        assert_eq!(read("ClusterIP", "[]").addresses, inside);
    }

    #[test]
    fn a_host_name_may_name_a_service_beside_it() {
        let own: Arc<str> = "shop".into();
        let name =
            |host: &str| named(host, &own).map(|key| format!("{}/{}", key.namespace, key.name));
        assert_eq!(name("edge").as_deref(), Some("shop/edge"));
        assert_eq!(name("edge.shop.svc.cluster.local").as_deref(), Some("shop/edge"));
        assert_eq!(name("edge.bank.svc.cluster.local"), None);
        assert_eq!(name("www.example.com"), None);
    }
}
