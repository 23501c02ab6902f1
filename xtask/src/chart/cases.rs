//! Values that must do, and values that must be refused with words that help.
use anyhow::{Context as _, Result, bail};

use super::{helm, objects};

/// What people may want, by what they would call it.
pub(super) const GOOD: &[(&str, &[&str])] = &[
    ("as it comes", &[]),
    (
        "everything on",
        &[
            "image.digest=sha256:0123456789012345678901234567890123456789012345678901234567890123",
            r#"image.pullSecrets=[{"name":"registry"}]"#,
            "mesh.network=east",
            "mesh.ambientNamespaces=istio",
            "node.uninstallTimeout=10m",
            r#"node.settings={"strict":true,"exclude":["10.0.0.0/8"]}"#,
            r#"node.affinity={"nodeAffinity":{}}"#,
            r#"node.podLabels={"team":"mesh"}"#,
            r#"node.podAnnotations={"note":"yes"}"#,
            r#"control.settings={"certificate_life":"12h"}"#,
            r#"control.tolerations=[{"operator":"Exists"}]"#,
            r#"control.podLabels={"team":"mesh"}"#,
            r#"networkPolicy.metricsFrom=[{"namespaceSelector":{}}]"#,
            "control.replicas=3",
            "control.admission.failurePolicy=Fail",
            "control.authoritySecret=cacerts",
            r#"gateways.secrets=["default","kube-public"]"#,
        ],
    ),
    ("with an operator of Prometheus", &["monitoring.podMonitor.enabled=true"]),
    (
        "as little as possible",
        &[
            "control.replicas=1",
            "control.podDisruptionBudget=false",
            "monitoring.scrapeAnnotations=false",
            "networkPolicy.enabled=false",
            "restrictNodes=false",
            "control.admission.enabled=false",
            "gateways.secrets=false",
            "gateways.deploy=false",
            "node.cni.confDir=",
            "node.cni.binDir=",
            "node.seLinuxOptions=null",
            "node.priorityClassName=",
            "control.priorityClassName=",
        ],
    ),
    (
        "below an istiod",
        &[
            "control.enabled=false",
            "node.control=https://istiod.istio-system.svc:15012",
            "node.tokenAudience=istio-ca",
            "node.root.configMap=istio-ca-root-cert",
            "node.root.key=root-cert.pem",
        ],
    ),
    ("a control plane alone", &["node.enabled=false"]),
    ("being uninstalled", &["node.uninstall=true"]),
    (
        "being uninstalled, from other places",
        &["node.uninstall=true", "node.cni.confDir=/etc/cni", r#"node.settings={"instance":"b"}"#],
    ),
];

/// What must be refused, and words that the refusal must have.
const BAD: &[(&[&str], &[&str])] = &[
    (&["nodes.enabled=true"], &["additional properties 'nodes' not allowed"]),
    (&["node.drainSeconds=0"], &["/node/drainSeconds", "want 1"]),
    (&["node.drainSeconds=soon"], &["/node/drainSeconds", "want integer"]),
    (&["node.cni.confDir=etc/cni"], &["/node/cni/confDir", "does not match"]),
    (&["image.pullPolicy=Sometimes"], &["/image/pullPolicy", "IfNotPresent"]),
    (&["image.repository=Culvert"], &["/image/repository"]),
    (&["control.replicas=0"], &["/control/replicas", "want 1"]),
    (&["node.control=http://istiod:15010"], &["/node/control", "https://"]),
    (&["mesh.trustDomain=a/b"], &["/mesh/trustDomain"]),
    (&["mesh.ambientNamespaces=theirs"], &["/mesh/ambientNamespaces", "istio"]),
    (&["node.uninstallTimeout=soon"], &["/node/uninstallTimeout"]),
    (&["control.enabled=false"], &["no control plane to follow", "node.control"]),
    (&[r#"node.settings={"drain_deadline":"9s"}"#], &["say it with the value node.drainSeconds"]),
    (&[r#"control.settings={"cluster":"b"}"#], &["say it with the value mesh.cluster"]),
    (&["control.admission.failurePolicy=Warn"], &["/control/admission/failurePolicy", "Ignore"]),
    (
        &[r#"control.settings={"admission_address":"off"}"#],
        &["say it with the value control.admission.enabled"],
    ),
    (&["gateways.drainSeconds=0"], &["/gateways/drainSeconds", "want 1"]),
    (&["gateways.secrets=some"], &["/gateways/secrets"]),
    (&["monitoring.podMonitor.interval=often"], &["/monitoring/podMonitor/interval"]),
];

/// Renders all of them.
pub(super) fn run() -> Result<()> {
    for (name, values) in GOOD {
        let rendered = helm::render(values).with_context(|| (*name).to_owned())?;
        objects::check(&rendered).with_context(|| (*name).to_owned())?;
    }
    objects::check(&helm::hooks(&[])?).context("before `helm uninstall`")?;
    for (values, words) in BAD {
        let said = helm::refusal(values)?;
        if let Some(word) = words.iter().find(|word| !said.contains(**word)) {
            bail!("{values:?} are refused without {word:?}: {}", said.trim());
        }
    }
    Ok(())
}
