//! What is followed, and what of each object is kept.
use crate::path;
use std::borrow::Cow;

/// One kind of object.
#[derive(Clone, Debug)]
pub struct Kind {
    /// Empty: the core.
    pub group: &'static str,
    /// The ones that are understood, the best first.
    pub versions: &'static [&'static str],
    pub kind: &'static str,
    /// What it is called in a path.
    pub plural: &'static str,
    /// Somebody may define it, or not: it is waited for.
    pub is_custom: bool,
    /// The fields that are kept, with all that is in them; lists are looked through. Name and
    /// namespace always are, and everything else is dropped before it takes any memory.
    pub fields: &'static [&'static str],
    /// Which annotations are kept, of `metadata.annotations`.
    pub annotations: fn(&str) -> bool,
    /// Only objects of which fields are so: `spec.nodeName=worker-1`.
    pub selector: Option<Cow<'static, str>>,
    /// Only objects with these labels: `app=web,tier=front`.
    pub labels: Option<Cow<'static, str>>,
    /// Only objects of this namespace; `None`: of all.
    pub namespace: Option<Cow<'static, str>>,
    /// Nothing but `metadata` is asked for.
    pub(crate) is_bare: bool,
}

impl Kind {
    /// One that every API server has.
    pub const fn built_in(
        group: &'static str,
        versions: &'static [&'static str],
        kind: &'static str,
        plural: &'static str,
        fields: &'static [&'static str],
    ) -> Self {
        Self {
            group,
            versions,
            kind,
            plural,
            is_custom: false,
            fields,
            annotations: every,
            selector: None,
            labels: None,
            namespace: None,
            is_bare: false,
        }
    }

    /// One that a `CustomResourceDefinition` makes.
    pub const fn custom(
        group: &'static str,
        versions: &'static [&'static str],
        kind: &'static str,
        plural: &'static str,
        fields: &'static [&'static str],
    ) -> Self {
        let mut own = Self::built_in(group, versions, kind, plural, fields);
        own.is_custom = true;
        own
    }

    /// Keeps only the annotations that `is_kept`.
    #[must_use]
    pub fn with_annotations(self, is_kept: fn(&str) -> bool) -> Self {
        Self { annotations: is_kept, ..self }
    }

    /// Follows only objects of which fields are so: `spec.nodeName=worker-1`.
    #[must_use]
    pub fn with_selector(self, selector: impl Into<Cow<'static, str>>) -> Self {
        Self { selector: Some(selector.into()), ..self }
    }

    /// Follows only objects with these labels: `app=web,tier=front`.
    #[must_use]
    pub fn labelled(self, labels: impl Into<Cow<'static, str>>) -> Self {
        Self { labels: Some(labels.into()), ..self }
    }

    /// Follows only objects of this namespace.
    #[must_use]
    pub fn within(self, namespace: impl Into<Cow<'static, str>>) -> Self {
        Self { namespace: Some(namespace.into()), ..self }
    }

    /// The definitions of all custom kinds, as little of them as shows that one changed.
    pub(crate) fn definitions() -> Self {
        let (group, fields) = ("apiextensions.k8s.io", &["metadata.resourceVersion"]);
        let kind = "CustomResourceDefinition";
        let all = Self::built_in(group, &["v1"], kind, "customresourcedefinitions", fields);
        Self { is_bare: true, ..all }
    }

    /// `security.istio.io/v1`, or `v1`.
    pub fn api_version(&self, version: usize) -> String {
        let version = self.versions.get(version).copied().unwrap_or_default();
        match self.group {
            "" => version.to_owned(),
            group => format!("{group}/{version}"),
        }
    }

    /// Where its objects are.
    pub(crate) fn path(&self, version: usize) -> String {
        path::all(&self.api_version(version), self.namespace.as_deref(), self.plural)
    }
}

fn every(_: &str) -> bool {
    true
}
