//! How the parts of a mesh are started on a lab's nodes: the control plane on one, a proxy on each
//! of the others.
use crate::node::NodeNs;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Where nodes reach the control plane.
const XDS: u16 = 15012;

/// The program, and what its parts read and keep.
#[derive(Clone, Debug)]
pub struct Roles {
    /// The binary `culvert`.
    pub program: PathBuf,
    /// Everything that is in the mesh.
    pub manifests: PathBuf,
    /// What the control plane keeps.
    pub state: PathBuf,
}

impl Roles {
    /// The control plane, to be spawned on `on`.
    #[must_use]
    pub fn control(&self, on: &NodeNs) -> Command {
        let mut command = self.command(on);
        command.args(["control", "-f"]).arg(&self.manifests);
        command.env("CULVERT_STATE_DIR", &self.state);
        command.env("CULVERT_CONTROL_NAMES", format!("{} {}", on.ip4(), on.ip6()));
        command
    }

    /// Prints the token by which a node joins, or a gateway as `NAMESPACE/NAME`; to be spawned where
    /// the control plane is.
    #[must_use]
    pub fn token(&self, control: &NodeNs, name: &str) -> Command {
        let mut command = self.command(control);
        command.args(["token", name]);
        command
    }

    /// The proxy of `on`, to be spawned there, which follows the control plane on `control`.
    #[must_use]
    pub fn node(&self, on: &NodeNs, control: &NodeNs, token: &Path) -> Command {
        let mut command = self.command(on);
        command.args(["node", "--node-name", on.name(), "--cgroup-root"]).arg(on.cgroup());
        command.args(["--control", &url(control)]);
        command.arg("--join-token").arg(token).arg("--pods").arg(&self.manifests);
        command
    }

    /// The gateway `NAMESPACE/NAME`, to be spawned on `on`, which follows the same.
    #[must_use]
    pub fn gateway(&self, on: &NodeNs, control: &NodeNs, name: &str, token: &Path) -> Command {
        let mut command = self.command(on);
        command.args(["gateway", name, "--control", &url(control), "--join-token"]).arg(token);
        command
    }

    fn command(&self, on: &NodeNs) -> Command {
        let mut command = Command::new(&self.program);
        command.env("CULVERT_INSTANCE", on.instance());
        command
    }
}

fn url(control: &NodeNs) -> String {
    format!("https://{}:{XDS}", control.ip4())
}
