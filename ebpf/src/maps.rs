//! Every map and every setting of the programs.
//!
//! Sizes are those of full maps on a 64-bit kernel, its own part of about 48 bytes per entry of a
//! hash included; hashes are not preallocated and cost what they hold.
use aya_ebpf::{
    Global,
    bindings::BPF_F_NO_PREALLOC,
    btf_maps::{Array, HashMap, LpmTrie, RingBuf, SockMap},
    helpers::generated::bpf_ktime_get_ns,
    macros::btf_map,
};
use culvert_common::{
    addr::Addr,
    conn::{OrigDst, PendingKey, Tuple},
    direct::{Direct, FlowEvent, Verdict, VerdictKey},
    dns::{DnsBackKey, DnsKey, DnsPorts},
    node::{LEASE_NS, NodeCfg, STRICT},
    pod::{Exclude, ExcludeKey, PodCfg, PodStats},
};

pub(crate) use crate::storage::{Storage, orig};

/// Memory is taken entry by entry.
pub(crate) const ON_DEMAND: usize = BPF_F_NO_PREALLOC as usize;
/// Room for connections of the whole node; how much of it one pod gets is in [`NODE`].
pub(crate) const CONNECTIONS: usize = 1 << 18;

/// How a connection map is laid out.
pub(crate) type Connections<K, V> = HashMap<K, V, CONNECTIONS, ON_DEMAND>;

/// The enrolled pods.
///
/// Key: cookie of the pod's network namespace. Written by user space, last when a pod is enrolled
/// and first taken out when it leaves; read by `connect`. Full: the pod is not enrolled. 0.4 MiB.
#[btf_map]
pub(crate) static PODS: HashMap<u64, PodCfg, 4096, ON_DEMAND> = HashMap::new();

/// The node's settings. Written by user space, read by `connect` and `sockops`. 40 bytes.
#[btf_map]
pub(crate) static NODE: Array<NodeCfg, 1> = Array::new();

/// Captured connections between their SYN and the proxy's accept.
///
/// Written by `sockops` at the SYN, taken by it when the proxy's side is established, or removed
/// when the client's side ends before. Full, or the pod's share is: the proxy finds no destination
/// and closes the connection. 36 MiB.
#[btf_map]
pub(crate) static PENDING: Connections<PendingKey, OrigDst> = HashMap::new();

/// Addresses of the local pods. Value: pod id.
///
/// Written by user space, read by `connect` for connections of the host. Full: that pod's probes
/// are treated like any connection. 0.6 MiB.
#[btf_map]
pub(crate) static POD_IPS: HashMap<Addr, u32, 8192, ON_DEMAND> = HashMap::new();

/// Connections that `inbound` leaves alone: the proxy's deliveries, the host's probes, direct ones.
///
/// Value: the pod whose share it counts in. Written and removed by `sockops`, at the SYN and at
/// the close: with SYN cookies the last part of the handshake is looked up again. Full, or the
/// share is: a probe or a direct one is steered to the proxy, a delivery fails. 23 MiB.
#[btf_map]
pub(crate) static BYPASS: Connections<Tuple, u32> = HashMap::new();

/// Connections that `guard` lets out of a pod; only kept while [`NODE`] says strict.
///
/// Otherwise as [`BYPASS`]. Full, or the share is: the SYN is dropped. 23 MiB.
#[btf_map]
pub(crate) static EGRESS_OK: Connections<Tuple, u32> = HashMap::new();

/// When the proxy last said that it lives (`CLOCK_MONOTONIC`); zero: it does not.
///
/// Written by user space, read by `connect`, `sockops` and `sendmsg`. 8 bytes.
#[btf_map]
pub(crate) static BEAT: Array<u64, 1> = Array::new();

/// What the state of each pod is called; it changes with anything that a verdict depends on.
///
/// Key: pod id. Written by user space, read by `connect` and `sockops`. Full, or without an entry:
/// nothing goes direct from or to the pod. 0.6 MiB.
#[btf_map]
pub(crate) static EPOCHS: HashMap<u32, u64, 8192, ON_DEMAND> = HashMap::new();

/// Connections between pods of the node that may go without a proxy.
///
/// Written by user space, which gives each pod a share; read by `connect` and `sockops`. Full: the
/// connection goes to the proxy. 7 MiB.
#[btf_map]
pub(crate) static VERDICTS: HashMap<VerdictKey, Verdict, 65536, ON_DEMAND> = HashMap::new();

