//! What the API server says of a token, and what follows: pure.
use super::{Account, Refusal, Subject};
use crate::fault::Fault;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

/// By which the API server says what a token is bound to.
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";

/// The answer, as far as it is read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Review {
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    authenticated: bool,
    user: User,
    audiences: Option<Vec<String>>,
    error: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct User {
    username: String,
    extra: Option<BTreeMap<String, Vec<String>>>,
}

/// What is asked.
pub(super) fn question(token: &str, audience: &str) -> Vec<u8> {
    let question = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": { "token": token, "audiences": [audience] },
    });
    question.to_string().into_bytes()
}

/// Who shows the token.
///
/// # Errors
///
/// When it proves nothing that is of use.
pub(super) fn judge(answer: &[u8], want: &Account, audience: &str) -> Result<Subject, Refusal> {
    let garbled = |error: serde_json::Error| Refusal::Unknown(Fault::Garbled(error.to_string()));
    let Review { status } = serde_json::from_slice(answer).map_err(garbled)?;
    let Status { authenticated, user, audiences, error } = status;
    if !authenticated {
        return Err(Refusal::Rejected(error));
    }
    // An API server that looks at no audience says none.
    let audiences = audiences.unwrap_or_default();
    if !audiences.iter().any(|one| one == audience) {
        return Err(Refusal::Audience { of: audiences.join(", "), want: audience.to_owned() });
    }
    if Account::of_user(&user.username).as_ref() != Some(want) {
        return Err(Refusal::Account { of: user.username, want: want.clone() });
    }
    let mut extra = user.extra.unwrap_or_default();
    let mut one = |key: &str| {
        let values = extra.remove(key)?;
        let [value] = <[String; 1]>::try_from(values).ok()?;
        (!value.is_empty()).then_some(value)
    };
    let (Some(pod), Some(pod_uid)) = (one(POD_NAME), one(POD_UID)) else {
        return Err(Refusal::Unbound);
    };
    Ok(Subject { pod, pod_uid, node: one(NODE_NAME) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn node() -> Account {
        Account { namespace: "culvert-system".to_owned(), name: "culvert-node".to_owned() }
    }

    fn good() -> Value {
        json!({ "status": {
            "authenticated": true,
            "user": {
                "username": "system:serviceaccount:culvert-system:culvert-node",
                "uid": "1",
                "groups": ["system:serviceaccounts"],
                "extra": {
                    "authentication.kubernetes.io/credential-id": ["JTI=1"],
                    POD_NAME: ["culvert-node-x"],
                    POD_UID: ["2"],
                    NODE_NAME: ["worker-1"],
                },
            },
            "audiences": ["culvert"],
        } })
    }

    /// What comes of the good answer with one thing changed.
    fn with(pointer: &str, value: Value) -> Result<Subject, String> {
        let mut answer = good();
        *answer.pointer_mut(pointer).unwrap() = value;
        judge(answer.to_string().as_bytes(), &node(), "culvert").map_err(|why| why.to_string())
    }

    #[test]
    fn a_node_is_whoever_has_a_token_of_its_pod() {
        let subject = with("/status/user/uid", json!("1")).unwrap();
        assert_eq!((&*subject.pod, &*subject.pod_uid), ("culvert-node-x", "2"));
        assert_eq!(subject.node.as_deref(), Some("worker-1"));
        let bound = json!({ POD_NAME: ["culvert-node-x"], POD_UID: ["2"] });
        assert_eq!(with("/status/user/extra", bound).unwrap().node, None);
    }

    #[test]
    fn nobody_else_is() {
        let user = "/status/user/username";
        for (pointer, value, why) in [
            ("/status/authenticated", json!(false), "the API server refuses the token"),
            ("/status/audiences", json!(["api"]), "meant for api, not for culvert"),
            ("/status/audiences", Value::Null, "meant for nobody, not for culvert"),
            (user, json!("system:serviceaccount:shop:culvert-node"), "not culvert-system/"),
            (user, json!("system:serviceaccount:culvert-system:culvert-control"), "control's, not"),
            (user, json!("culvert-node"), "culvert-node's, not"),
            ("/status/user/extra", Value::Null, "bound to no pod"),
            ("/status/user/extra", json!({ NODE_NAME: ["worker-1"] }), "bound to no pod"),
            ("/status", json!("no"), "makes no sense"),
        ] {
            let said = with(pointer, value).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
        let two =
            with("/status/user/extra/authentication.kubernetes.io~1pod-uid", json!(["2", "3"]));
        assert!(two.unwrap_err().contains("bound to no pod"));
    }
}
