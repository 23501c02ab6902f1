//! How an object of Istio in the Kubernetes API stands, and how that is written in its status; pure.
use crate::compile::effect::Effect;
use culvert_kubernetes::{event::cut, trim::Key};
use serde::Deserialize;
use serde_json::{Value, json};

/// Longer messages are cut.
const LONGEST: usize = 4096;

/// What became of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) kind: &'static str,
    pub(crate) plural: &'static str,
    /// By which it is followed.
    pub(crate) api_version: String,
    pub(crate) key: Key,
    pub(crate) uid: String,
    pub(crate) generation: u64,
    /// Why it is not in force as it is, and what is instead.
    pub(crate) refused: Option<String>,
    pub(crate) effect: Effect,
}

/// One condition, without its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) name: &'static str,
    pub(crate) is_true: bool,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

/// What an object says of itself in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Told {
    pub(crate) metadata: Stamp,
    pub(crate) status: Option<Status>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Stamp {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

/// A status that somebody wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Status {
    /// A number, or the same as text.
    observed_generation: Value,
    conditions: Option<Vec<Written>>,
}

/// A condition that somebody wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Written {
    #[serde(rename = "type")]
    name: String,
    status: String,
    reason: String,
    message: String,
    last_transition_time: String,
    observed_generation: Value,
}

impl Standing {
    /// Of which object it is.
    pub(crate) fn place(&self) -> (&'static str, Key) {
        (self.kind, self.key.clone())
    }

    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.key.namespace, self.key.name)
    }

    /// What its status is to say.
    pub(crate) fn conditions(&self) -> [Condition; 2] {
        let accepted = match &self.refused {
            None => Condition::yes("Accepted", "Accepted", "understood"),
            Some(why) => Condition::no("Accepted", "Invalid", why),
        };
        let enforced = match (&self.refused, &self.effect) {
            (Some(why), _) => Condition::no("Enforced", "Invalid", why),
            (None, Effect::Whole) => Condition::yes("Enforced", "Enforced", "in force as it is"),
            (None, Effect::Closes(why)) => Condition::no("Enforced", "ClosesMore", why),
            (None, Effect::Less(why)) => Condition::no("Enforced", "DoesLess", why),
            (None, Effect::Nothing(why)) => Condition::no("Enforced", "NoEffect", why),
        };
        [accepted, enforced]
    }

    /// What is wrong with it, if anything is, and in one word.
    pub(crate) fn trouble(&self) -> Option<Condition> {
        self.conditions().into_iter().find(|condition| !condition.is_true)
    }

    /// Whether `status` says so already.
    pub(crate) fn is_told(&self, status: Option<&Status>) -> bool {
        let Some(status) = status else { return false };
        let written = status.conditions.as_deref().unwrap_or_default();
        is_number(&status.observed_generation, self.generation)
            && written.len() == self.conditions().len()
            && self.conditions().iter().all(|condition| {
                let same = written.iter().find(|one| one.name == condition.name);
                same.is_some_and(|one| {
                    is_number(&one.observed_generation, self.generation)
                        && condition.is_same(one)
                        && !one.last_transition_time.is_empty()
                })
            })
    }

    /// What is applied to have its status say so; `now` where a condition was not so before.
    pub(crate) fn written(&self, before: Option<&Status>, now: &str) -> Value {
        let before = before.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let conditions = self.conditions().map(|condition| {
            let earlier = before.iter().find(|one| one.name == condition.name);
            let same = earlier.filter(|one| one.status == condition.status());
            let since = same.map(|one| &*one.last_transition_time).filter(|at| !at.is_empty());
            json!({
                "type": condition.name,
                "status": condition.status(),
                "reason": condition.reason,
                "message": condition.message,
                "lastTransitionTime": since.unwrap_or(now),
                "observedGeneration": self.generation,
            })
        });
        json!({
            "apiVersion": self.api_version,
            "kind": self.kind,
            "metadata": {
                "namespace": &*self.key.namespace,
                "name": &*self.key.name,
                "uid": self.uid,
            },
            "status": { "observedGeneration": self.generation, "conditions": conditions },
        })
    }
}

