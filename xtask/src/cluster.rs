//! `cargo xtask cluster`: a real Kubernetes on this machine, for tests and for people.
//!
//! The work is done by the Go program of `tests/cluster`, which is Kubernetes itself; here are the
//! words for it, and where its files are.
pub(crate) mod build;

use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, Subcommand, ValueEnum};

use crate::{
    peers::{self, Wanted},
    process, workspace,
};

/// What somebody who asks for help is to see beside the list of commands.
const EXAMPLES: &str = "\
Examples:
  cargo xtask cluster up api --crds istio,gateway   a control plane, in some seconds
  cargo xtask cluster kubectl get namespaces
  cargo xtask cluster --name two up nodes 2         two nodes beside it
  cargo xtask cluster --name two exec node-1 ctr containers ls
  cargo xtask cluster --name two stop node-2/kubelet
  cargo xtask cluster down --all

A control plane alone needs no root; nodes do. tests/cluster/README.md has more.";

/// Starts, looks into and ends clusters; several at once have different names.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Cluster {
    /// The cluster's name, also of its folder below target/cluster.
    #[arg(long, global = true, default_value = "default", value_parser = name)]
    name: String,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Builds Kubernetes and gets what nodes need: ten minutes of processor time, once.
    Build,
    /// Starts a cluster, or what is missing of one that is up.
    Up {
        #[command(subcommand)]
        kind: Kind,
    },
    /// Ends the cluster and removes all it made, also what a killed one has left.
    Down {
        /// All clusters of this clone.
        #[arg(long)]
        all: bool,
    },
    /// Shows what runs and where its files are, for all clusters of this clone.
    Status,
    /// Runs kubectl as the administrator.
    Kubectl {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Runs a command on a node, or where the control plane is.
    Exec {
        /// node-1, node-2 … or control.
        node: String,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<String>,
    },
    /// Gives image archives (docker or OCI) to nodes; any tag but latest, so that nobody pulls it.
    Image {
        /// node-1, node-2 … or all.
        node: String,
        #[arg(required = true)]
        archives: Vec<PathBuf>,
    },
    /// Makes an image archive from a folder that is its root file system.
    Pack {
        /// As in localhost/app:test.
        image: String,
        folder: PathBuf,
        archive: PathBuf,
        /// What containers run that do not say it; without, they sleep.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Starts a part again: etcd, kube-apiserver …, node-1/kubelet …, or boots node-1.
    Start { part: String },
    /// Ends a part in an orderly way.
    Stop { part: String },
    /// Kills a part, or cuts the power of a node.
    Kill { part: String },
    /// Freezes a part: its connections stay open and nothing answers.
    Pause { part: String },
    /// Lets a frozen part go on.
    Resume { part: String },
}

#[derive(Debug, Subcommand)]
enum Kind {
    /// The control plane alone, on the loopback address: API server, etcd, controllers, scheduler.
    Api(Up),
    /// A control plane and nodes with kubelet, kube-proxy, containerd, runc and CNI; needs root.
    Nodes {
        /// How many, 9 at most.
        #[arg(default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=9))]
        count: u8,
        #[command(flatten)]
        up: Up,
    },
}

#[derive(Debug, Args)]
struct Up {
    /// The API server's port on the loopback address; without, a free one.
    #[arg(long)]
    port: Option<u16>,
    /// Custom resource definitions to install.
    #[arg(long, value_delimiter = ',')]
    crds: Vec<Crds>,
}

/// Definitions that come from the Go modules of others.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Crds {
    Istio,
    Gateway,
}

