//! `ConfigMap` of core/v1, as far as it holds the settings of the mesh.
use super::{
    decode::decode,
    meta::{Meta, RawMeta, Scope},
    node::{Entry, Node, Value},
    spanned::Spanned,
    yaml,
};
use crate::{
    compile::mesh::Certificates,
    problem::{Mark, Origin, Problem, Source},
};
use serde::{Deserialize, de::IgnoredAny as Ignored};
use std::{collections::BTreeMap, sync::Arc};

/// The names it goes by, ours first.
const NAMES: [&str; 2] = ["mesh", "istio"];

/// Where it is looked for.
pub(crate) const NAMESPACES: [&str; 2] = ["culvert-system", "istio-system"];

/// Under which key the settings are.
const KEY: &str = "mesh";

/// Settings that exist, and that a later version reads.
const LATER: [&str; 9] = [
    "accessLogEncoding",
    "accessLogFile",
    "accessLogFormat",
    "defaultProviders",
    "enableTracing",
    "extensionProviders",
    "localityLbSetting",
    "meshMTLS",
    "outboundTrafficPolicy",
];

/// The settings of the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshSettings {
    pub meta: Meta,
    pub root_namespace: Option<Spanned<String>>,
    pub trust_domain: Option<Spanned<String>>,
    /// Connections to what nobody knows are refused.
    pub registry_only: bool,
    /// What applications are told of their clients' certificates.
    pub certificates: Certificates,
    pub notes: Vec<Problem>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "fields that exist and are not used are named, to refuse all others")]
pub(super) struct RawConfigMap {
    pub(super) metadata: RawMeta,
    pub(super) data: Option<BTreeMap<String, Spanned<String>>>,
    api_version: Option<Ignored>,
    kind: Option<Ignored>,
    binary_data: Option<Ignored>,
    immutable: Option<Ignored>,
}

/// What is wrong inside of the text, placed as well as it can be.
struct Inner<'a> {
    origin: &'a Origin,
    text: Spanned<String>,
}

impl MeshSettings {
    /// Whether a `ConfigMap` holds settings of the mesh; others are nobody's business.
    pub(super) fn is_meant(node: &Node) -> bool {
        let field = |key| node.get("metadata").and_then(|meta| meta.text(key));
        field("name").is_some_and(|name| NAMES.contains(&name))
            && field("namespace").is_some_and(|namespace| NAMESPACES.contains(&namespace))
            && node.get("data").is_some_and(|data| data.get(KEY).is_some())
    }

    pub(super) fn read(node: &Node, source: &Arc<Source>) -> Result<Self, Vec<Problem>> {
        let raw: RawConfigMap = decode(node, source)?;
        let mut problems = Vec::new();
        let origin = Origin::new(source, node.at);
        let meta = raw.metadata.check(origin, Scope::Namespaced, &mut problems);
        let text = raw.data.and_then(|mut data| data.remove(KEY));
        let text = text.unwrap_or(Spanned { value: String::new(), at: node.at });
        let inner = Inner { origin: &meta.origin, text };
        let mut settings = Self {
            root_namespace: None,
            trust_domain: None,
            registry_only: false,
            certificates: Certificates::default(),
            notes: Vec::new(),
            meta: meta.clone(),
        };
        let own = Source::new(source.name(), inner.text.value.as_str());
        let (documents, unreadable) = yaml::parse(&own);
        problems.extend(unreadable.into_iter().map(|problem| inner.mend(problem)));
        for document in &documents {
            for (_, entry) in inner.entries(document, &mut problems) {
                settings.field(entry, &inner, &mut problems);
            }
        }
        if problems.is_empty() { Ok(settings) } else { Err(problems) }
    }

