//! Nodes with proxies, pods, and the manifests of them all.
use crate::{
    node::{Follows, Node},
    plane::Plane,
    pod::Pod,
    setup::{NodeSetup, PodSetup, Setup},
};
use culvert_lab::{Lab, LabError, PodManifest};
use std::{
    error::Error,
    fs, iter,
    path::{Path, PathBuf},
    thread,
};
use tempfile::TempDir;

/// The two namespaces: one in the mesh, one outside.
const NAMESPACES: &str = "\
apiVersion: v1
kind: Namespace
metadata:
  name: mesh
  labels:
    culvert.dev/mesh: enabled
---
apiVersion: v1
kind: Namespace
metadata:
  name: outside
";

/// Everything of one test; gone when dropped.
#[derive(Debug)]
pub struct Mesh {
    nodes: Vec<Node>,
    plane: Option<Plane>,
    pods: Vec<Pod>,
    folder: TempDir,
    // Last: by then nobody uses what it made.
    lab: Lab,
}

impl Mesh {
    /// Makes nodes and pods and starts the proxies, ready when this returns.
    ///
    /// The test's name, without what is no letter or digit, is the lab's, at most 16 long.
    #[track_caller]
    pub fn start(test: &str, describe: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup::default();
        describe(&mut setup);
        let mesh = Self::make(test, &setup).unwrap_or_else(|e| panic!("{}", chain(&e)));
        let proxied = setup.nodes.iter().zip(&mesh.nodes).filter(|(setup, _)| setup.proxy);
        let begun: Vec<_> = proxied.map(|(_, node)| (node, node.begin())).collect();
        for (node, process) in &begun {
            node.await_ready(process);
        }
        if setup.plane.is_some() {
            let in_mesh = proxied_pods(&setup);
            for (node, _) in &begun {
                node.await_tunnels(in_mesh);
            }
        }
        mesh
    }

    fn make(test: &str, setup: &Setup) -> Result<Self, LabError> {
        let plain = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let name: String = test.chars().filter(plain).collect();
        let folder = TempDir::with_prefix("culvert-e2e-").expect("a folder for the test");
        let lab = Lab::new(&name)?;
        let mut mesh = Self { nodes: Vec::new(), plane: None, pods: Vec::new(), folder, lab };
        fs::create_dir(mesh.manifests()).expect("a folder for the manifests");
        mesh.write("namespaces.yaml", NAMESPACES);
        if let Some(settings) = &setup.plane {
            let ns = mesh.lab.node("plane")?;
            let plane = Plane::new(ns, mesh.folder.path(), mesh.manifests(), settings);
            plane.start();
            mesh.plane = Some(plane);
        }
        for node in &setup.nodes {
            mesh.add_node(node)?;
        }
        Ok(mesh)
    }

    fn add_node(&mut self, setup: &NodeSetup) -> Result<(), LabError> {
        let ns = self.lab.node(&setup.name)?;
        for pod in &setup.pods {
            let namespace = if pod.enrolled { "mesh" } else { "outside" };
            let pod_ns = ns.pod(&pod.name)?;
            let made = Pod { ns: pod_ns, namespace };
            self.write(&file_of(&pod.name), &manifest(&made, pod).to_string());
            self.pods.push(made);
        }
        let own = [
            format!("instance: {}", ns.instance()),
            format!("node_name: {}", ns.name()),
            format!("cgroup_root: {}", ns.cgroup().display()),
            format!(
                "state_dir: {}",
                self.folder.path().join(format!("{}.state", setup.name)).display()
            ),
        ];
        let cgroup = ns.cgroup().display().to_string();
        let set = setup.settings.iter().map(|line| line.replace("CGROUP", &cgroup));
        let follows = if self.plane.is_some() { Follows::Plane } else { Follows::Itself };
        let lines = own.into_iter().chain(self.joining(&setup.name)).chain(set);
        let lines = lines.map(|line| line + "\n");
        let config = self.folder.path().join(format!("{}.yaml", setup.name));
        fs::write(&config, lines.collect::<String>()).expect("a settings file");
        let wrapper = setup.wrapper.clone();
        self.nodes.push(Node::new(ns, config, self.manifests(), wrapper, follows));
        Ok(())
    }

    /// The settings by which a node finds the control plane, if there is one.
    fn joining(&self, node: &str) -> Vec<String> {
        let Some(plane) = &self.plane else { return Vec::new() };
        vec![
            format!("control: {}", plane.url()),
            format!("join_token: {}", plane.token(node).display()),
        ]
    }

    /// The control plane that all nodes follow.
    #[track_caller]
    pub fn plane(&self) -> &Plane {
        self.plane.as_ref().expect("a mesh with a control plane")
    }

    #[track_caller]
    pub fn node(&self, name: &str) -> &Node {
        let found = self.nodes.iter().find(|node| node.ns.name() == name);
        found.unwrap_or_else(|| panic!("no node {name}"))
    }

    #[track_caller]
    pub fn pod(&self, name: &str) -> &Pod {
        let found = self.pods.iter().find(|pod| pod.ns.name() == name);
        found.unwrap_or_else(|| panic!("no pod {name}"))
    }

    /// The folder of manifests that every node of the mesh reads.
    #[must_use]
    pub fn manifests(&self) -> PathBuf {
        self.folder.path().join("manifests")
    }

    /// A folder for whatever else the test keeps.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a manifest at one stroke, as editors and `kubectl cp` do.
    pub fn write(&self, file: &str, text: &str) {
        let draft = self.folder.path().join(format!("{file}.draft"));
        fs::write(&draft, text).expect("a draft beside the manifests");
        fs::rename(&draft, self.manifests().join(file)).expect("a manifest");
    }

    /// Removes a manifest.
    #[track_caller]
    pub fn remove(&self, file: &str) {
        fs::remove_file(self.manifests().join(file)).expect("a manifest to remove");
    }

    /// Moves a pod into the mesh or out of it.
    pub fn move_to(&self, pod: &str, namespace: &str) {
        let manifest = self.pod(pod).ns.manifest(namespace, pod);
        self.write(&file_of(pod), &manifest.to_string());
    }
}

impl Drop for Mesh {
    /// A test that fails shows what the proxies said.
    #[expect(clippy::print_stderr, reason = "where a failing test's story belongs")]
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        let plane = self.plane.iter().flat_map(Plane::processes);
        for process in plane {
            eprintln!("---- control plane, pid {}\n{}", process.pid, process.log.last());
        }
        for node in &self.nodes {
            for process in node.processes() {
                let name = node.ns.name();
                eprintln!(
                    "---- culvert on node {name}, pid {}\n{}",
                    process.pid,
                    process.log.last()
                );
            }
            eprintln!("---- access log of node {}\n{}", node.ns.name(), node.access.last());
        }
    }
}

/// How many pods there are that a proxy will hold.
fn proxied_pods(setup: &Setup) -> usize {
    let pods = setup.nodes.iter().filter(|node| node.proxy).flat_map(|node| &node.pods);
    pods.filter(|pod| pod.enrolled && pod.edit.is_none()).count()
}

fn manifest(pod: &Pod, setup: &PodSetup) -> PodManifest {
    let plain = pod.ns.manifest(pod.namespace, pod.ns.name());
    match &setup.edit {
        Some(edit) => edit(plain),
        None => plain,
    }
}

/// The manifest of a pod.
fn file_of(pod: &str) -> String {
    format!("{pod}.yaml")
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
