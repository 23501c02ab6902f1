//! Why a pod is, or is not, captured: what must hold, in the order in which it comes to matter, and
//! the way out where it does not. Pure.
use crate::admin::view::{Cni, ControlStatus, Pod, Status};
use culvert_control::compile::Outside;
use serde::Serialize;

/// The oldest kernel that can capture.
const OLDEST: (u32, u32) = (5, 10);

/// What is known of a pod, from whoever knows it.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) namespace: String,
    pub(super) name: String,
    /// Empty: it has none yet.
    pub(super) node: String,
    /// The pod's object says that a node holds it.
    pub(super) is_annotated: bool,
    /// Whether it is to be in the mesh; else why not, or why nobody can tell.
    pub(super) membership: Membership,
    /// `None`: may not be asked for.
    pub(super) machine: Option<Machine>,
    /// The proxy's pod on that node.
    pub(super) proxy: Option<Proxy>,
    /// `None`: there is no control plane of ours.
    pub(super) control: Option<Result<ControlStatus, String>>,
}

#[derive(Debug, Default)]
pub(super) enum Membership {
    #[default]
    Inside,
    Outside(Outside),
    Unknown(String),
}

/// The node, as its object has it.
#[derive(Debug, Default)]
pub(super) struct Machine {
    pub(super) is_ready: bool,
    pub(super) kernel: String,
    pub(super) is_foreign: bool,
}

/// The proxy of the node.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) pod: String,
    /// Why its pod is not ready.
    pub(super) trouble: Option<String>,
    pub(super) said: Result<Box<Status>, String>,
}

/// One thing that must hold.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// Absent: nobody can tell, or it matters only at other times.
    pub(super) holds: Option<bool>,
    pub(super) what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) way_out: Option<String>,
}

/// The list; what follows a thing that does not hold is left out where it would only follow from
/// that.
pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    let mut list = List::default();
    // Each step needs what the one before found.
    let _ended = membership(facts, &mut list)
        .and_then(|()| machine(facts, &mut list))
        .and_then(|()| proxy(facts, &mut list))
        .map(|status| {
            readiness(status, &mut list);
            capture(facts, status, &mut list);
            control(facts, &mut list);
        });
    list.0
}

#[derive(Default)]
struct List(Vec<Check>);

impl List {
    fn good(&mut self, what: impl Into<String>) {
        self.0.push(Check { holds: Some(true), what: what.into(), way_out: None });
    }

    fn bad(&mut self, what: impl Into<String>, way_out: impl Into<String>) {
        let way_out = Some(way_out.into());
        self.0.push(Check { holds: Some(false), what: what.into(), way_out });
    }

    fn unsure(&mut self, what: impl Into<String>, way_out: impl Into<String>) {
        let way_out = Some(way_out.into());
        self.0.push(Check { holds: None, what: what.into(), way_out });
    }
}

fn membership(facts: &Facts, list: &mut List) -> Option<()> {
    let Facts { namespace, name, .. } = facts;
    match &facts.membership {
        Membership::Inside => {
            list.good(format!(
                "namespace {namespace} is in the mesh, and the pod does not decline"
            ));
        }
        Membership::Unknown(why) => list.unsure(
            format!("whether it is to be in the mesh cannot be seen: {why}"),
            format!("kubectl get namespace {namespace} --show-labels"),
        ),
        Membership::Outside(outside) => {
            let way_out = match outside {
                Outside::Namespace => {
                    format!("kubectl label namespace {namespace} culvert.dev/mesh=enabled")
                }
                Outside::NamespaceDeclines => format!(
                    "kubectl label --overwrite namespace {namespace} culvert.dev/mesh=enabled, and take off istio.io/dataplane-mode=none"
                ),
                Outside::PodDeclines => format!(
                    "take culvert.dev/mesh=disabled and istio.io/dataplane-mode=none off the template of its workload; for this pod: kubectl -n {namespace} label pod {name} culvert.dev/mesh- istio.io/dataplane-mode-"
                ),
                Outside::Istio => format!(
                    "leave it there, or take it over: kubectl label namespace {namespace} istio.io/dataplane-mode- culvert.dev/mesh=enabled, with pods made anew"
                ),
                Outside::Sidecar => "a pod has one mesh: without injection in its workload's template, made anew, it can be captured".to_owned(),
                Outside::HostNetwork => "such pods stay out; without hostNetwork in its workload's template it can be captured".to_owned(),
                Outside::Over => "nothing: what has ended is not captured".to_owned(),
            };
            list.bad(format!("it is not to be in the mesh: {outside}"), way_out);
            return None;
        }
    }
    Some(())
}

