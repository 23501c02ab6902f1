//! The node's programs and maps.
//!
//! Everything is pinned: when the process ends, the programs stay and refuse what they captured
//! until the next process takes the pins up.
use crate::{
    bpffs,
    direct::share::Shares,
    exclusions::{ExclusionError, Exclusions},
    instance::{Instance, InstanceError},
    maps::{Corrupt, Maps},
    netns::{Netns, NetnsError},
    node::{object::ObjectError, owner::Generation},
    pod::{
        EnrolError, PodSpec, Prepared,
        orphan::Orphan,
        prepare,
        record::{RecordError, Registry},
    },
    probe::Capabilities,
};
use culvert_model::{name::WorkloadUid, pod::Exclusion};
use std::{
    collections::BTreeSet,
    fmt, io,
    os::fd::AsFd,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

mod cookie;
pub(crate) mod links;
pub(crate) mod load;
pub mod object;
pub mod owner;

/// What holds for every pod of the node.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Connections that leave a pod without the proxy's doing are dropped on the host's side.
    pub strict: bool,
    /// Whose probes reach pods directly; without it, every process of the node's namespace.
    pub prober_cgroup: Option<PathBuf>,
    /// How many captured connections of one pod may wait for the proxy; with zero, all are refused.
    pub pending_limit: u32,
    /// How many deliveries, probes and, if strict, outgoing connections of one pod may be open;
    /// with zero, all are refused.
    pub tuple_limit: u32,
    /// Destinations that no pod has captured.
    pub exclusions: Vec<Exclusion>,
}

/// The loaded, attached programs and their maps.
pub struct Node {
    shared: Arc<Shared>,
}

/// What a node's pods need of it.
pub(crate) struct Shared {
    pub(crate) instance: Instance,
    pub(crate) capabilities: Capabilities,
    pub(crate) options: NodeOptions,
    pub(crate) exclusions: Exclusions,
    pub(crate) maps: Maps,
    /// The namespace the node itself is in.
    pub(crate) netns: Netns,
    /// Our generation; zero until it is claimed.
    generation: AtomicU64,
    registry: Mutex<Registry>,
    /// Which verdicts each pod has.
    pub(crate) shares: Mutex<Shares>,
    /// One question at a time.
    asking: Mutex<()>,
}