impl Status {
    /// Whether it says so, of whatever version of the object.
    pub(crate) fn says(&self, condition: &Condition) -> bool {
        let written = self.conditions.iter().flatten();
        written.filter(|one| one.name == condition.name).any(|one| condition.is_same(one))
    }
}

impl Condition {
    fn yes(name: &'static str, reason: &'static str, message: &str) -> Self {
        Self { name, is_true: true, reason, message: message.to_owned() }
    }

    fn no(name: &'static str, reason: &'static str, message: &str) -> Self {
        Self { name, is_true: false, reason, message: cut(message, LONGEST) }
    }

    fn status(&self) -> &'static str {
        if self.is_true { "True" } else { "False" }
    }

    fn is_same(&self, written: &Written) -> bool {
        let Written { status, reason, message, .. } = written;
        (self.status(), self.reason, &self.message) == (&**status, &**reason, message)
    }
}

/// Istio's own writers put it down as text.
fn is_number(value: &Value, number: u64) -> bool {
    value.as_u64() == Some(number) || value.as_str() == Some(&*number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn standing(refused: Option<&str>, effect: Effect, generation: u64) -> Standing {
        Standing {
            kind: "AuthorizationPolicy",
            plural: "authorizationpolicies",
            api_version: "security.istio.io/v1".to_owned(),
            key: Key { namespace: "shop".into(), name: "web".into() },
            uid: "1-2".to_owned(),
            generation,
            refused: refused.map(str::to_owned),
            effect,
        }
    }

    /// As the API server would give back what was written.
    fn read(written: &Value) -> Status {
        serde_json::from_value(written["status"].clone()).unwrap()
    }

    prop_compose! {
        fn any_standing()(
            refused in prop::option::of("[a-z]{1,5}"),
            effect in prop_oneof![
                Just(Effect::Whole),
                "[a-z]{1,5}".prop_map(Effect::Closes),
                "[a-z]{1,5}".prop_map(Effect::Less),
                "[a-z]{1,5000}".prop_map(Effect::Nothing),
            ],
            generation in 1..3_u64,
        ) -> Standing {
            standing(refused.as_deref(), effect, generation)
        }
    }

    proptest! {
        /// What was written is never written again, and what differs is.
        #[test]
        fn it_is_told_once(one in any_standing(), other in any_standing()) {
            prop_assert!(!one.is_told(None));
            let status = read(&one.written(None, "2026-01-01T00:00:00Z"));
            prop_assert!(one.is_told(Some(&status)));
            prop_assert_eq!(other.is_told(Some(&status)), other == one);
            let later = read(&other.written(Some(&status), "2027-01-01T00:00:00Z"));
            prop_assert!(other.is_told(Some(&later)));
        }
    }

    #[test]
    fn a_condition_says_since_when_it_is_so() {
        let (first, later) = ("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
        let bad = standing(Some("spec: no"), Effect::Whole, 1);
        let status = read(&bad.written(None, first));
        let worse =
            standing(Some("spec: not at all"), Effect::Whole, 2).written(Some(&status), later);
        assert_eq!(worse["status"]["conditions"][0]["lastTransitionTime"], first);
        let good = standing(None, Effect::Whole, 3).written(Some(&status), later);
        assert_eq!(good["status"]["conditions"][0]["lastTransitionTime"], later);
        assert_eq!(good["status"]["conditions"][0]["status"], "True");
    }

    #[test]
    fn what_somebody_else_left_there_is_no_status_of_ours() {
        let fine = standing(None, Effect::Whole, 1);
        for status in [
            json!({}),
            json!({"conditions": null}),
            json!({"conditions": [{"type": "WaypointAccepted", "status": "True"}]}),
        ] {
            assert!(!fine.is_told(Some(&serde_json::from_value(status).unwrap())));
        }
        let mut ours = fine.written(None, "2026-01-01T00:00:00Z");
        ours["status"]["observedGeneration"] = "1".into();
        assert!(fine.is_told(Some(&read(&ours))));
    }
}