fn machine(facts: &Facts, list: &mut List) -> Option<()> {
    let Facts { namespace, name, node, machine, .. } = facts;
    if node.is_empty() {
        let way_out = format!("kubectl -n {namespace} describe pod {name}");
        list.bad("it has no node yet", way_out);
        return None;
    }
    let Some(Machine { is_ready, kernel, is_foreign }) = machine else {
        list.good(format!("it is on node {node}"));
        return Some(());
    };
    if *is_foreign {
        list.bad(format!("node {node} does not run Linux"), "run it on a node with Linux");
        return None;
    }
    if *is_ready {
        list.good(format!("it is on node {node}, which is ready"));
    } else {
        list.bad(format!("node {node} is not ready"), format!("kubectl describe node {node}"));
    }
    if version(kernel).is_some_and(|version| version < OLDEST) {
        let (major, minor) = OLDEST;
        list.bad(
            format!("the node's kernel is {kernel}"),
            format!("a node needs Linux 5.15 or later ({major}.{minor} works)"),
        );
        return None;
    }
    Some(())
}

/// `5.15.0-91-generic` → (5, 15)
fn version(kernel: &str) -> Option<(u32, u32)> {
    let mut parts = kernel.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn proxy<'f>(facts: &'f Facts, list: &mut List) -> Option<&'f Status> {
    let node = &facts.node;
    let Some(Proxy { pod, trouble, said }) = &facts.proxy else {
        list.bad(
            format!("no pod of culvert-node is on node {node}"),
            format!("see the taints and labels of node {node}, and node.nodeSelector and node.tolerations of the chart; kubectl -n culvert-system describe daemonset culvert-node"),
        );
        return None;
    };
    let logs = format!(
        "kubectl -n culvert-system logs {pod} --all-containers; kubectl -n culvert-system describe pod {pod}"
    );
    match trouble {
        None => list.good(format!("the proxy's pod there, {pod}, is ready")),
        Some(why) => list.bad(format!("the proxy's pod there, {pod}, is not ready: {why}"), &logs),
    }
    match said {
        Ok(status) => Some(status),
        Err(why) => {
            list.bad(format!("it does not answer: {why}"), logs);
            None
        }
    }
}

fn readiness(status: &Status, list: &mut List) {
    if status.ready {
        list.good("the proxy knows the mesh, and serves");
    } else {
        list.bad(
            format!("the proxy waits: {}", status.waiting.join(", ")),
            format!("culvert status --kubernetes --node {}", status.node),
        );
    }
    let control = &status.mesh.control;
    match &status.mesh.error {
        _ if status.mesh.connected => list.good(format!("it is connected to {control}")),
        why => list.bad(
            format!("{control} is away: {}", why.as_deref().unwrap_or("nobody knows why")),
            "see that the control plane runs, and that no firewall or network policy keeps nodes from port 15012",
        ),
    }
    if status.is_contested() {
        list.bad(
            format!("istio-cni is among the plugins of node {}, and may capture the pod, too", status.node),
            "set mesh.ambientNamespaces=istio, and label the namespaces that are to be here with culvert.dev/mesh=enabled; or take Istio's CNI away",
        );
    }
    match &status.cni {
        Some(cni) if cni.has_ours() => list.good("new pods are handed over by the CNI plugin"),
        Some(Cni { error: Some(error), .. }) => {
            list.unsure(format!("the CNI plugin is not installed: {error}"), later(status));
        }
        Some(Cni { file: None, conf_dir, .. }) => {
            list.unsure(format!("there is no CNI configuration in {conf_dir}"), later(status));
        }
        Some(Cni { file: Some(file), .. }) => {
            list.unsure(format!("the CNI plugin is not in {file}"), later(status));
        }
        None => list.unsure("no CNI plugin is installed (cni_conf_dir is not set)", later(status)),
    }
}

/// What becomes of pods without the plugin.
fn later(status: &Status) -> String {
    format!(
        "without it a new pod is captured only a moment after it has started; the log of node {} says why",
        status.node
    )
}

