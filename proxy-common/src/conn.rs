//! One connection.
use crate::addr::Addr;

/// What is known of a socket; lives in its socket storage (`ORIG`) and dies with it.
///
/// Written by the connect hook on the client's socket, copied by sockops to the socket the proxy
/// accepts, and written by user space through the fd on the proxy's own sockets ([`OWN`]).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrigDst {
    /// Where the application meant to go.
    pub addr: Addr,
    pub port_be: u16,
    /// `AF_INET` or `AF_INET6`: the family of the application's socket.
    pub family: u16,
    /// The flags below.
    pub flags: u32,
    /// The pod whose socket it is, or for whom the proxy made it.
    pub pod_id: u32,
    /// `PodCfg::flags` at connect time.
    pub pod_flags: u32,
    /// Namespace cookie of the client.
    pub netns: u64,
    /// `CLOCK_MONOTONIC` when the connect hook ran.
    pub start_ns: u64,
    /// With [`DIRECT`]: what the socket had received when its own end was closed.
    pub received: u64,
}

/// Captured: the application's socket was pointed at the proxy.
pub const CAPTURED: u32 = 1;
/// On the proxy's side of a captured connection.
pub const ACCEPTED: u32 = 1 << 1;
/// The destination is excluded from capture; the guard lets it out.
pub const EXCLUDED: u32 = 1 << 2;
/// A process of the host (kubelet) that connects to a pod.
pub const PROBE: u32 = 1 << 3;
/// The proxy's own socket; user space writes it before `connect(2)`, with one of the next two.
pub const OWN: u32 = 1 << 4;
/// With [`OWN`]: leaves the pod.
pub const LEAVES: u32 = 1 << 5;
/// With [`OWN`]: delivers to the pod's application.
pub const DELIVERS: u32 = 1 << 6;
/// With [`DELIVERS`]: a tuple in `TIME_WAIT` may be taken.
pub const TIME_WAIT_OK: u32 = 1 << 7;

/// Goes to another pod of the node without a proxy: a verdict says so.
pub const DIRECT: u32 = 1 << 11;

/// Set by sockops on the connecting socket: the entries it made and has to remove when the socket
/// closes. Whoever writes the storage of a connected socket loses them.
pub const HOLDS: u32 = HOLDS_PENDING | HOLDS_BYPASS | HOLDS_EGRESS | HOLDS_DIRECT;
/// An entry of `PENDING`, unless the proxy has accepted meanwhile.
pub const HOLDS_PENDING: u32 = 1 << 8;
/// An entry of `BYPASS`.
pub const HOLDS_BYPASS: u32 = 1 << 9;
/// An entry of `EGRESS_OK`.
pub const HOLDS_EGRESS: u32 = 1 << 10;
/// An entry of `DIRECT`.
pub const HOLDS_DIRECT: u32 = 1 << 12;

/// Key of `PENDING`: a captured connection between its SYN and the proxy's accept.
///
/// Without the listener's port, a connection of the pod to itself from the same source port would
/// be taken for the captured one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PendingKey {
    /// Zero where sockops cannot tell (before 5.15); pod addresses are unique on a node.
    pub netns: u64,
    pub source: Addr,
    pub source_port_be: u16,
    /// The proxy's port that the connection was pointed at.
    pub listener_port_be: u16,
    pub reserved: u32,
}

/// Key of `BYPASS` (inbound leaves it alone) and `EGRESS_OK` (the guard lets it out); the value is
/// the id of the pod whose share the entry counts in.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tuple {
    pub source: Addr,
    pub destination: Addr,
    pub source_port_be: u16,
    pub destination_port_be: u16,
    pub reserved: u32,
}

const _: () = {
    assert!(size_of::<OrigDst>() == 16 + 2 + 2 + 4 + 4 + 4 + 8 + 8 + 8);
    assert!(size_of::<PendingKey>() == 8 + 16 + 2 + 2 + 4);
    assert!(size_of::<Tuple>() == 16 + 16 + 2 + 2 + 4);
};