/// Why the node's programs are not in place, or a map was not written.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error("cannot mount the bpf file system at /sys/fs/bpf")]
    Bpffs(#[source] io::Error),
    #[error("cannot {what} {}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Instance(#[from] InstanceError),
    #[error(
        "this process is outside of {}: its sockets would be invisible to the programs; enter {}",
        root.display(), own.display()
    )]
    OutsideCgroup { root: PathBuf, own: PathBuf },
    #[error(
        "pin {} is not what it should be; `culvert uninstall --instance {instance}` removes it",
        path.display()
    )]
    CorruptPin {
        path: PathBuf,
        instance: String,
        #[source]
        source: io::Error,
    },
    #[error(
        "a newer culvert (pins of layout {found}, this one knows {ours}) owns the node; start that \
         version again, or end it and run `culvert uninstall --instance {instance}`"
    )]
    NewerLayout { found: u32, ours: u32, instance: String },
    #[error(
        "pin {} is attached elsewhere; `culvert uninstall --instance {instance}` removes it",
        path.display()
    )]
    AttachedElsewhere { path: PathBuf, instance: String },
    #[error("cannot load {object}.o")]
    Load {
        object: &'static str,
        #[source]
        source: Box<ObjectError>,
    },
    #[error("cannot attach {program}")]
    Attach {
        program: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("cannot write map {map}; is it full?")]
    Map {
        map: &'static str,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Exclusion(#[from] ExclusionError),
    #[error("another generation of the proxy owns the node")]
    NotOwner,
    #[error("cannot open the node's network namespace")]
    Netns(#[from] NetnsError),
    #[error("cannot find out the cookie of a network namespace")]
    Cookie(#[source] io::Error),
    #[error("cannot keep the records of enrolled pods")]
    Record(#[from] RecordError),
}

impl Node {
    /// Mounts bpffs, loads the programs, takes up or makes the pins, and attaches.
    ///
    /// Does not make this generation the owner; until then nothing is captured that was not before.
    ///
    /// # Errors
    ///
    /// When a pin is not what it should be, the process is outside of the instance's cgroup root,
    /// or the kernel refuses.
    pub fn load(
        instance: &Instance,
        capabilities: &Capabilities,
        options: NodeOptions,
    ) -> Result<Self, NodeError> {
        let exclusions = Exclusions::merge(&options.exclusions)?;
        if !instance.contains_this_process()? {
            let (root, own) = (instance.cgroup_root().to_owned(), instance.cgroup());
            return Err(NodeError::OutsideCgroup { root, own });
        }
        bpffs::ensure().map_err(NodeError::Bpffs)?;
        instance.make_run_dir()?;
        let _only_one = owner::lock(instance)?;
        let registry = Registry::open(instance)?;
        let maps = load::node(instance, capabilities, &registry)?;
        let shared = Shared {
            instance: instance.clone(),
            capabilities: capabilities.clone(),
            options,
            exclusions,
            maps,
            netns: Netns::current()?,
            generation: AtomicU64::new(0),
            registry: Mutex::new(registry),
            shares: Mutex::default(),
            asking: Mutex::new(()),
        };
        let node = Self { shared: Arc::new(shared) };
        owner::configure_first(&node.shared)?;
        Ok(node)
    }

    /// Makes this generation the owner of the maps; the one before writes no more.
    ///
    /// # Errors
    ///
    /// When the map or the records cannot be read or written.
    pub fn claim(&self) -> Result<Generation, NodeError> {
        owner::claim(&self.shared)
    }

    /// Looks whether the cgroup of [`NodeOptions::prober_cgroup`] was made anew, as a service's is
    /// when it starts again; whether it was.
    ///
    /// # Errors
    ///
    /// When the map cannot be read or written.
    pub fn refresh_prober(&self) -> Result<bool, NodeError> {
        owner::refresh_prober(&self.shared)
    }

    /// Marks a socket of this process on the node itself, before `connect(2)`: to the programs it
    /// is the proxy's, and no probe of a pod.
    ///
    /// # Errors
    ///
    /// When the map cannot be written.
    pub fn own(&self, socket: impl AsFd) -> io::Result<()> {
        const NO_POD: u32 = 0;
        self.shared.maps.sockets.mark(socket.as_fd(), NO_POD, 0)
    }

    pub fn is_owner(&self) -> bool {
        self.shared.is_owner()
    }

    /// Does for a pod all that captures nothing yet: listeners, routes, programs.
    ///
    /// # Errors
    ///
    /// [`EnrolError`] says whether waiting may help.
    pub fn prepare(&self, spec: &PodSpec) -> Result<Prepared, EnrolError> {
        prepare::prepare(&self.shared, spec)
    }

    /// The pods an earlier generation enrolled that this one does not hold.
    ///
    /// [`Self::prepare`] adopts those that are wanted.
    pub fn orphans(&self) -> Vec<Orphan> {
        Orphan::all(&self.shared)
    }

    /// Lets go of every orphan that is not wanted, and says which.
    ///
    /// For a start after a crash; while an earlier generation still drains, use [`Self::orphans`].
    ///
    /// # Errors
    ///
    /// The first thing that could not be undone; the others are let go nevertheless.
    pub fn retain(&self, wanted: &BTreeSet<WorkloadUid>) -> Result<Vec<WorkloadUid>, EnrolError> {
        let unwanted = self.orphans().into_iter().filter(|pod| !wanted.contains(pod.uid()));
        let mut gone = Vec::new();
        let mut first = Ok(());
        for pod in unwanted {
            let uid = pod.uid().clone();
            match pod.finish() {
                Ok(()) => gone.push(uid),
                Err(error) => first = first.and(Err(error)),
            }
        }
        first.map(|()| gone)
    }

    pub fn instance(&self) -> &Instance {
        &self.shared.instance
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Shared {
    pub(crate) fn is_owner(&self) -> bool {
        let own = self.generation.load(Ordering::Relaxed);
        own != 0 && matches!(self.maps.node.get(&0), Ok(Some(node)) if node.owner == own)
    }

    pub(crate) fn registry(&self) -> MutexGuard<'_, Registry> {
        // Each change of the registry is one assignment: a panic elsewhere leaves it whole.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn corrupt(&self, corrupt: Corrupt) -> NodeError {
        NodeError::corrupt(&self.instance, corrupt)
    }
}

impl NodeError {
    pub(crate) fn corrupt(instance: &Instance, Corrupt { path, source }: Corrupt) -> Self {
        Self::CorruptPin { path, instance: instance.name().to_owned(), source }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.shared, f)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("instance", &self.instance)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}
