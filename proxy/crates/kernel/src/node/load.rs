//! Loading the objects, and taking over what earlier processes pinned.
use crate::{
    bpffs,
    instance::Instance,
    maps::{self, Maps},
    node::{
        NodeError,
        links::{self, Place},
        object::{self, Source},
    },
    pod::record::Registry,
    probe::Capabilities,
    sys::{Attached, Hook, Target},
};
use culvert_common::{ABI_VERSION, pod::HBONE_PORT};
use culvert_model::pod::Fail;
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use std::{
    fs::{self, File},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::fs::MetadataExt as _,
    },
    path::{Path, PathBuf},
};

static NODE: &[u8] = aya::include_bytes_aligned!("../../../../../ebpf/prebuilt/node.o");
static POD: &[u8] = aya::include_bytes_aligned!("../../../../../ebpf/prebuilt/pod.o");
static GUARD: &[u8] = aya::include_bytes_aligned!("../../../../../ebpf/prebuilt/guard.o");

/// The node's programs. Sockops first: what connect captures, it must hand over; and answers are
/// put right before there are questions.
const NODE_PROGRAMS: [(&str, Hook); 9] = [
    ("sock_ops", Hook::SockOps),
    ("recvmsg4", Hook::Recvmsg4),
    ("recvmsg6", Hook::Recvmsg6),
    ("sendmsg4", Hook::Sendmsg4),
    ("sendmsg6", Hook::Sendmsg6),
    ("getpeername4", Hook::Getpeername4),
    ("getpeername6", Hook::Getpeername6),
    ("connect4", Hook::Connect4),
    ("connect6", Hook::Connect6),
];

/// Loads the node's programs and puts them in their places.
pub(crate) fn node(
    instance: &Instance,
    capabilities: &Capabilities,
    registry: &Registry,
) -> Result<Maps, NodeError> {
    let pins = instance.pins();
    let older = other_layouts(instance)?;
    for dir in [instance.all_pins(), pins.clone(), pins.join("pods")] {
        bpffs::private_dir(&dir).map_err(|source| NodeError::Io {
            what: "make",
            path: dir,
            source,
        })?;
    }
    maps::check_pins(&pins, &maps::NODE_MAPS).map_err(|c| NodeError::corrupt(instance, c))?;
    unlock_memory();
    let named = maps::NODE_MAPS.map(|(name, _)| (name, pins.join(name)));
    let has_cookie = [u8::from(capabilities.sockops_cookie)];
    let object = object::load(&Source {
        name: "node",
        bytes: NODE,
        settings: &[("HAS_OPS_COOKIE", &has_cookie)],
        pins: &named,
    })?;
    let maps = Maps::open(&pins).map_err(|c| NodeError::corrupt(instance, c))?;
    if !older.is_empty() {
        // Their programs read other maps: before ours replace them, ours must know the pods, else
        // these would go uncaptured meanwhile.
        registry.seed(&maps)?;
    }
    let mut programs = Vec::with_capacity(NODE_PROGRAMS.len());
    for (name, hook) in NODE_PROGRAMS {
        programs.push((name, hook, object.program(name, hook)?));
    }
    attach(instance, &older, &programs)?;
    older.iter().try_for_each(|dir| remove_maps(dir))?;
    Ok(maps)
}

/// What makes a pod's inbound program this pod's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inbound {
    pub(crate) pod_id: u32,
    pub(crate) fail: Fail,
    /// [`Capabilities::lookup_ingress`].
    pub(crate) ingress: bool,
}

/// Loads the inbound program of a pod; its listeners are pinned in the pod's folder.
pub(crate) fn pod(
    instance: &Instance,
    dir: &Path,
    Inbound { pod_id, fail, ingress }: Inbound,
) -> Result<OwnedFd, NodeError> {
    let listeners = [maps::LISTENERS];
    maps::check_pins(dir, &listeners).map_err(|c| NodeError::corrupt(instance, c))?;
    let pins = instance.pins();
    let (fail_open, has_ingress) = ([u8::from(fail == Fail::Open)], [u8::from(ingress)]);
    let object = object::load(&Source {
        name: "pod",
        bytes: POD,
        settings: &[
            ("POD_ID", &pod_id.to_ne_bytes()),
            ("FAIL_OPEN", &fail_open),
            ("HAS_INGRESS", &has_ingress),
            ("HBONE_PORT", &HBONE_PORT.to_ne_bytes()),
        ],
        pins: &[
            ("BYPASS", pins.join("BYPASS")),
            ("POD_STATS", pins.join("POD_STATS")),
            ("LISTENERS", dir.join("LISTENERS")),
        ],
    })?;
    object.program("inbound", Hook::SkLookup)
}

