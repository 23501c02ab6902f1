//! Events: what happened to an object, told where people look.
use crate::{
    client::Client,
    fault::Fault,
    write::{Place, now_in_micros},
};
use serde_json::{Value, json};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Who tells.
const CONTROLLER: &str = "culvert.dev/control";

/// Longer notes are not taken.
const LONGEST: usize = 1024;

/// Of whom events are that are of no namespace.
const NOWHERE: &str = "default";

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    pub regarding: Regarding<'a>,
    pub severity: Severity,
    /// One word for machines.
    pub reason: &'a str,
    /// What was being done.
    pub action: &'a str,
    /// For a person.
    pub note: &'a str,
    /// What makes it the same as an earlier one: of the same, there is one that counts.
    pub cause: &'a str,
}

/// Which object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Regarding<'a> {
    pub api_version: &'a str,
    pub kind: &'a str,
    /// Empty: the kind has none.
    pub namespace: &'a str,
    pub name: &'a str,
    /// `kubectl describe` looks for it.
    pub uid: &'a str,
}

/// Whether somebody should do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Normal,
    Warning,
}

impl Client {
    /// Tells of an event in the name of `who`; the same one again is counted in the first.
    ///
    /// # Errors
    ///
    /// When the API server does not take it.
    pub async fn tell(&self, event: &Event<'_>, who: &str) -> Result<(), Fault> {
        let name = event.name();
        let place = Place {
            api_version: "events.k8s.io/v1",
            plural: "events",
            namespace: event.namespace(),
            name: &name,
        };
        match self.create(&place, &event.written(&name, who)).await {
            Ok(_) => Ok(()),
            Err(fault) if fault.is_conflict() => {
                let earlier = self.read(&place.path()).await?;
                self.merge(&place, &again(&earlier)).await.map(drop)
            }
            Err(fault) => Err(fault),
        }
    }
}

impl Event<'_> {
    fn namespace(&self) -> &str {
        match self.regarding.namespace {
            "" => NOWHERE,
            namespace => namespace,
        }
    }

    /// The same for the same, whichever replica tells it.
    fn name(&self) -> String {
        let Regarding { kind, name, uid, .. } = self.regarding;
        let mut hasher = DefaultHasher::new();
        (kind, uid, self.reason, self.cause).hash(&mut hasher);
        let short: String = name.chars().take(200).collect();
        format!("{short}.{:016x}", hasher.finish())
    }

    fn written(&self, name: &str, who: &str) -> Value {
        let Self { regarding, severity, reason, action, note, cause: _ } = self;
        let Regarding { api_version, kind, namespace, name: of, uid } = regarding;
        let mut regarding =
            json!({ "apiVersion": api_version, "kind": kind, "name": of, "uid": uid });
        if !namespace.is_empty() {
            regarding["namespace"] = (*namespace).into();
        }
        json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": { "name": name, "namespace": self.namespace() },
            "eventTime": now_in_micros(),
            "reportingController": CONTROLLER,
            "reportingInstance": cut(who, 128),
            "action": action,
            "reason": reason,
            "regarding": regarding,
            "note": cut(note, LONGEST),
            "type": match severity {
                Severity::Normal => "Normal",
                Severity::Warning => "Warning",
            },
        })
    }
}

/// What makes an event that is there one more.
fn again(earlier: &Value) -> Value {
    let count = earlier["series"]["count"].as_u64().unwrap_or(1).saturating_add(1);
    json!({ "series": { "count": count, "lastObservedTime": now_in_micros() } })
}

/// At most so many bytes of it, and whole characters.
pub fn cut(text: &str, most: usize) -> String {
    const MORE: &str = "…";
    if text.len() <= most {
        return text.to_owned();
    }
    let room = most.saturating_sub(MORE.len());
    let end = (0..=room).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    format!("{}{MORE}", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event<'a>(name: &'a str, cause: &'a str) -> Event<'a> {
        let (api_version, kind) = ("v1", "Pod");
        Event {
            regarding: Regarding { api_version, kind, namespace: "shop", name, uid: "1-2" },
            severity: Severity::Warning,
            reason: "NotCaptured",
            action: "Capture",
            note: "no namespace",
            cause,
        }
    }

    #[test]
    fn the_same_is_called_the_same_and_something_else_is_not() {
        assert_eq!(event("web", "a").name(), event("web", "a").name());
        assert_ne!(event("web", "a").name(), event("web", "b").name());
        assert!(event("web", "a").name().starts_with("web."));
        assert!(event(&"x".repeat(253), "a").name().len() <= 253);
    }

    #[test]
    fn one_of_no_namespace_is_told_where_kubelets_tell() {
        let mut event = event("worker-1", "a");
        event.regarding = Regarding { kind: "Node", namespace: "", ..event.regarding };
        let written = event.written("n", "control-1");
        assert_eq!(written["metadata"]["namespace"], "default");
        assert_eq!(written["regarding"].get("namespace"), None);
    }

    #[test]
    fn one_more_is_counted() {
        assert_eq!(again(&json!({}))["series"]["count"], 2);
        assert_eq!(again(&json!({"series": {"count": 7}}))["series"]["count"], 8);
    }

    proptest! {
        #[test]
        fn what_is_cut_is_no_longer_than_it_may_be(text in ".{0,40}", most in 3..40_usize) {
            let short = cut(&text, most);
            prop_assert!(short.len() <= most);
            prop_assert!(text.len() > most || short == text);
        }
    }
}
