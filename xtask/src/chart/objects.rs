//! What holds for whatever the chart is rendered to.
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// Kinds that are in no namespace.
const CLUSTER: &[&str] = &[
    "ClusterRole",
    "ClusterRoleBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
];

/// Roles that are wherever the control plane may read Secrets.
const SECRETS: &str = "culvert-control-secrets";

/// Capabilities that a node needs.
const NEEDED: &[&str] = &["NET_ADMIN", "SYS_ADMIN"];

/// The objects of a rendering.
pub(super) fn read(rendered: &str) -> Result<Vec<Value>> {
    let all: Vec<Value> = serde_saphyr::from_multiple(rendered).context("not YAML")?;
    Ok(all.into_iter().filter(|object| !object.is_null()).collect())
}

/// Refuses a rendering that breaks a promise of SECURITY.md.
pub(super) fn check(rendered: &str) -> Result<()> {
    for object in read(rendered)? {
        let name = || format!("{} {}", object["kind"], object["metadata"]["name"]);
        placed(&object).with_context(name)?;
        if let Some(template) = object["spec"].get("template") {
            contained(&template["spec"]).with_context(name)?;
        }
        if let Some(template) = object["data"]["pod.json"].as_str() {
            let template: Value = serde_json::from_str(template).with_context(name)?;
            contained(&template["spec"]).with_context(name)?;
        }
        for rule in object["rules"].as_array().into_iter().flatten() {
            modest(rule).with_context(name)?;
        }
    }
    Ok(())
}

fn placed(object: &Value) -> Result<()> {
    let kind = object["kind"].as_str().context("an object without a kind")?;
    let namespace = object["metadata"]["namespace"].as_str();
    if object["metadata"]["name"] == SECRETS {
        ensure!(namespace.is_some_and(|name| name != "culvert-system"), "it is in {namespace:?}");
        return Ok(());
    }
    let expected = (!CLUSTER.contains(&kind)).then_some("culvert-system");
    ensure!(namespace == expected, "it is in {namespace:?}, not in {expected:?}");
    Ok(())
}

/// No pod has more than it needs.
fn contained(pod: &Value) -> Result<()> {
    let is_node = pod["hostNetwork"] == true;
    ensure!(pod["enableServiceLinks"] == false, "variables of services would be unknown settings");
    ensure!(pod["hostPID"].is_null() && pod["hostIPC"].is_null(), "it sees the host's processes");
    for container in ["containers", "initContainers"].iter().flat_map(|list| pod[list].as_array()) {
        for container in container {
            let own = &container["securityContext"];
            ensure!(own["privileged"] != true, "it is privileged");
            ensure!(own["allowPrivilegeEscalation"] == false, "it may gain privileges");
            ensure!(own["readOnlyRootFilesystem"] == true, "it may change its files");
            ensure!(own["capabilities"]["drop"][0] == "ALL", "it keeps capabilities");
            let added = own["capabilities"]["add"].as_array().into_iter().flatten();
            let expected: &[&str] = if is_node { NEEDED } else { &[] };
            ensure!(added.eq(expected), "it has other capabilities than {expected:?}");
            let filter = [own, &pod["securityContext"]].map(|of| &of["seccompProfile"]["type"]);
            ensure!(filter.contains(&&Value::from("RuntimeDefault")), "no filter of system calls");
            let declares = is_node && !container["ports"].is_null();
            ensure!(!declares, "a declared port would keep a second pod off the node");
            ensure!(
                !container["resources"]["requests"].is_null() || !is_node,
                "it asks for nothing"
            );
        }
    }
    if !is_node {
        ensure!(pod["securityContext"]["runAsNonRoot"] == true, "it runs as root");
        let host = pod["volumes"].as_array().into_iter().flatten();
        ensure!(
            host.clone().all(|volume| volume["hostPath"].is_null()),
            "it sees the host's files"
        );
    }
    Ok(())
}

/// No rule says more than it must.
fn modest(rule: &Value) -> Result<()> {
    let words = ["apiGroups", "resources", "verbs"].map(|list| rule[list].as_array());
    let mut words = words.into_iter().flatten().flatten();
    ensure!(words.all(|word| word != "*"), "a rule for everything");
    let is_secret = rule["resources"].as_array().is_some_and(|all| all.contains(&"secrets".into()));
    let creates = rule["verbs"] == serde_json::json!(["create"]);
    // Gateways': nobody knows their names beforehand, and the value `gateways.secrets` says where.
    let follows = rule["resources"] == serde_json::json!(["secrets"])
        && rule["verbs"] == serde_json::json!(["list", "watch"]);
    let is_named = !rule["resourceNames"].is_null();
    ensure!(!is_secret || creates || follows || is_named, "a rule for all secrets");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        format!("{:#}", check(text).unwrap_err())
    }

    #[test]
    fn what_breaks_a_promise_is_refused() {
        let role =
            |rule: &str| format!("kind: ClusterRole\nmetadata: {{name: x}}\nrules: [{rule}]\n");
        check(&role("{apiGroups: [''], resources: [pods], verbs: [get]}")).unwrap();
        let all = refusal(&role("{apiGroups: [''], resources: ['*'], verbs: [get]}"));
        assert!(all.contains("a rule for everything"), "{all}");
        let secrets = refusal(&role("{apiGroups: [''], resources: [secrets], verbs: [get]}"));
        assert!(secrets.contains("all secrets"), "{secrets}");
        let elsewhere = refusal("kind: Service\nmetadata: {name: x}\n");
        assert!(elsewhere.contains("culvert-system"), "{elsewhere}");
    }

    #[test]
    fn a_pod_that_sees_more_than_it_must_is_refused() {
        let pod = |spec: &str| {
            format!(
                "kind: Job\nmetadata: {{name: x, namespace: culvert-system}}\n\
                 spec: {{template: {{spec: {{{spec}}}}}}}\n"
            )
        };
        let said = refusal(&pod("enableServiceLinks: false, hostPID: true"));
        assert!(said.contains("processes"), "{said}");
        let said = refusal(&pod(
            "enableServiceLinks: false, containers: [{securityContext: {privileged: true}}]",
        ));
        assert!(said.contains("privileged"), "{said}");
    }
}
