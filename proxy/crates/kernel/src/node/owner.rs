//! Which generation of the proxy owns the maps.
use crate::{
    direct,
    instance::Instance,
    node::{NodeError, Shared, load},
};
use culvert_common::node::{NodeCfg, STRICT};
use nix::fcntl::{Flock, FlockArg};
use std::{
    fmt,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt as _,
    path::Path,
    sync::atomic::Ordering,
};

/// Every cgroup probes.
const ANYBODY: u64 = 0;

/// No cgroup has this id.
const NOBODY: u64 = u64::MAX;

/// Names one process that took the node over; grows by one with each, never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// While it is held, this generation stays the owner.
#[derive(Debug)]
pub(crate) struct Owning {
    _lock: Flock<File>,
}

impl Shared {
    /// Whoever changes maps or pods holds this meanwhile; the next owner waits until it is done.
    pub(crate) fn own(&self) -> Result<Owning, NodeError> {
        let lock = lock_for(&self.instance, FlockArg::LockShared)?;
        self.is_owner().then_some(Owning { _lock: lock }).ok_or(NodeError::NotOwner)
    }

    /// The same without waiting: `None` while another process loads or claims, or is the owner.
    pub(crate) fn try_own(&self) -> Result<Option<Owning>, NodeError> {
        match lock_for(&self.instance, FlockArg::LockSharedNonblock) {
            Ok(lock) => Ok(self.is_owner().then_some(Owning { _lock: lock })),
            Err(NodeError::Io { source, .. }) if source.kind() == io::ErrorKind::WouldBlock => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Lets one process at a time load or claim, while none changes anything; the kernel frees it when
/// the process ends.
pub(crate) fn lock(instance: &Instance) -> Result<Flock<File>, NodeError> {
    lock_for(instance, FlockArg::LockExclusive)
}

/// Writes what holds for every pod if nobody has: the first process on fresh maps.
pub(crate) fn configure_first(shared: &Shared) -> Result<(), NodeError> {
    let fresh = read(shared)?.owner == 0;
    if fresh { write(shared, 0) } else { Ok(()) }
}

/// Makes this generation the owner, and its options those of the node.
///
/// Not once a newer layout's programs are in place: what is written here nobody would read.
pub(crate) fn claim(shared: &Shared) -> Result<Generation, NodeError> {
    let _only_one = lock(&shared.instance)?;
    load::other_layouts(&shared.instance)?;
    // What others permitted, nobody would revoke. That they live may well be so still: they go on
    // answering questions until our pods do.
    direct::forget_all(shared)?;
    let own = read(shared)?.owner.saturating_add(1);
    write(shared, own)?;
    shared.generation.store(own, Ordering::Relaxed);
    // The one before may have enrolled pods since we loaded.
    shared.registry().reload()?;
    Ok(Generation(own))
}

fn lock_for(instance: &Instance, how: FlockArg) -> Result<Flock<File>, NodeError> {
    let path = instance.run_dir().join("lock");
    let lock = File::create(&path)
        .and_then(|file| Flock::lock(file, how).map_err(|(_, error)| error.into()));
    lock.map_err(|source| NodeError::Io { what: "lock", path, source })
}

fn read(shared: &Shared) -> Result<NodeCfg, NodeError> {
    let node = shared.maps.node.get(&0);
    Ok(node.map_err(|source| NodeError::Map { map: "NODE", source })?.unwrap_or_default())
}

/// Writes which cgroup probes when that is another one by now; while it is away, nobody does.
pub(crate) fn refresh_prober(shared: &Shared) -> Result<bool, NodeError> {
    let Some(now) = shared.options.prober_cgroup.as_deref().and_then(id) else { return Ok(false) };
    if read(shared)?.prober_cgroup == now {
        return Ok(false);
    }
    let Some(_owning) = shared.try_own()? else { return Ok(false) };
    let node = NodeCfg { prober_cgroup: now, ..read(shared)? };
    let written = shared.maps.node.set(&0, &node);
    written.map_err(|source| NodeError::Map { map: "NODE", source })?;
    Ok(true)
}

/// A cgroup's id is its folder's inode number.
fn id(cgroup: &Path) -> Option<u64> {
    fs::metadata(cgroup).ok().map(|folder| folder.ino())
}

fn write(shared: &Shared, owner: u64) -> Result<(), NodeError> {
    let options = &shared.options;
    let prober_cgroup = match &options.prober_cgroup {
        Some(path) => id(path).unwrap_or(NOBODY),
        None => ANYBODY,
    };
    let node = NodeCfg {
        host_netns: shared.cookie_of(&shared.netns)?,
        prober_cgroup,
        owner,
        flags: if options.strict { STRICT } else { 0 },
        pending_limit: options.pending_limit,
        tuple_limit: options.tuple_limit,
        reserved: 0,
    };
    shared.maps.node.set(&0, &node).map_err(|source| NodeError::Map { map: "NODE", source })
}
