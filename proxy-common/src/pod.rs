//! One enrolled pod.
use crate::addr::Addr;

/// Where tunnels arrive: connections to this port of a pod, and to no other, are tunnels.
pub const HBONE_PORT: u16 = 15_008;

/// Value of `PODS`, by namespace cookie: how to capture.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodCfg {
    /// The pod's IPv6 address, or zeros.
    pub ip6: Addr,
    /// The pod's IPv4 address in network order, or zero.
    pub ip4_be: u32,
    /// The flags below.
    pub flags: u32,
    /// Names the pod in every other map; never reused while the pins live.
    pub pod_id: u32,
    /// The proxy's outbound listener in the pod's namespace.
    pub out_port_be: u16,
    pub reserved: u16,
}

/// Without a proxy, connections go direct instead of being refused.
pub const FAIL_OPEN: u32 = 1;
/// The pod has entries in `EXCLUDE`; without it the trie is not looked at.
pub const HAS_EXCLUDES: u32 = 1 << 1;
/// The pod has entries in `DNS`; without it nothing of its DNS is captured.
pub const HAS_DNS: u32 = 1 << 2;

/// Data of an `EXCLUDE` key; the prefix length counts both fields (32 for the pod, then the
/// address as v4-mapped IPv6: an IPv4 /n is 32 + 96 + n).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ExcludeKey {
    pub pod_id: u32,
    pub addr: Addr,
}

/// How many ports one excluded network can name.
pub const EXCLUDE_PORTS: usize = 8;

/// Value of `EXCLUDE`: the ports that are not captured; all zero means every port.
///
/// The trie answers with the longest prefix only, so user space merges the ports of enclosing
/// networks into the narrower ones.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exclude {
    pub ports_be: [u16; EXCLUDE_PORTS],
}

/// Value of `POD_STATS`, by pod id: what the kernel did for the pod, and what it holds now.
///
/// User space makes the entry before the pod is captured and removes it after the last connection
/// has ended, and never writes into it: programs add to it (relaxed, but `pending` and `tuples`,
/// being balanced, are exact).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodStats {
    /// Outbound connections pointed at the proxy.
    pub captured: u64,
    /// Outbound connections left alone because their destination is excluded.
    pub excluded: u64,
    /// Refused: the pod has no captured address of that family.
    pub refused_family: u64,
    /// Refused: no memory for socket storage.
    pub refused_memory: u64,
    /// Went direct, out or in: no proxy, and the pod fails open.
    pub failed_open: u64,
    /// Not handed over, or refused: the pod's share of `PENDING` or of the tuple maps was full.
    pub over_limit: u64,
    /// Inbound connections steered to the proxy. A segment that belongs to no connection counts as
    /// one: the ACK of a SYN cookie, a straggler. Before 5.17 also each delivery's check of its port.
    pub inbound: u64,
    /// Inbound connections left alone: the proxy's deliveries, the host's probes, and direct ones.
    pub bypassed: u64,
    /// Inbound connections refused because no proxy was there.
    pub inbound_refused: u64,
    /// SYNs the guard let out, and dropped; dropped are also connects to link-local addresses,
    /// refused before there is a SYN.
    pub guard_passed: u64,
    pub guard_dropped: u64,
    /// Entries of `PENDING`, and of `BYPASS`, `EGRESS_OK` and `DIRECT`, held now.
    pub pending: u64,
    pub tuples: u64,
    /// Outbound connections that went direct by a verdict.
    pub direct: u64,
    /// Questions of the pod, and connections for them, pointed at the proxy's name service.
    pub dns: u64,
    /// Events of direct connections that nobody read in time.
    pub events_lost: u64,
}

const _: () = {
    assert!(size_of::<PodCfg>() == 16 + 4 + 4 + 4 + 2 + 2);
    assert!(size_of::<ExcludeKey>() == 20);
    assert!(size_of::<Exclude>() == 16);
    assert!(size_of::<PodStats>() == 16 * 8);
};
