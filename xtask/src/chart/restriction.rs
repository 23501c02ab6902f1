//! That a node's proxy changes one annotation of its own pods, and nothing else, whatever RBAC says.
use std::{thread, time::Duration};

use anyhow::{Result, bail, ensure};

use super::server::Server;

/// Two nodes that nobody runs, and the pods that are on them.
const STAGE: &str = r#"
apiVersion: v1
kind: Node
metadata: {name: culvert-here}
---
apiVersion: v1
kind: Node
metadata: {name: culvert-there}
---
apiVersion: v1
kind: Pod
metadata: {name: proxy, namespace: culvert-system}
spec: {nodeName: culvert-here, serviceAccountName: culvert-node, containers: [{name: a, image: none}]}
---
apiVersion: v1
kind: Pod
metadata: {name: here, namespace: culvert-system, annotations: {kept: "yes"}}
spec: {nodeName: culvert-here, serviceAccountName: culvert-node, containers: [{name: a, image: none}]}
---
apiVersion: v1
kind: Pod
metadata: {name: there, namespace: culvert-system}
spec: {nodeName: culvert-there, serviceAccountName: culvert-node, containers: [{name: a, image: none}]}
"#;

const CAPTURED: &str = r#"{"metadata":{"annotations":{"ambient.istio.io/redirection":"enabled"}}}"#;
const RELEASED: &str = r#"{"metadata":{"annotations":{"ambient.istio.io/redirection":null}}}"#;

/// A pod, a patch of it, and what the refusal says; none: it is taken.
const PATCHES: &[(&str, &str, Option<&str>)] = &[
    ("here", CAPTURED, None),
    ("here", RELEASED, None),
    ("there", CAPTURED, Some("its own node only")),
    ("here", r#"{"metadata":{"annotations":{"other":"x"}}}"#, Some("no annotation of a pod but")),
    ("here", r#"{"metadata":{"annotations":{"kept":null}}}"#, Some("no annotation of a pod but")),
    ("here", r#"{"metadata":{"labels":{"app":"x"}}}"#, Some("nothing of a pod but")),
    (
        "here",
        r#"{"spec":{"containers":[{"name":"a","image":"other"}]}}"#,
        Some("nothing of a pod but"),
    ),
];

/// Asks with the token of a proxy's own pod.
pub(super) fn run(server: &Server) -> Result<()> {
    server.fed(&["apply", "-f-"], STAGE)?;
    let tried = with_token(server);
    server.fed(&["delete", "--ignore-not-found", "--grace-period=0", "--force", "-f-"], STAGE)?;
    tried
}

fn with_token(admin: &Server) -> Result<()> {
    let bound = ["--bound-object-kind=Pod", "--bound-object-name=proxy"];
    let ask = ["create", "token", "culvert-node", "-n", "culvert-system"];
    let token = admin.does(&[&ask[..], &bound[..]].concat())?;
    let node = admin.with_token(token.trim())?;
    // A policy takes some moments to be in force everywhere.
    let [.., (pod, patch, _)] = PATCHES else { bail!("no patches") };
    let mut patience = 300;
    while refusal(&node, pod, &[patch, "--dry-run=server"])?.is_none() {
        patience -= 1;
        ensure!(patience > 0, "the policy of admission does not come into force");
        thread::sleep(Duration::from_millis(100));
    }
    for (pod, patch, refused) in PATCHES {
        match (refusal(&node, pod, &[patch])?, refused) {
            (None, None) => {}
            (Some(said), Some(word)) if said.contains(word) => {}
            (said, _) => bail!("{patch} of {pod}: {said:?}, expected {refused:?}"),
        }
    }
    // Somebody else is not held to it.
    admin.does(&["label", "pod", "here", "-n", "culvert-system", "app=x"])?;
    println!("{} changes of pods taken or refused as they must be", PATCHES.len());
    Ok(())
}

fn refusal(server: &Server, pod: &str, patch: &[&str]) -> Result<Option<String>> {
    let words = ["patch", "pod", pod, "-n", "culvert-system", "-p"];
    let output = server.says(&[&words[..], patch].concat())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((!output.status.success()).then_some(said))
}
