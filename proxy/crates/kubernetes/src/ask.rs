//! Objects that are asked for once, and small changes of one: for what a person does.
use crate::{
    client::{Client, JSON, MERGE, chain, read},
    fault::Fault,
    path,
};
use http::Method;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use std::fmt;

/// An answer has at most so many objects; the rest is asked for again.
const PART: &str = "500";

/// All objects of a kind, those of a namespace, or one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    namespace: Option<String>,
    name: Option<String>,
    /// `a=b`
    selector: Option<String>,
}

/// Why something was not told or done.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {of}")]
pub struct Refused {
    pub verb: &'static str,
    pub of: Resource,
    #[source]
    pub fault: Fault,
}

/// A part of a list.
#[derive(Deserialize)]
struct Part<T> {
    #[serde(default)]
    metadata: PartMeta,
    items: Option<Vec<T>>,
}

#[derive(Default, Deserialize)]
struct PartMeta {
    #[serde(default, rename = "continue")]
    next: String,
}

impl Resource {
    /// A kind of the core: `pods`.
    #[must_use]
    pub const fn core(plural: &'static str) -> Self {
        Self::of_group("", "v1", plural)
    }

    /// `apps`, `v1`, `daemonsets`
    #[must_use]
    pub const fn of_group(
        group: &'static str,
        version: &'static str,
        plural: &'static str,
    ) -> Self {
        Self { group, version, plural, namespace: None, name: None, selector: None }
    }

    #[must_use]
    pub fn within(self, namespace: impl Into<String>) -> Self {
        Self { namespace: Some(namespace.into()), ..self }
    }

    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// Only those with these labels: `app=web,tier=front`.
    #[must_use]
    pub fn labelled(self, labels: &str) -> Self {
        Self { selector: Some(labels.to_owned()), ..self }
    }

    fn path(&self) -> String {
        let Self { group, version, plural, namespace, name, selector: _ } = self;
        let api_version = match *group {
            "" => (*version).to_owned(),
            group => format!("{group}/{version}"),
        };
        let all = path::all(&api_version, namespace.as_deref(), plural);
        match name {
            Some(name) => path::one(&all, name),
            None => all,
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plural, namespace, name, .. } = self;
        match (namespace, name) {
            (Some(namespace), Some(name)) => write!(f, "{plural} {namespace}/{name}"),
            (None, Some(name)) => write!(f, "{plural} {name}"),
            (Some(namespace), None) => write!(f, "{plural} of namespace {namespace}"),
            (None, None) => f.write_str(plural),
        }
    }
}

impl Refused {
    /// The rule that a role lacks, where that is why.
    pub fn lacks(&self) -> Option<String> {
        let Self { verb, of, fault } = self;
        let Resource { group, plural, namespace, .. } = of;
        let role = match namespace {
            Some(namespace) => format!("a Role in namespace {namespace}, or a ClusterRole,"),
            None => "a ClusterRole".to_owned(),
        };
        // A port is forwarded by a GET, which counts as one or the other.
        let verbs = if plural.contains('/') { "get, create" } else { verb };
        fault.is_forbidden().then(|| {
            format!("{role} with apiGroups: [\"{group}\"], resources: [{plural}], verbs: [{verbs}]")
        })
    }
}

impl Client {
    /// The namespace that is meant where none is named.
    pub fn namespace(&self) -> &str {
        self.typed().default_namespace()
    }

    /// One object.
    ///
    /// # Errors
    ///
    /// When the API server does not tell.
    pub async fn one<T: DeserializeOwned>(&self, of: &Resource) -> Result<T, Refused> {
        let one = async { read(&self.get(&of.path(), JSON).await?) };
        one.await.map_err(|fault| Refused { verb: "get", of: of.clone(), fault })
    }

    /// All of them, in parts.
    ///
    /// # Errors
    ///
    /// When the API server does not tell all.
    pub async fn all<T: DeserializeOwned>(&self, of: &Resource) -> Result<Vec<T>, Refused> {
        let list = self.parts(&of.path(), of.selector.as_deref()).await;
        list.map_err(|fault| Refused { verb: "list", of: of.clone(), fault })
    }

    /// All objects at a path, in parts; only those with these labels.
    pub(crate) async fn parts<T: DeserializeOwned>(
        &self,
        path: &str,
        labels: Option<&str>,
    ) -> Result<Vec<T>, Fault> {
        let (mut all, mut next) = (Vec::new(), String::new());
        loop {
            let from = (!next.is_empty()).then_some(&*next);
            let query =
                path::query([("limit", Some(PART)), ("labelSelector", labels), ("continue", from)]);
            let Part { metadata, items } = read(&self.get(&format!("{path}{query}"), JSON).await?)?;
            all.extend(items.into_iter().flatten());
            if metadata.next.is_empty() {
                return Ok(all);
            }
            next = metadata.next;
        }
    }

    /// Changes fields of one object (a merge patch, RFC 7396); the answer is the object after it.
    ///
    /// # Errors
    ///
    /// When the API server does not do it.
    pub async fn change<T: DeserializeOwned>(
        &self,
        of: &Resource,
        change: &Value,
    ) -> Result<T, Refused> {
        let change = async {
            let what = (Method::PATCH, &*of.path());
            read(&self.send(what, MERGE, change.to_string().into_bytes()).await?)
        };
        change.await.map_err(|fault| Refused { verb: "patch", of: of.clone(), fault })
    }
}

/// What kube says went wrong.
pub(crate) fn fault(error: &kube::Error) -> Fault {
    if let kube::Error::Api(status) = error {
        return Fault::Answer { code: status.code, message: status.message.clone() };
    }
    Fault::Unreachable(chain(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_has_a_path_and_a_name_for_people() {
        let pod = Resource::core("pods").within("shop").named("web-0");
        assert_eq!(
            (pod.path().as_str(), pod.to_string()),
            ("/api/v1/namespaces/shop/pods/web-0", "pods shop/web-0".to_owned())
        );
        let set = Resource::of_group("apps", "v1", "daemonsets");
        assert_eq!(set.path(), "/apis/apps/v1/daemonsets");
        assert_eq!(Resource::core("nodes").to_string(), "nodes");
    }

    #[test]
    fn who_may_not_is_told_which_rule_is_lacking() {
        let fault = Fault::of_answer(403, br#"{"code":403,"message":"no"}"#);
        let of = Resource::core("pods").within("shop");
        let refused = Refused { verb: "list", of, fault: fault.clone() };
        assert_eq!(
            refused.lacks().unwrap(),
            "a Role in namespace shop, or a ClusterRole, with apiGroups: [\"\"], resources: [pods], verbs: [list]"
        );
        let of = Resource::core("nodes");
        let refused = Refused { verb: "list", of, fault };
        assert!(refused.lacks().unwrap().starts_with("a ClusterRole with"));
        let fault = Fault::Unreachable("x".to_owned());
        assert!(Refused { fault, ..refused }.lacks().is_none());
    }
}
