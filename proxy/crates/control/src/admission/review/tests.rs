//! Reviews as an API server writes them.
use super::*;
use proptest::prelude::*;

fn policy(spec: &Value) -> Value {
    json!({
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {
            "name": "web", "namespace": "shop", "uid": "1-2", "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"team": "a"},
            "managedFields": [{"manager": "kubectl"}],
        },
        "spec": spec,
        "status": {"conditions": []},
    })
}

fn good() -> Value {
    policy(&json!({"rules": [{"from": [{"source": {"namespaces": ["a"]}}]}]}))
}

fn bad() -> Value {
    policy(&json!({"rules": [{"from": [{"source": {"ipBlocks": ["nonsense"]}}]}]}))
}

fn review(object: &Value, old: &Value) -> Value {
    let operation = if old.is_null() { "CREATE" } else { "UPDATE" };
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5",
            "kind": {"group": "security.istio.io", "version": "v1", "kind": "AuthorizationPolicy"},
            "resource": {
                "group": "security.istio.io", "version": "v1", "resource": "authorizationpolicies",
            },
            "name": "web", "namespace": "shop", "operation": operation,
            "userInfo": {"username": "somebody"}, "object": object, "oldObject": old,
            "dryRun": false, "options": {"kind": "CreateOptions"},
        },
    })
}

fn answered(review: &Value) -> Value {
    let advise = |objects: &Objects| {
        let policies = objects.authorization_policies.iter();
        policies.map(|policy| policy.meta.named().warning("a word")).collect()
    };
    let answer = answer(review.to_string().as_bytes(), advise).unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!((&answer["apiVersion"], &answer["kind"]), (&API_VERSION.into(), &KIND.into()));
    assert_eq!(answer["response"]["uid"], "705ab4f5");
    answer["response"].clone()
}

#[test]
fn a_good_one_passes_with_what_is_to_be_said_of_it() {
    let response = answered(&review(&good(), &Value::Null));
    assert_eq!((&response["allowed"], &response["warnings"]), (&true.into(), &json!(["a word"])));
    assert!(response["status"].is_null());
}

#[test]
fn a_bad_one_is_refused_with_the_field() {
    let response = answered(&review(&bad(), &Value::Null));
    assert_eq!(response["allowed"], false);
    let status = &response["status"];
    assert_eq!(status["code"], 400);
    let message = status["message"].as_str().unwrap();
    assert!(message.contains("spec.rules[0].from[0].source.ipBlocks[0]"), "{message}");
    assert!(message.contains("nonsense"), "{message}");
    assert!(!response.to_string().contains("a word"), "{response}");
    // Made worse by an update: the same.
    assert_eq!(answered(&review(&bad(), &good()))["allowed"], false);
}

#[test]
fn one_that_came_before_can_be_labelled_and_taken_away() {
    let mut labelled = bad();
    labelled["metadata"]["labels"] = json!({"team": "b"});
    labelled["metadata"]["finalizers"] = json!([]);
    labelled["metadata"]["generation"] = 2.into();
    let response = answered(&review(&labelled, &bad()));
    assert_eq!(response["allowed"], true);
    assert!(response["warnings"][0].as_str().unwrap().contains("nonsense"), "{response}");
    let mut leaving = bad();
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    assert_eq!(answered(&review(&leaving, &good()))["allowed"], true);
}

#[test]
fn what_is_no_policy_and_what_is_no_spec_passes() {
    let mut pod = review(&bad(), &Value::Null);
    pod["request"]["kind"] = json!({"group": "", "version": "v1", "kind": "Pod"});
    assert_eq!(answered(&pod)["allowed"], true);
    let mut status = review(&bad(), &good());
    status["request"]["subResource"] = "status".into();
    assert_eq!(answered(&status)["allowed"], true);
    let mut gone = review(&bad(), &Value::Null);
    gone["request"]["operation"] = "DELETE".into();
    gone["request"]["object"] = Value::Null;
    assert_eq!(answered(&gone)["allowed"], true);
}

#[test]
fn what_is_no_review_is_called_so() {
    let refusal = |body: &str| answer(body.as_bytes(), |_| Vec::new()).unwrap_err();
    assert!(refusal("{").contains("AdmissionReview"));
    assert!(refusal("[]").contains("AdmissionReview"));
    let old = review(&good(), &Value::Null).to_string().replace("k8s.io/v1", "k8s.io/v1beta1");
    assert!(refusal(&old).contains("not a AdmissionReview of admission.k8s.io/v1beta1"));
    let empty = json!({"apiVersion": API_VERSION, "kind": KIND}).to_string();
    assert!(refusal(&empty).contains("no request"));
}

#[test]
fn many_problems_and_long_warnings_are_cut() {
    let blocks: Vec<_> = (0..50).map(|number| format!("nonsense-{number}")).collect();
    let long = policy(&json!({"rules": [{"from": [{"source": {"ipBlocks": blocks}}]}]}));
    let message = answered(&review(&long, &Value::Null))["status"]["message"].clone();
    assert!(message.as_str().unwrap().contains("and 40 more"), "{message}");
    let warnings = answered(&review(&long, &long))["warnings"].clone();
    let warnings = warnings.as_array().unwrap();
    assert_eq!(warnings.len(), MOST);
    assert!(warnings.iter().all(|one| one.as_str().unwrap().len() <= LONGEST_WARNING));
}

proptest! {
    /// Whatever is shown, the answer is one, or says that there was no question.
    #[test]
    fn anything_is_answered(object in "[\\[\\]{}:,\"a-z0-9 ]{0,60}", spec in "[a-z*/.0-9]{0,20}") {
        let mut asked = review(&policy(&json!({"rules": [{"to": [{"operation": {"ports": [spec]}}]}]})), &Value::Null);
        prop_assert!(answered(&asked)["allowed"].is_boolean());
        asked["request"]["object"] = object.clone().into();
        prop_assert!(answered(&asked)["allowed"].is_boolean());
        drop(answer(object.as_bytes(), |_| Vec::new()));
    }
}
