//! One `AdmissionReview` and its answer; pure.
//!
//! What is wrong with the object itself refuses it. What is odd beside other objects is only
//! warned of: people apply in any order. An object that is no other than it was passes whatever it
//! is, so that labels of one that came before can be changed, and its finalizers taken away.
use crate::{
    object::Objects,
    problem::{Problem, Source},
    source::kinds,
};
use culvert_kubernetes::{event::cut, kind::Kind, trim::Trim};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use std::sync::Arc;

const API_VERSION: &str = "admission.k8s.io/v1";

const KIND: &str = "AdmissionReview";

/// Longer warnings are cut by the API server.
const LONGEST_WARNING: usize = 256;

/// More say no more.
const MOST: usize = 10;

/// Longer refusals are cut.
const LONGEST: usize = 4096;

/// What is asked.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    api_version: String,
    kind: String,
    #[serde(borrow)]
    request: Option<Asked<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked<'a> {
    uid: String,
    kind: Named,
    #[serde(default)]
    sub_resource: Option<String>,
    #[serde(default)]
    operation: String,
    #[serde(borrow, default)]
    object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    old_object: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    group: String,
    version: String,
    kind: String,
}

/// What is thought of an object.
#[derive(Debug, Default, PartialEq, Eq)]
struct Verdict {
    refused: Vec<Problem>,
    warnings: Vec<String>,
}

/// The answer to a review; `advise` says what is odd about objects beside the others.
///
/// # Errors
///
/// What it is when it is no review.
pub fn answer(
    body: &[u8],
    advise: impl FnOnce(&Objects) -> Vec<Problem>,
) -> Result<Vec<u8>, String> {
    let review: Review<'_> = serde_json::from_slice(body)
        .map_err(|error| format!("this is no {KIND} of {API_VERSION}: {error}"))?;
    let Review { api_version, kind, request } = review;
    if (&*api_version, &*kind) != (API_VERSION, KIND) {
        return Err(format!("want a {KIND} of {API_VERSION}, not a {kind} of {api_version}"));
    }
    let asked = request.ok_or_else(|| format!("the {KIND} has no request"))?;
    let verdict = judge(&asked, advise);
    let mut response = json!({ "uid": asked.uid, "allowed": verdict.refused.is_empty() });
    if !verdict.warnings.is_empty() {
        response["warnings"] = verdict.warnings.into();
    }
    if !verdict.refused.is_empty() {
        response["status"] = status(&asked.kind, &verdict.refused);
    }
    let answer = json!({ "apiVersion": API_VERSION, "kind": KIND, "response": response });
    Ok(answer.to_string().into_bytes())
}

fn judge(asked: &Asked<'_>, advise: impl FnOnce(&Objects) -> Vec<Problem>) -> Verdict {
    let Asked { kind: Named { group, version, kind }, sub_resource, operation, .. } = asked;
    let followed = kinds::followed();
    let judged = |one: &&Kind| one.is_custom && one.group == group && one.kind == kind;
    let (Some(followed), Some(object)) = (followed.iter().find(judged), asked.object) else {
        return Verdict::default();
    };
    let is_other = sub_resource.as_ref().is_some_and(|part| !part.is_empty());
    if is_other || !matches!(&**operation, "CREATE" | "UPDATE") {
        return Verdict::default();
    }
    let (trim, api_version) = (Trim::new(followed), format!("{group}/{version}"));
    let trimmed = trim.object(&api_version, object).map_err(|error| error.to_string());
    let json = trimmed.and_then(|trimmed| trimmed.json.map_err(|why| why.to_string()));
    let json = match json {
        Ok(json) => json,
        Err(why) => {
            let problem = Problem::of_file("", format!("it cannot be read: {why}"));
            return Verdict { refused: vec![problem], ..Verdict::default() };
        }
    };
    let before = asked.old_object.and_then(|old| trim.object(&api_version, old).ok());
    let is_same = before.and_then(|old| old.json.ok()).is_some_and(|old| is_same(&old, &json));
    let (objects, mut problems) = Objects::of_api(&Source::object("", Arc::clone(&json)));
    problems.sort();
    if !problems.is_empty() && (is_same || is_leaving(&json)) {
        let all = problems
            .iter()
            .map(|problem| format!("not in force as it is: {}", problem.without_place()));
        return Verdict { warnings: short(all), ..Verdict::default() };
    }
    if !problems.is_empty() {
        return Verdict { refused: problems, ..Verdict::default() };
    }
    let advice = advise(&objects);
    let warnings = short(advice.iter().map(Problem::without_place));
    Verdict { warnings, ..Verdict::default() }
}

/// Whether two versions of an object say the same of anything but who they are.
fn is_same(old: &str, new: &str) -> bool {
    let read = |json: &str| serde_json::from_str::<Value>(json).unwrap_or_default();
    let (old, new) = (read(old), read(new));
    let annotations = |object: &Value| object["metadata"]["annotations"].as_object().cloned();
    let said = |object: &Value| annotations(object).unwrap_or_default();
    old["spec"] == new["spec"] && said(&old) == said(&new)
}

fn is_leaving(json: &str) -> bool {
    let object: Value = serde_json::from_str(json).unwrap_or_default();
    !object["metadata"]["deletionTimestamp"].is_null()
}

fn short(warnings: impl Iterator<Item = String>) -> Vec<String> {
    let mut short: Vec<_> = warnings.map(|one| cut(&one, LONGEST_WARNING)).collect();
    short.dedup();
    short.truncate(MOST);
    short
}

/// Why an object is refused, as the API server passes it on.
fn status(kind: &Named, problems: &[Problem]) -> Value {
    let causes: Vec<_> = problems
        .iter()
        .take(MOST)
        .map(|problem| {
            json!({
                "reason": "FieldValueInvalid",
                "field": problem.field.as_deref().unwrap_or_default(),
                "message": cut(&problem.message, LONGEST),
            })
        })
        .collect();
    let mut words: Vec<_> = problems.iter().take(MOST).map(Problem::without_place).collect();
    if let more @ 1.. = problems.len().saturating_sub(MOST) {
        words.push(format!("and {more} more"));
    }
    json!({
        "status": "Failure",
        // Not `Invalid`: kubectl would then show the causes alone, without what to do.
        "code": 400,
        "reason": "BadRequest",
        "message": cut(&words.join("; "), LONGEST),
        "details": { "group": kind.group, "kind": kind.kind, "causes": causes },
    })
}

#[cfg(test)]
mod tests;
