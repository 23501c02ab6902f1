//! `ConfigMap` of core/v1, as far as it holds roots by which others are known.
use super::{
    config_map::RawConfigMap,
    decode::decode,
    meta::{Meta, Scope},
    node::{Node, Value},
};
use crate::problem::{Origin, Problem, Source};
use std::sync::Arc;

/// Under which names roots are kept, as Kubernetes and as Istio have it.
pub(crate) const TRUSTED: [&str; 2] = ["ca.crt", "cacert"];

/// And lists of what they have revoked.
pub(crate) const REVOKED: [&str; 2] = ["ca.crl", "crl"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roots {
    pub meta: Meta,
    /// As PEM; it may say nothing.
    pub trusted: Arc<str>,
    pub revoked: Option<Arc<str>>,
}

impl Roots {
    /// Whether a `ConfigMap` holds roots; others are nobody's business.
    pub(super) fn is_meant(node: &Node) -> bool {
        let data = node.get("data");
        data.is_some_and(|data| TRUSTED.iter().any(|name| is_text(data.get(name))))
    }

    pub(super) fn read(node: &Node, source: &Arc<Source>) -> Result<Self, Vec<Problem>> {
        let raw: RawConfigMap = decode(node, source)?;
        let mut problems = Vec::new();
        let origin = Origin::new(source, node.at);
        let meta = raw.metadata.check(origin, Scope::Namespaced, &mut problems);
        let data = raw.data.unwrap_or_default();
        let entry = |names: [&str; 2]| {
            let found = names.iter().find_map(|name| data.get(*name));
            found.map(|text| Arc::from(text.value.as_str()))
        };
        let (trusted, revoked) = (entry(TRUSTED).unwrap_or_default(), entry(REVOKED));
        if problems.is_empty() { Ok(Self { meta, trusted, revoked }) } else { Err(problems) }
    }

    /// Whether somebody can be known by them.
    #[must_use]
    pub fn has_any(&self) -> bool {
        self.trusted.contains("-----BEGIN CERTIFICATE-----")
    }
}

fn is_text(node: Option<&Node>) -> bool {
    node.is_some_and(|node| matches!(node.value, Value::Text(_)))
}

#[cfg(test)]
mod tests {
    use crate::object::Objects;

    #[test]
    fn roots_are_told_from_what_else_a_config_map_may_hold() {
        let text = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: roots, namespace: shop}
data: {ca.crt: '-----BEGIN CERTIFICATE-----', ca.crl: revoked, more: else}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: empty, namespace: shop}
data: {cacert: ''}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: other, namespace: shop}
data: {tls.crt: '-----BEGIN CERTIFICATE-----', list: [1]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: mesh, namespace: culvert-system}
data: {mesh: '', ca.crt: '-----BEGIN CERTIFICATE-----'}
";
        let (objects, problems) = Objects::parse("-", text.as_bytes());
        assert_eq!(problems, []);
        let [roots, empty] = &objects.roots[..] else { panic!("{:?}", objects.roots) };
        assert_eq!(&*roots.meta.name.name, "roots");
        assert_eq!(roots.revoked.as_deref(), Some("revoked"));
        assert!(roots.has_any() && !empty.has_any());
        assert_eq!((objects.settings.len(), objects.skipped.len()), (1, 0));
    }
}
