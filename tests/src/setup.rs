//! What a mesh is made of, said before it starts.
use culvert_lab::PodManifest;
use std::fmt;

/// The nodes of a mesh to be.
#[derive(Debug, Default)]
pub struct Setup {
    pub(crate) nodes: Vec<NodeSetup>,
    /// The settings of a control plane that all nodes follow; without, each node is its own.
    pub(crate) plane: Option<Vec<String>>,
}

/// A node of a mesh to be, and its pods.
#[derive(Debug)]
pub struct NodeSetup {
    pub(crate) name: String,
    pub(crate) pods: Vec<PodSetup>,
    /// Lines of the settings file.
    pub(crate) settings: Vec<String>,
    pub(crate) proxy: bool,
    pub(crate) wrapper: Vec<String>,
}

/// A change to a pod's manifest.
type Edit = Box<dyn Fn(PodManifest) -> PodManifest>;

pub(crate) struct PodSetup {
    pub(crate) name: String,
    pub(crate) enrolled: bool,
    pub(crate) edit: Option<Edit>,
}

impl Setup {
    /// Adds a node, with a proxy.
    pub fn node(&mut self, name: &str) -> &mut NodeSetup {
        self.nodes.push(NodeSetup {
            name: name.to_owned(),
            pods: Vec::new(),
            settings: Vec::new(),
            proxy: true,
            wrapper: Vec::new(),
        });
        self.nodes.last_mut().expect("one was added")
    }

    /// All nodes follow one control plane, on a node of its own.
    pub fn plane(&mut self) -> &mut Self {
        self.plane.get_or_insert_default();
        self
    }

    /// Sets one of the control plane's settings.
    pub fn plane_setting(&mut self, line: &str) -> &mut Self {
        self.plane.get_or_insert_default().push(line.to_owned());
        self
    }

    /// The nodes so far.
    pub fn nodes(&mut self) -> impl Iterator<Item = &mut NodeSetup> {
        self.nodes.iter_mut()
    }
}

impl NodeSetup {
    /// Adds a pod of the enrolled namespace `mesh`.
    pub fn pod(&mut self, name: &str) -> &mut Self {
        self.add(name, true, None)
    }

    /// Adds a pod of the enrolled namespace with a manifest of its own.
    pub fn pod_with(
        &mut self,
        name: &str,
        edit: impl Fn(PodManifest) -> PodManifest + 'static,
    ) -> &mut Self {
        self.add(name, true, Some(Box::new(edit)))
    }

    /// Adds a pod of the namespace `outside`, which is not enrolled.
    pub fn outsider(&mut self, name: &str) -> &mut Self {
        self.add(name, false, None)
    }

    /// Sets one of the proxy's settings, as in `strict: true`; `CGROUP` stands for the node's.
    pub fn setting(&mut self, line: &str) -> &mut Self {
        self.settings.push(line.to_owned());
        self
    }

    /// The proxy is started by another program, as in `prlimit --nofile=100`.
    pub fn started_by(&mut self, words: &[&str]) -> &mut Self {
        self.wrapper = words.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// The node has no proxy, at first or at all.
    pub fn without_proxy(&mut self) -> &mut Self {
        self.proxy = false;
        self
    }

    fn add(&mut self, name: &str, enrolled: bool, edit: Option<Edit>) -> &mut Self {
        self.pods.push(PodSetup { name: name.to_owned(), enrolled, edit });
        self
    }
}

impl fmt::Debug for PodSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, enrolled, edit: _ } = self;
        f.debug_struct("PodSetup").field("name", name).field("enrolled", enrolled).finish()
    }
}