fn capture(facts: &Facts, status: &Status, list: &mut List) {
    match facts.known(status) {
        Some(pod) if pod.state == "captured" => {
            list.good(format!("it is captured, with {} connections now", pod.connections));
            if !facts.is_annotated {
                list.unsure(
                    "its annotation ambient.istio.io/redirection does not say so yet",
                    "it is written within seconds; the proxy's log says why not",
                );
            }
        }
        Some(pod) if pod.state == "leaving" => list.bad(
            "it is being let go: everybody is told first",
            "wait some seconds, or see which node does not answer: culvert status --kubernetes --control",
        ),
        Some(Pod { reason, .. }) => {
            let reason = reason.as_deref().unwrap_or("nobody knows why");
            list.bad(format!("it is pending: {reason}"), pending(reason));
        }
        None => list.bad(
            "the proxy does not know it, or does not find its network namespace",
            "a new pod takes a moment; else the proxy's log says whether the API server tells it of this node's pods, and of network namespaces that are not seen (mount /run/netns with HostToContainer)",
        ),
    }
}

/// What to do about a reason that is known.
fn pending(reason: &str) -> &'static str {
    let has = |word: &str| reason.contains(word);
    if has("proxy of Istio") {
        "kubectl label namespace NAME istio.io/dataplane-mode- (or culvert.dev/mesh-), and kubectl rollout restart of its workload"
    } else if has("sysctl") || has("/proc/sys") || has("ead-only") {
        "the proxy may not write the pod's settings: run it with the capabilities of the chart"
    } else if has("control plane has not said") {
        "the proxy waits for the mesh: see the lines above"
    } else {
        "it is tried again every two seconds; the proxy's log says more"
    }
}

fn control(facts: &Facts, list: &mut List) {
    let full = format!("{}/{}", facts.namespace, facts.name);
    match &facts.control {
        None => {}
        Some(Err(why)) => list.unsure(
            format!("the control plane does not answer: {why}"),
            "kubectl -n culvert-system get pods; everything goes on as it is meanwhile",
        ),
        Some(Ok(status)) => {
            match status.control.uncaptured.iter().find(|pod| pod.pod == full) {
                Some(pod) => list.bad(
                    format!("the control plane does not know it as captured: {}", pod.reason),
                    "until then others reach it in plain text; the node tells it within a second or so",
                ),
                None => list.good("the control plane knows, and others reach it encrypted"),
            }
            let unavailable = status.configuration.kinds.iter();
            for kind in unavailable.filter(|kind| kind.state == "unavailable") {
                let why = kind.because.as_deref().unwrap_or("nobody knows why");
                list.bad(
                    format!("the control plane does not follow {}: {why}", kind.kind),
                    "culvert status --kubernetes --control",
                );
            }
        }
    }
}

/// Whether everything holds that anybody can tell.
pub(super) fn is_well(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.holds != Some(false))
}

impl Facts {
    /// What the node's proxy knows of the pod.
    fn known<'s>(&self, status: &'s Status) -> Option<&'s Pod> {
        status.pods.iter().find(|pod| pod.namespace == self.namespace && pod.name == self.name)
    }

    pub(super) fn is_captured(&self) -> bool {
        let status = self.proxy.as_ref().and_then(|proxy| proxy.said.as_ref().ok());
        let known = status.and_then(|status| self.known(status));
        known.is_some_and(|pod| pod.state == "captured")
    }
}

/// All of it as people read it.
pub(super) fn render(facts: &Facts, checks: &[Check]) -> String {
    let Facts { namespace, name, .. } = facts;
    let mut lines = vec![format!("pod {namespace}/{name}")];
    for Check { holds, what, way_out } in checks {
        let mark = match holds {
            Some(true) => '✓',
            Some(false) => '✗',
            None => '?',
        };
        lines.push(format!("  {mark} {what}"));
        lines.extend(way_out.iter().map(|way_out| format!("      {way_out}")));
    }
    let verdict = match (facts.is_captured(), is_well(checks)) {
        (true, true) => "captured",
        (true, false) => "captured, and not as it should be: begin with the first ✗",
        (false, _) => "not captured: begin with the first ✗",
    };
    lines.push(verdict.to_owned());
    lines.join("\n")
}

#[cfg(test)]
mod tests;
