//! The manifest of a lab's pod.
use crate::pod::PodNs;
use std::{fmt, net::IpAddr, path::PathBuf};

/// A `Pod` in YAML, made by its `Display`.
///
/// Values are written as they are: a lab's names need no quoting, and who passes others quotes them.
#[derive(Clone, Debug)]
pub struct PodManifest {
    name: String,
    namespace: String,
    account: String,
    node: String,
    netns: PathBuf,
    ips: Vec<IpAddr>,
    labels: Vec<(String, String)>,
    annotations: Vec<(String, String)>,
    ports: Vec<u16>,
}

impl PodManifest {
    pub(crate) fn new(pod: &PodNs, namespace: &str, account: &str) -> Self {
        Self {
            name: pod.name().to_owned(),
            namespace: namespace.to_owned(),
            account: account.to_owned(),
            node: pod.node().to_owned(),
            netns: pod.netns_path().to_owned(),
            ips: pod.ips().into(),
            labels: vec![("app".to_owned(), pod.name().to_owned())],
            annotations: Vec::new(),
            ports: Vec::new(),
        }
    }

    /// A label; it replaces one of the same key.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.retain(|(known, _)| known != key);
        self.labels.push((key.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.push((key.to_owned(), value.to_owned()));
        self
    }

    /// A port the pod says it listens on.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.ports.push(port);
        self
    }

    /// Another address or other addresses than the pod's own.
    #[must_use]
    pub fn ips(mut self, ips: &[IpAddr]) -> Self {
        self.ips = ips.to_owned();
        self
    }

    /// Another network namespace than the pod's own.
    #[must_use]
    pub fn netns(mut self, path: impl Into<PathBuf>) -> Self {
        self.netns = path.into();
        self
    }

    /// Another namespace of Kubernetes than it was made for.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// Another service account than the one called as the pod.
    #[must_use]
    pub fn account(mut self, account: &str) -> Self {
        account.clone_into(&mut self.account);
        self
    }

    /// Another name than the pod's own.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }
}

impl fmt::Display for PodManifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "apiVersion: v1\nkind: Pod\nmetadata:")?;
        writeln!(f, "  name: {}\n  namespace: {}", self.name, self.namespace)?;
        writeln!(f, "  labels:")?;
        for (key, value) in &self.labels {
            writeln!(f, "    {key}: {value}")?;
        }
        writeln!(f, "  annotations:\n    culvert.dev/netns: {}", self.netns.display())?;
        for (key, value) in &self.annotations {
            writeln!(f, "    {key}: {value}")?;
        }
        writeln!(f, "spec:\n  nodeName: {}", self.node)?;
        writeln!(f, "  serviceAccountName: {}", self.account)?;
        writeln!(f, "  containers:\n  - name: main\n    image: none")?;
        if !self.ports.is_empty() {
            writeln!(f, "    ports:")?;
        }
        for port in &self.ports {
            writeln!(f, "    - containerPort: {port}")?;
        }
        let Some(first) = self.ips.first() else { return Ok(()) };
        writeln!(f, "status:\n  podIP: \"{first}\"\n  podIPs:")?;
        self.ips.iter().try_for_each(|ip| writeln!(f, "  - ip: \"{ip}\""))
    }
}
