//! The part of the settings that makes nodes a mesh: where configuration and certificates come
//! from, and who serves them.
use super::{
    Values, parse, problem,
    raw::Origin,
    settings as s,
    settings::{Role, Setting},
    url::{Url, url},
};
use culvert_kubernetes::client::Reach;
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// What a node knows of its way into the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mesh {
    /// `None`: the control plane in this process.
    pub(crate) upstream: Option<Upstream>,
    /// Manifests of the node's own pods.
    pub(crate) pods: Vec<PathBuf>,
    /// Where they are those of an API server.
    pub(crate) cluster: Option<Reach>,
    pub(crate) certificate_life: Duration,
    pub(crate) crl: Option<PathBuf>,
    /// How long a pod that leaves is held at most.
    pub(crate) release_timeout: Duration,
    pub(crate) handshake_timeout: Duration,
    pub(crate) encrypt_local: bool,
    pub(crate) dns: bool,
    /// Of pods that do not say theirs; empty: the machine's.
    pub(crate) resolvers: Vec<IpAddr>,
}

/// A control plane somewhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upstream {
    pub(crate) control: Url,
    pub(crate) name: Option<String>,
    pub(crate) join_token: Option<PathBuf>,
    pub(crate) root: Option<PathBuf>,
    /// `None`: the control plane.
    pub(crate) ca: Option<Url>,
    pub(crate) ca_token: Option<PathBuf>,
    /// Whether it understands reports.
    pub(crate) report: bool,
    /// The node's, as long as the control plane does not say.
    pub(crate) network: String,
}

/// What a control plane is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Serve {
    /// By which nodes reach it.
    pub(crate) names: Vec<String>,
    pub(crate) state_dir: PathBuf,
    /// The API that objects come from; `None`: they come from manifests.
    pub(crate) kubernetes: Option<Reach>,
    /// The control plane's own, there.
    pub(crate) namespace: String,
    /// Of the nodes' own pods.
    pub(crate) node_account: String,
    /// Where policies are judged for the API server; `None`: nowhere.
    pub(crate) admission: Option<SocketAddr>,
    /// The file with what pods of gateways look like; `None`: none are made.
    pub(crate) gateway_template: Option<PathBuf>,
}

impl Values {
    pub(super) fn mesh(&mut self) -> Option<Mesh> {
        let upstream = self.upstream();
        let pods = self.all(&s::PODS, parse::path);
        let cluster = self.cluster();
        let certificate_life = self.one(&s::CERTIFICATE_LIFE, parse::duration);
        let crl = self.maybe(&s::CRL, parse::path);
        let release_timeout = self.one(&s::RELEASE_TIMEOUT, parse::duration);
        let handshake_timeout = self.one(&s::HANDSHAKE_TIMEOUT, parse::duration);
        let encrypt_local = self.one(&s::ENCRYPT_LOCAL, parse::switch);
        let dns = self.one(&s::DNS, parse::switch);
        let resolvers = self.all(&s::RESOLVERS, parse::ip);
        Some(Mesh {
            upstream: upstream?,
            pods: pods?,
            cluster: cluster?,
            certificate_life: certificate_life?,
            crl: crl?,
            release_timeout: release_timeout?,
            handshake_timeout: handshake_timeout?,
            encrypt_local: encrypt_local?,
            dns: dns?,
            resolvers: resolvers?,
        })
    }

    /// The API server that says which pods are here.
    fn cluster(&mut self) -> Option<Option<Reach>> {
        let reach = self.reach(Role::Node)?;
        if reach.is_some() && self.origin(&s::PODS) != Origin::Default {
            self.wrong(&s::PODS, "is set, and so is kubernetes: pods come from one of the two");
        }
        Some(reach)
    }

    /// The inner `None`: none is needed.
    fn upstream(&mut self) -> Option<Option<Upstream>> {
        let control = self.maybe(&s::CONTROL, url);
        let name = self.maybe(&s::CONTROL_NAME, parse::name);
        let join_token = self.maybe(&s::JOIN_TOKEN, parse::path);
        let root = self.maybe(&s::CONTROL_ROOT, parse::path);
        let ca = self.maybe(&s::CA_ADDRESS, url);
        let ca_token = self.maybe(&s::CA_TOKEN, parse::path);
        let report = self.one(&s::REPORT, parse::switch);
        let network = self.one(&s::NETWORK, parse::name_or_empty);
        if !matches!(self.role, Role::Node | Role::Gateway) {
            return Some(None);
        }
        let Some(control) = control? else {
            self.wrong(&s::CONTROL, "is not set; name the control plane: https://HOST:15012");
            return None;
        };
        let (join_token, root) = (join_token?, root?);
        let ca = ca?;
        let needs_root = [Some(&control), ca.as_ref()].into_iter().flatten().any(|url| url.tls);
        if needs_root && join_token.is_none() && root.is_none() {
            self.wrong(
                &s::JOIN_TOKEN,
                "is not set, and neither is control_root: nothing says by what to know the control plane",
            );
        }
        let (name, ca_token) = (name?, ca_token?);
        let (report, network) = (report?, network?);
        Some(Some(Upstream { control, name, join_token, root, ca, ca_token, report, network }))
    }

    pub(super) fn serve(&mut self, instance: Option<&str>) -> Option<Serve> {
        let names = self.all(&s::CONTROL_NAMES, parse::name);
        let state_dir = self.maybe(&s::STATE_DIR, parse::path);
        let state_dir = state_dir?.or_else(|| Some(self.state.join(instance?)));
        let kubernetes = self.reach(Role::Control);
        let namespace = self.one(&s::CONTROL_NAMESPACE, parse::name);
        let node_account = self.one(&s::NODE_ACCOUNT, parse::name);
        let admission = self.one(&s::ADMISSION_ADDRESS, parse::address_or_off);
        let gateway_template = self.maybe(&s::GATEWAY_TEMPLATE, parse::path);
        Some(Serve {
            names: names?,
            state_dir: state_dir?,
            kubernetes: kubernetes?,
            namespace: namespace?,
            node_account: node_account?,
            admission: admission?,
            gateway_template: gateway_template?,
        })
    }

    /// The API server that a process of `role` is to follow.
    fn reach(&mut self, role: Role) -> Option<Option<Reach>> {
        if self.role != role {
            return Some(None);
        }
        let is_wanted = self.one(&s::KUBERNETES, parse::switch);
        let file = self.maybe(&s::KUBECONFIG, parse::path);
        let context = self.maybe(&s::CONTEXT, parse::context);
        Some(match (is_wanted?, file?, context?) {
            (false, ..) => None,
            (true, None, None) => Some(Reach::Found),
            (true, file, context) => Some(Reach::Kubeconfig { file, context }),
        })
    }

    /// A problem that no single value has.
    fn wrong(&mut self, setting: &Setting, message: &str) {
        let origin = self.origin(setting);
        self.problems.push(problem(setting, &origin, message));
    }
}