impl Cluster {
    /// Does what is asked for.
    pub(crate) fn run(self) -> Result<()> {
        let state = folder().join(&self.name);
        match self.action {
            Action::Build => build::all(),
            Action::Up { kind } => up(&state, &kind),
            Action::Down { all: true } => down_all(),
            Action::Down { all: false } => process::run(kubernetes(&state)?.arg("down")),
            Action::Status => status(),
            Action::Kubectl { words } => become_it(kubernetes(&state)?.arg("kubectl").args(words)),
            Action::Exec { node, command } => {
                become_it(kubernetes(&state)?.args(["exec", &node]).args(command))
            }
            Action::Image { node, archives } => {
                process::run(kubernetes(&state)?.args(["import", &node]).args(archives))
            }
            Action::Pack { image, folder, archive, command } => {
                let mut pack = kubernetes(&state)?;
                process::run(pack.args(["pack", &image]).arg(folder).arg(archive).args(command))
            }
            Action::Start { part } => process::run(kubernetes(&state)?.args(["start", &part])),
            Action::Stop { part } => process::run(kubernetes(&state)?.args(["stop", &part])),
            Action::Kill { part } => process::run(kubernetes(&state)?.args(["kill", &part])),
            Action::Pause { part } => process::run(kubernetes(&state)?.args(["pause", &part])),
            Action::Resume { part } => process::run(kubernetes(&state)?.args(["resume", &part])),
        }
    }
}

/// Ends every cluster of this clone.
pub(crate) fn down_all() -> Result<()> {
    for state in clusters()? {
        process::run(kubernetes(&state)?.arg("down"))?;
    }
    Ok(())
}

/// Ends one cluster, if it is there.
pub(crate) fn down(name: &str) -> Result<()> {
    process::run(kubernetes(&folder().join(name))?.arg("down"))
}

fn up(state: &Path, kind: &Kind) -> Result<()> {
    build::program()?;
    let (Kind::Api(wanted) | Kind::Nodes { up: wanted, .. }) = kind;
    let mut command = kubernetes(state)?;
    match kind {
        Kind::Api(_) => command.arg("api"),
        Kind::Nodes { .. } => {
            peers::get(Wanted::Nodes)?;
            command.arg("nodes")
        }
    };
    if let Some(port) = wanted.port {
        command.arg(format!("--port={port}"));
    }
    if let Kind::Nodes { count, .. } = kind {
        command.arg(count.to_string());
    }
    process::run(&mut command)?;
    if !wanted.crds.is_empty() {
        build::crds()?;
        let files = wanted.crds.iter().map(|crds| match crds {
            Crds::Istio => build::crds_folder().join("istio.yaml"),
            Crds::Gateway => build::crds_folder().join("gateway.yaml"),
        });
        process::run(kubernetes(state)?.arg("crds").args(files))?;
    }
    println!("up: {}", state.join("admin.kubeconfig").display());
    Ok(())
}

fn status() -> Result<()> {
    let clusters = clusters()?;
    if clusters.is_empty() {
        println!("no cluster is up: cargo xtask cluster up api");
    }
    for (number, state) in clusters.iter().enumerate() {
        if number > 0 {
            println!();
        }
        // One that was killed says so, and is no reason not to show the others.
        let _shown = kubernetes(state)?.arg("status").status()?;
    }
    Ok(())
}

/// The folders of the clusters that are up, or were killed.
fn clusters() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if folder().exists() {
        for entry in fs::read_dir(folder())? {
            let path = entry?.path();
            if path.is_dir() {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The folder of all clusters' folders.
fn folder() -> PathBuf {
    workspace::target().join("cluster")
}

/// The program, with the folder of a cluster.
fn kubernetes(state: &Path) -> Result<Command> {
    let program = build::place();
    ensure!(
        program.exists(),
        "Kubernetes is not built here yet: cargo xtask cluster build (ten minutes, once)"
    );
    let mut command = Command::new(program);
    command.arg("--state").arg(state);
    Ok(command)
}

/// Goes on as another program: its exit code and its terminal are ours.
fn become_it(command: &mut Command) -> Result<()> {
    Err(command.exec()).with_context(|| command.get_program().display().to_string())
}

/// A name that can be that of a folder and of a cgroup.
fn name(text: &str) -> Result<String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || text.len() > 40 || !text.chars().all(fits) {
        bail!("a name has 1 to 40 of the characters a-z, 0-9 and -");
    }
    Ok(text.to_owned())
}