/// Loads the strict guard of a pod.
pub(crate) fn guard(instance: &Instance, pod_id: u32) -> Result<OwnedFd, NodeError> {
    let pins = instance.pins();
    let object = object::load(&Source {
        name: "guard",
        bytes: GUARD,
        settings: &[("POD_ID", &pod_id.to_ne_bytes())],
        pins: &[("EGRESS_OK", pins.join("EGRESS_OK")), ("POD_STATS", pins.join("POD_STATS"))],
    })?;
    object.program("guard", Hook::TcxIngress)
}

/// The folder of a pod's pins.
pub(crate) fn pod_dir(instance: &Instance, pod_id: u32) -> PathBuf {
    instance.pins().join("pods").join(pod_id.to_string())
}

/// The pin folders of older layouts, newest first.
///
/// # Errors
///
/// When one is newer than ours: a newer version has the node.
pub(crate) fn other_layouts(instance: &Instance) -> Result<Vec<PathBuf>, NodeError> {
    let mut older = layouts(instance)?;
    older.retain(|(version, _)| *version != ABI_VERSION);
    match older.first() {
        Some((found, _)) if *found > ABI_VERSION => Err(NodeError::NewerLayout {
            found: *found,
            ours: ABI_VERSION,
            instance: instance.name().to_owned(),
        }),
        _ => Ok(older.into_iter().map(|(_, dir)| dir).collect()),
    }
}

/// Every pin folder and its layout's version, newest first.
pub(crate) fn layouts(instance: &Instance) -> Result<Vec<(u32, PathBuf)>, NodeError> {
    let dir = instance.all_pins();
    let entries = match fs::read_dir(&dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries,
    };
    let read = |source| NodeError::Io { what: "read", path: dir.clone(), source };
    let mut found = Vec::new();
    for entry in entries.map_err(read)? {
        let entry = entry.map_err(read)?;
        let name = entry.file_name();
        let version = name.to_str().and_then(|name| name.strip_prefix('v')?.parse().ok());
        found.extend(version.map(|version| (version, entry.path())));
    }
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    Ok(found)
}

fn attach(
    instance: &Instance,
    older: &[PathBuf],
    programs: &[(&'static str, Hook, OwnedFd)],
) -> Result<(), NodeError> {
    let root = instance.cgroup_root();
    let opening = |source| NodeError::Io { what: "open", path: root.to_owned(), source };
    let cgroup = File::open(root).map_err(opening)?;
    let attached = Attached::Cgroup(cgroup.metadata().map_err(opening)?.ino());
    for (program, hook, verified) in programs {
        let name = format!("link_{program}");
        let pin = instance.pins().join(&name);
        take_over(older, Path::new(&name), &pin)?;
        let target = Target::Fd(cgroup.as_fd());
        let (pin, instance) = (pin.as_path(), instance.name());
        links::put(&Place { program, pin, target, attached, hook: *hook, instance }, verified)?;
    }
    Ok(())
}

/// Moves a pin of an older layout to ours, where ours is not there yet.
pub(crate) fn take_over(older: &[PathBuf], name: &Path, pin: &Path) -> Result<(), NodeError> {
    for dir in older {
        let old = dir.join(name);
        if old.exists() && !pin.exists() {
            fs::rename(&old, pin).map_err(|source| NodeError::Io {
                what: "move",
                path: old,
                source,
            })?;
        }
    }
    Ok(())
}

/// Removes the map pins of an older layout; its pods' pins stay until these are enrolled or let go.
fn remove_maps(dir: &Path) -> Result<(), NodeError> {
    let removing = |source| NodeError::Io { what: "remove pins in", path: dir.to_owned(), source };
    for entry in fs::read_dir(dir).map_err(removing)? {
        let entry = entry.map_err(removing)?;
        if entry.file_type().map_err(removing)?.is_file() {
            fs::remove_file(entry.path()).map_err(removing)?;
        }
    }
    Ok(())
}

/// Before Linux 5.11 maps count as locked memory, of which a process may have 64 KiB.
fn unlock_memory() {
    if let Err(error) = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY) {
        // Loading says so if it mattered.
        tracing::debug!(%error, "cannot raise the limit of locked memory");
    }
}
