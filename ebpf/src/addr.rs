//! Addresses and ports in the contexts that the kernel hands to programs.
//!
//! Every field is read at once, before any decision: a compiler merges reads of two branches into
//! one with a computed offset, which the verifier refuses ("dereference of modified ctx ptr").
use aya_ebpf::bindings::{bpf_sk_lookup, bpf_sock, bpf_sock_addr, bpf_sock_ops};
use culvert_common::{
    addr::{Addr, mapped},
    conn::Tuple,
};

pub(crate) const AF_INET: u16 = 2;
pub(crate) const AF_INET6: u16 = 10;
pub(crate) const IPPROTO_TCP: u32 = 6;
pub(crate) const IPPROTO_UDP: u32 = 17;
/// A subflow shows as TCP where programs see it; spelt out so that nothing depends on that.
pub(crate) const IPPROTO_MPTCP: u32 = 262;

/// Reads a field of a context.
macro_rules! read {
    ($context:expr, $($field:tt)+) => {
        // SAFETY: the kernel hands out a context that is valid until the program ends.
        unsafe { core::ptr::read_volatile(&raw const (*$context).$($field)+) }
    };
}
pub(crate) use read;

/// Writes a field of a context.
macro_rules! write {
    ($context:expr, $value:expr, $($field:tt)+) => {
        // SAFETY: as for reading, and the kernel lets the hook write this field.
        unsafe { core::ptr::write_volatile(&raw mut (*$context).$($field)+, $value) }
    };
}

/// Of a `connect(2)`, or of a datagram, what the programs look at; of a received one, the
/// destination is who has sent it.
#[derive(Clone, Copy)]
pub(crate) struct Attempt {
    pub(crate) sk: *mut bpf_sock,
    pub(crate) protocol: u32,
    pub(crate) destination: Addr,
    pub(crate) port_be: u16,
}

impl Attempt {
    /// Of an `AF_INET` socket.
    #[inline(always)]
    pub(crate) fn v4(context: *mut bpf_sock_addr) -> Self {
        Self::with(context, mapped(read!(context, user_ip4)))
    }

    /// Of an `AF_INET6` socket; the destination may be v4-mapped.
    #[inline(always)]
    pub(crate) fn v6(context: *mut bpf_sock_addr) -> Self {
        let destination = [
            read!(context, user_ip6[0]),
            read!(context, user_ip6[1]),
            read!(context, user_ip6[2]),
            read!(context, user_ip6[3]),
        ];
        Self::with(context, destination)
    }

    #[inline(always)]
    fn with(context: *mut bpf_sock_addr, destination: Addr) -> Self {
        Self {
            sk: read!(context, __bindgen_anon_1.sk),
            protocol: read!(context, protocol),
            destination,
            port_be: low_half(read!(context, user_port)),
        }
    }

    #[inline(always)]
    pub(crate) fn is_tcp(&self) -> bool {
        self.protocol == IPPROTO_TCP || self.protocol == IPPROTO_MPTCP
    }
}

/// Puts an address into the context of an `AF_INET` socket.
#[inline(always)]
pub(crate) fn put_v4(context: *mut bpf_sock_addr, addr: &Addr, port_be: u16) {
    write!(context, addr[3], user_ip4);
    write!(context, u32::from(port_be), user_port);
}

/// Puts an address into the context of an `AF_INET6` socket.
#[inline(always)]
pub(crate) fn put_v6(context: *mut bpf_sock_addr, addr: &Addr, port_be: u16) {
    write!(context, addr[0], user_ip6[0]);
    write!(context, addr[1], user_ip6[1]);
    write!(context, addr[2], user_ip6[2]);
    write!(context, addr[3], user_ip6[3]);
    write!(context, u32::from(port_be), user_port);
}

/// Both ends of a socket in sockops, as it sees itself: its own end is the source.
#[inline(always)]
pub(crate) fn of_ops(context: *mut bpf_sock_ops) -> Tuple {
    let family = read!(context, family);
    let local4 = mapped(read!(context, local_ip4));
    let remote4 = mapped(read!(context, remote_ip4));
    let local6 = [
        read!(context, local_ip6[0]),
        read!(context, local_ip6[1]),
        read!(context, local_ip6[2]),
        read!(context, local_ip6[3]),
    ];
    let remote6 = [
        read!(context, remote_ip6[0]),
        read!(context, remote_ip6[1]),
        read!(context, remote_ip6[2]),
        read!(context, remote_ip6[3]),
    ];
    let source_port = low_half(read!(context, local_port));
    let destination_port_be = high_half(read!(context, remote_port));
    let (source, destination) =
        if family == u32::from(AF_INET) { (local4, remote4) } else { (local6, remote6) };
    Tuple {
        source,
        destination,
        source_port_be: source_port.to_be(),
        destination_port_be,
        reserved: 0,
    }
}

/// Both ends of an incoming connection in `sk_lookup`, and whether it is IPv4.
#[inline(always)]
pub(crate) fn of_lookup(context: *mut bpf_sk_lookup) -> (Tuple, bool) {
    let family = read!(context, family);
    let local4 = mapped(read!(context, local_ip4));
    let remote4 = mapped(read!(context, remote_ip4));
    let local6 = [
        read!(context, local_ip6[0]),
        read!(context, local_ip6[1]),
        read!(context, local_ip6[2]),
        read!(context, local_ip6[3]),
    ];
    let remote6 = [
        read!(context, remote_ip6[0]),
        read!(context, remote_ip6[1]),
        read!(context, remote_ip6[2]),
        read!(context, remote_ip6[3]),
    ];
    let source_port_be = read!(context, remote_port);
    let destination_port = low_half(read!(context, local_port));
    let v4 = family == u32::from(AF_INET);
    let (source, destination) = if v4 { (remote4, local4) } else { (remote6, local6) };
    let tuple = Tuple {
        source,
        destination,
        source_port_be,
        destination_port_be: destination_port.to_be(),
        reserved: 0,
    };
    (tuple, v4)
}

/// What a socket is bound to, in the family asked for.
#[inline(always)]
pub(crate) fn bound(sk: *mut bpf_sock, v4: bool) -> (Addr, u16) {
    let ip4 = mapped(read!(sk, src_ip4));
    let ip6 = [
        read!(sk, src_ip6[0]),
        read!(sk, src_ip6[1]),
        read!(sk, src_ip6[2]),
        read!(sk, src_ip6[3]),
    ];
    let port = low_half(read!(sk, src_port));
    (if v4 { ip4 } else { ip6 }, port.to_be())
}

/// A port that is the value of a wider field.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the field is wider than what is in it")]
const fn low_half(field: u32) -> u16 {
    field as u16
}

/// A port in network order in the last two bytes of a wider field.
#[inline(always)]
const fn high_half(field: u32) -> u16 {
    let [_, _, a, b] = field.to_ne_bytes();
    u16::from_ne_bytes([a, b])
}