/// The direct connections there are, by the client's tuple.
///
/// Written and removed by `sockops`, read by user space. Full, or the pod's share is: the
/// connection goes to the proxy. 28 MiB.
#[btf_map]
pub(crate) static DIRECT: Connections<Tuple, Direct> = HashMap::new();

/// The beginning and the end of each direct connection. Full: the event is lost, and counted.
///
/// Written by `sockops`, read by user space. 1 MiB.
#[btf_map]
pub(crate) static EVENTS: RingBuf<FlowEvent, { 1 << 20 }> = RingBuf::new();

/// The name servers of each pod that the proxy stands in for.
///
/// Written by user space, read by `connect` and `sendmsg`. Full, or unknown: the question goes
/// where it was sent. 1.2 MiB.
#[btf_map]
pub(crate) static DNS: HashMap<DnsKey, DnsPorts, 16384, ON_DEMAND> = HashMap::new();

/// Whose answers come from which address and port. Value: the name server, for the application must
/// see the answer come from whom it asked.
///
/// Written by user space, read by `recvmsg`. Full: as [`DNS`]. 1.5 MiB.
#[btf_map]
pub(crate) static DNS_BACK: HashMap<DnsBackKey, Addr, 16384, ON_DEMAND> = HashMap::new();

/// Destinations that a pod does not want captured.
///
/// Written by user space, read by `connect` for pods that have some. Full: user space refuses the
/// setting. 1.6 MiB.
#[btf_map]
pub(crate) static EXCLUDE: LpmTrie<ExcludeKey, Exclude, 16384> = LpmTrie::new();

/// What the programs did for each pod, and what it holds now. Key: pod id.
///
/// Entries are made and removed by user space, which never writes into one (the programs add to
/// it); without one nothing is counted, and nothing is held. 1.2 MiB.
#[btf_map]
pub(crate) static POD_STATS: HashMap<u32, PodStats, 8192, ON_DEMAND> = HashMap::new();

/// The answer to the proxy's question for its namespace's cookie ([`crate::connect`]).
///
/// Written by `connect`, read by user space, which asks one question at a time. 8 bytes.
#[btf_map]
pub(crate) static ASK: Array<u64, 1> = Array::new();

/// The proxy's listeners in this pod: plaintext v4, plaintext v6, tunnel v4, tunnel v6.
///
/// One per pod. Written by user space; the kernel empties a slot when its listener closes. Read by
/// `inbound`. 32 bytes.
#[btf_map]
pub(crate) static LISTENERS: SockMap<4> = SockMap::new();

/// Whether sockops has `bpf_get_netns_cookie` (5.15); set by the loader.
///
/// Code behind a setting that is off is dead to the verifier, so a helper that the kernel does not
/// know does no harm there.
#[unsafe(no_mangle)]
pub(crate) static HAS_OPS_COOKIE: Global<u8> = Global::new(0);

/// Whether `inbound` is told the interface (5.17); set by the loader.
#[unsafe(no_mangle)]
pub(crate) static HAS_INGRESS: Global<u8> = Global::new(0);

/// The pod that this instance of the program serves; set by the loader.
#[unsafe(no_mangle)]
pub(crate) static POD_ID: Global<u32> = Global::new(0);

/// Without a listener the pod's inbound connections go to the application; set by the loader.
#[unsafe(no_mangle)]
pub(crate) static FAIL_OPEN: Global<u8> = Global::new(0);

/// The port of tunnels, host order; zero: there are none. Set by the loader.
#[unsafe(no_mangle)]
pub(crate) static HBONE_PORT: Global<u16> = Global::new(0);

/// Whether the guard is on.
#[inline(always)]
pub(crate) fn is_strict() -> bool {
    NODE.get(0).is_some_and(|node| node.flags & STRICT != 0)
}

/// Whether the proxy lives, as far as the programs know.
#[inline(always)]
pub(crate) fn is_alive() -> bool {
    let Some(beat) = BEAT.get(0) else { return false };
    // SAFETY: the helper takes nothing.
    let now = unsafe { bpf_ktime_get_ns() };
    *beat != 0 && now.wrapping_sub(*beat) < LEASE_NS
}
