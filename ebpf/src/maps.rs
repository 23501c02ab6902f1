//! Every map and every setting of the programs.
//!
//! Sizes are those of full maps on a 64-bit kernel, its own part of about 48 bytes per entry of a
//! hash included; hashes are not preallocated and cost what they hold.
use core::ptr;

use aya_ebpf::{
    Global,
    bindings::{BPF_F_NO_PREALLOC, BPF_SK_STORAGE_GET_F_CREATE, bpf_sock},
    btf_maps::{Array, HashMap, LpmTrie, SkStorage, SockMap},
    helpers::generated::bpf_sk_storage_get,
    macros::btf_map,
};
use culvert_common::{
    addr::Addr,
    conn::{OrigDst, PendingKey, Tuple},
    node::{NodeCfg, STRICT},
    pod::{Exclude, ExcludeKey, PodCfg, PodStats},
};

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

/// What is known of a socket; freed with it.
///
/// Key: the socket. Written by `connect` (client), `sockops` (accepted) and, through the fd, by
/// user space (its own sockets, before their connect); read by those and `getpeer`. No memory: the
/// connection is refused. 56 bytes and about 100 of the kernel's per socket.
#[btf_map]
pub(crate) static ORIG: SkStorage<OrigDst> = SkStorage::new();

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

/// Connections that `inbound` leaves alone: the proxy's deliveries, the host's probes.
///
/// Value: the pod whose share it counts in. Written and removed by `sockops`, at the SYN and at
/// the close: with SYN cookies the last part of the handshake is looked up again. Full, or the
/// share is: a probe is steered to the proxy, a delivery fails. 23 MiB.
#[btf_map]
pub(crate) static BYPASS: Connections<Tuple, u32> = HashMap::new();

/// Connections that `guard` lets out of a pod; only kept while [`NODE`] says strict.
///
/// Otherwise as [`BYPASS`]. Full, or the share is: the SYN is dropped. 23 MiB.
#[btf_map]
pub(crate) static EGRESS_OK: Connections<Tuple, u32> = HashMap::new();

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

/// Whether to make storage that is not there.
#[derive(Clone, Copy)]
pub(crate) enum Storage {
    Existing,
    Created,
}

/// The storage of `sk`. Created storage is zeros.
#[inline(always)]
pub(crate) fn orig(sk: *mut bpf_sock, storage: Storage) -> Option<&'static mut OrigDst> {
    let flags = match storage {
        Storage::Existing => 0,
        Storage::Created => u64::from(BPF_SK_STORAGE_GET_F_CREATE),
    };
    if sk.is_null() {
        return None;
    }
    // SAFETY: the helper takes the map, a socket of the running hook, which is not null, and no
    // initial value.
    let value = unsafe {
        bpf_sk_storage_get((&raw const ORIG).cast_mut().cast(), sk.cast(), ptr::null_mut(), flags)
    };
    // SAFETY: null or this socket's value, which lives until the program ends. The hooks that
    // write it hold the socket's lock; user space writes it before the socket is connected.
    unsafe { value.cast::<OrigDst>().as_mut() }
}
