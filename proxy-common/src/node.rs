//! The node.

/// The only value of `NODE`: what holds for every pod.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeCfg {
    /// Cookie of the namespace the node's own processes live in.
    pub host_netns: u64,
    /// Cgroup whose processes count as kubelet; zero: every process of `host_netns`.
    pub prober_cgroup: u64,
    /// The generation of the proxy that owns the maps; only the owner writes them.
    pub owner: u64,
    /// The flags below.
    pub flags: u32,
    /// How many entries of `PENDING` one pod may hold, so that its churn takes nobody else's room.
    pub pending_limit: u32,
    /// The same for `BYPASS`, `EGRESS_OK` and `DIRECT` together.
    pub tuple_limit: u32,
    pub reserved: u32,
}

/// The guard is on: tuples that may leave are recorded in `EGRESS_OK`.
pub const STRICT: u32 = 1;

/// For how long after the proxy's last sign of life (`BEAT`) verdicts hold and DNS is captured.
pub const LEASE_NS: u64 = 2_000_000_000;

const _: () = assert!(size_of::<NodeCfg>() == 8 + 8 + 8 + 4 + 4 + 4 + 4);