    fn field(&mut self, entry: &Entry, inner: &Inner<'_>, problems: &mut Vec<Problem>) {
        let at = inner.mark(entry.node.at);
        let mut text = |node: &Node| {
            if let Value::Text(text) = &node.value
                && !text.is_empty()
            {
                return Some(Spanned { value: String::from(&**text), at });
            }
            let message = format!("want text, not {}", node.value.describe());
            problems.push(inner.at(node.at).error(message));
            None
        };
        match &*entry.key {
            "rootNamespace" => self.root_namespace = text(&entry.node),
            "trustDomain" => self.trust_domain = text(&entry.node),
            "outboundTrafficPolicy" => {
                let mode = entry.node.get("mode").and_then(|_| entry.node.text("mode"));
                match mode {
                    Some("REGISTRY_ONLY") => self.registry_only = true,
                    Some("ALLOW_ANY") => self.registry_only = false,
                    Some(_) | None => {
                        let message = "want {mode: ALLOW_ANY} or {mode: REGISTRY_ONLY}";
                        problems.push(inner.at(entry.node.at).error(message));
                    }
                }
            }
            "defaultConfig" => self.proxies(&entry.node, inner, problems),
            other if LATER.contains(&other) => self.later(other, entry, inner),
            other => {
                let note = inner.at(entry.key_at);
                self.notes.push(note.warning(format!("`{other}` is not used: ignored")));
            }
        }
    }
}

impl MeshSettings {
    fn later(&mut self, name: &str, entry: &Entry, inner: &Inner<'_>) {
        let message = format!("`{name}` is not used yet by this version");
        self.notes.push(inner.at(entry.key_at).warning(message));
    }

    /// `defaultConfig`: of all that is said to proxies, which headers they set.
    fn proxies(&mut self, node: &Node, inner: &Inner<'_>, problems: &mut Vec<Problem>) {
        for (key, entry) in inner.entries(node, problems) {
            if key != "proxyHeaders" {
                self.later(&format!("defaultConfig.{key}"), entry, inner);
                continue;
            }
            for (key, entry) in inner.entries(&entry.node, problems) {
                if key != "forwardedClientCert" {
                    self.later(&format!("defaultConfig.proxyHeaders.{key}"), entry, inner);
                    continue;
                }
                let Value::Text(text) = &entry.node.value else {
                    let message = format!("want text, not {}", entry.node.value.describe());
                    problems.push(inner.at(entry.node.at).error(message));
                    continue;
                };
                match &**text {
                    "UNDEFINED" | "SANITIZE" => self.certificates = Certificates::Sanitize,
                    "SANITIZE_SET" => self.certificates = Certificates::Set,
                    "APPEND_FORWARD" => self.certificates = Certificates::Append,
                    other => {
                        let message =
                            format!("`{other}` is none of the ways in which certificates are told");
                        let problem = inner.at(entry.node.at).error(message);
                        problems.push(
                            problem.with_fix("write SANITIZE, SANITIZE_SET or APPEND_FORWARD"),
                        );
                    }
                }
            }
        }
    }
}

impl Inner<'_> {
    /// What is in a mapping.
    fn entries<'n>(
        &self,
        node: &'n Node,
        problems: &mut Vec<Problem>,
    ) -> Vec<(&'n str, &'n Entry)> {
        match &node.value {
            Value::Map(entries) => entries.iter().map(|one| (&*one.key, one)).collect(),
            Value::Null => Vec::new(),
            Value::Bool { .. }
            | Value::Int { .. }
            | Value::Float { .. }
            | Value::Text(_)
            | Value::Seq(_) => {
                let message = format!("want a mapping, not {}", node.value.describe());
                problems.push(self.at(node.at).error(message));
                Vec::new()
            }
        }
    }

    /// Where something in the text is: a literal block begins on the line after its `|`.
    fn mark(&self, inner: Mark) -> Mark {
        if !self.origin.has_lines() {
            return self.text.at;
        }
        let written = usize::try_from(inner.line).ok().and_then(|line| line.checked_sub(1));
        let written = written.and_then(|line| self.text.value.lines().nth(line));
        for after in [1, 0] {
            let line = self.text.at.line + inner.line - 1 + after;
            let here = self.origin.at(Mark { line, column: 1 });
            let (Some(outer), Some(written)) = (here.line_text(), written) else { continue };
            if let Some(indent) = outer.trim_end().strip_suffix(written.trim_end()) {
                let indent = u32::try_from(indent.chars().count()).unwrap_or(0);
                return Mark { line, column: inner.column + indent };
            }
        }
        self.text.at
    }

    fn at(&self, inner: Mark) -> Origin {
        self.origin.at(self.mark(inner))
    }

    /// A problem of the text as one of the file.
    fn mend(&self, problem: Problem) -> Problem {
        let at = self.at(Mark { line: problem.line, column: problem.column });
        Problem { fix: problem.fix, code: problem.code, ..at.error(problem.message) }
    }
}
