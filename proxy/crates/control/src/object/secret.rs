//! `Secret` of core/v1, as far as it is a certificate with its key.
//!
//! Nothing of its content is ever printed: no line of it, no value, no length.
use super::{
    decode::decode,
    meta::{Meta, RawMeta, Scope},
    node::{Entry, Node, Value},
};
use crate::problem::{Code, Origin, Problem, Source};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, de::IgnoredAny as Ignored};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// What a certificate's Secret must hold.
const TLS: &str = "kubernetes.io/tls";

/// Under which names certificates, keys and roots are kept; of others only the names are known.
const KEPT: [&str; 8] = ["tls.crt", "tls.key", "ca.crt", "ca.crl", "cert", "key", "cacert", "crl"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    pub meta: Meta,
    /// `kubernetes.io/tls`, `Opaque` and others.
    pub kind: String,
    /// What certificates are made of, by name.
    pub data: BTreeMap<&'static str, Hidden>,
}

/// Bytes that nobody sees.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(Arc<[u8]>);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "fields that exist and are not used are named, to refuse all others")]
struct RawSecret {
    metadata: RawMeta,
    #[serde(rename = "type")]
    kind: Option<String>,
    api_version: Option<Ignored>,
    data: Option<Ignored>,
    immutable: Option<bool>,
    #[serde(rename = "kind")]
    object: Option<Ignored>,
    string_data: Option<Ignored>,
}

impl Secret {
    pub(in crate::object) fn read(node: &Node, source: &Arc<Source>) -> Result<Self, Vec<Problem>> {
        let hide =
            |problems: Vec<Problem>| problems.into_iter().map(Problem::without_snippet).collect();
        let raw: RawSecret = decode(node, source).map_err(hide)?;
        let mut problems = Vec::new();
        let meta =
            raw.metadata.check(Origin::new(source, node.at), Scope::Namespaced, &mut problems);
        let kind = raw.kind.unwrap_or_else(|| "Opaque".to_owned());
        let mut data = BTreeMap::new();
        for (field, is_encoded) in [("data", true), ("stringData", false)] {
            let Some(field) = node.get(field) else { continue };
            for entry in entries(field, &meta, &mut problems) {
                let kept = KEPT.into_iter().find(|name| *name == &*entry.key);
                match (bytes(entry, is_encoded), kept) {
                    (Ok(bytes), Some(name)) => drop(data.insert(name, Hidden(bytes.into()))),
                    (Ok(_), None) => {}
                    (Err((code, message)), _) => {
                        problems.push(meta.at(entry.node.at).error(message).coded(code));
                    }
                }
            }
        }
        let needs: &[&str] =
            if kind == TLS && problems.is_empty() { &["tls.crt", "tls.key"] } else { &[] };
        for name in needs {
            if data.get(name).is_none_or(|bytes| bytes.0.is_empty()) {
                let problem = meta.named().error(format!("a Secret of type {TLS} needs `{name}`"));
                problems.push(problem.coded(Code::MissingField));
            }
        }
        if problems.is_empty() { Ok(Self { meta, kind, data }) } else { Err(hide(problems)) }
    }
}

impl Hidden {
    /// For whoever uses it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

fn entries<'a>(field: &'a Node, meta: &Meta, problems: &mut Vec<Problem>) -> &'a [Entry] {
    match &field.value {
        Value::Map(entries) => entries,
        Value::Null => &[],
        Value::Bool { .. }
        | Value::Int { .. }
        | Value::Float { .. }
        | Value::Text(_)
        | Value::Seq(_) => {
            problems.push(meta.at(field.at).error("want a mapping").coded(Code::WrongType));
            &[]
        }
    }
}

/// The content of one entry, or what is wrong with it in words that say nothing of it.
fn bytes(entry: &Entry, is_encoded: bool) -> Result<Vec<u8>, (Code, String)> {
    let name = &entry.key;
    match &entry.node.value {
        Value::Text(text) if is_encoded => {
            // Kubernetes takes line ends in it, too.
            let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
            let decoded = STANDARD.decode(text).ok();
            decoded.ok_or_else(|| (Code::BadValue, format!("`{name}` is not base64")))
        }
        Value::Text(text) => Ok(text.as_bytes().to_vec()),
        Value::Null => Ok(Vec::new()),
        Value::Bool { .. }
        | Value::Int { .. }
        | Value::Float { .. }
        | Value::Seq(_)
        | Value::Map(_) => Err((Code::WrongType, format!("`{name}` is not text"))),
    }
}

#[cfg(test)]
mod tests {
    use crate::object::{node::Node, secret::Secret, yaml};
    use crate::problem::{Problem, Source};

    fn read(text: &str) -> Result<Secret, Vec<Problem>> {
        let source = Source::new("secret.yaml", text);
        let (nodes, problems) = yaml::parse(&source);
        let [node]: [Node; 1] = nodes.try_into().unwrap();
        if problems.is_empty() { Secret::read(&node, &source) } else { Err(problems) }
    }

    #[test]
    fn a_certificate_is_kept_and_not_shown() {
        let secret = read(
            "{apiVersion: v1, kind: Secret, type: kubernetes.io/tls, metadata: {name: a}, \
             data: {tls.crt: aHVudGVyMg==}, stringData: {tls.key: hunter3, password: hunter4}}",
        )
        .unwrap();
        assert_eq!(secret.data["tls.crt"].bytes(), b"hunter2");
        assert_eq!(secret.data["tls.key"].bytes(), b"hunter3");
        assert_eq!(secret.data.len(), 2);
        assert!(!format!("{secret:?}").contains("hunter"));
    }

    #[test]
    fn nothing_of_it_is_told() {
        for content in [
            "data: {tls.crt: hunter2!, tls.key: [hunter2]}",
            "data: {tls.crt: 48151623, tls.key: 48151623}",
            "data: 48151623",
            "stringData: {tls.crt: hunter2}",
            "stringData: {a: 48151623, a: 4815}",
            "imutable: hunter2",
            "immutable: 48151623",
        ] {
            let text = format!(
                "{{apiVersion: v1, kind: Secret, type: kubernetes.io/tls, metadata: {{name: a}},\n{content}}}"
            );
            let told: String =
                read(&text).unwrap_err().iter().map(|one| one.in_full() + "\n").collect();
            assert!(!told.contains("hunter2"), "{told}");
            assert!(!told.contains("4815") || content.starts_with("immutable"), "{told}");
        }
    }
}
