//! Conditions as they are written, so that what is so already stays as it is.
use crate::compile::http::gateway_api::status::Condition;
use culvert_kubernetes::event::cut;
use serde_json::{Value, json};

/// Longer messages are cut.
const LONGEST: usize = 4096;

/// What conditions of ours are called: what is no longer said goes.
const OURS: [&str; 5] =
    ["Accepted", "ResolvedRefs", "Programmed", "Conflicted", "PartiallyInvalid"];

/// Where there are none so far.
pub(super) static NONE: Value = Value::Null;

/// Of which version of an object, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment<'a> {
    pub(super) generation: u64,
    pub(super) now: &'a str,
}

/// All conditions, where there are those of `before`: others' stay, and ours say since when they
/// are so.
pub(super) fn merged(before: &Value, ours: &[Condition], moment: Moment<'_>) -> Value {
    let before = before.as_array().map(Vec::as_slice).unwrap_or_default();
    let is_ours = |one: &&Value| one["type"].as_str().is_some_and(|name| OURS.contains(&name));
    let others = before.iter().filter(|one| !is_ours(one)).cloned();
    let ours = ours.iter().map(|condition| {
        let earlier = before.iter().find(|one| one["type"] == condition.kind);
        written(condition, earlier, moment)
    });
    others.chain(ours).collect()
}

fn written(condition: &Condition, earlier: Option<&Value>, moment: Moment<'_>) -> Value {
    let Condition { kind, is_so, reason, message } = condition;
    let status = if *is_so { "True" } else { "False" };
    let since = earlier.filter(|one| one["status"] == status);
    let since = since.and_then(|one| one["lastTransitionTime"].as_str());
    json!({
        "type": kind,
        "status": status,
        "reason": reason,
        "message": cut(message, LONGEST),
        "lastTransitionTime": since.unwrap_or(moment.now),
        "observedGeneration": moment.generation,
    })
}
