//! Questions to the kernel's tables of sockets, asked by the hooks of system calls.
use aya_ebpf::{
    bindings::bpf_sock_addr,
    helpers::generated::{bpf_sk_lookup_udp, bpf_sk_release, bpf_skc_lookup_tcp},
    programs::SockAddrContext,
};
use culvert_common::addr::{Addr, is_mapped};

use crate::addr::{Attempt, bound, read};

/// The program's own namespace.
const HERE: u64 = u64::MAX;
const TCP_TIME_WAIT: u32 = 6;
const TCP_LISTEN: u32 = 10;

/// Whether the proxy's listener is there.
#[inline(always)]
pub(crate) fn listens(context: &SockAddrContext, addr: &Addr, port_be: u16) -> bool {
    state(context, (addr, 0), (addr, port_be)) == Some(TCP_LISTEN)
}

/// Whether the proxy's datagram socket is there.
#[inline(always)]
pub(crate) fn receives(context: &SockAddrContext, addr: &Addr, port_be: u16) -> bool {
    match tuple((addr, 0), (addr, port_be)) {
        Ends::V4(tuple) => receives_at(context.sock_addr, tuple),
        Ends::V6(tuple) => receives_at(context.sock_addr, tuple),
    }
}

/// Whether the application's end of a delivery exists: a live connection of the same client, which
/// would swallow the SYN.
#[inline(always)]
pub(crate) fn is_taken(
    context: &SockAddrContext,
    attempt: &Attempt,
    reuse_time_wait: bool,
) -> bool {
    let (source, source_port_be) = bound(attempt.sk, is_mapped(&attempt.destination));
    if source_port_be == 0 {
        // Deliveries are bound; what is not cannot be checked.
        return true;
    }
    match state(context, (&source, source_port_be), (&attempt.destination, attempt.port_be)) {
        None | Some(TCP_LISTEN) => false,
        Some(TCP_TIME_WAIT) => !reuse_time_wait,
        Some(_) => true,
    }
}

/// The kernel's `bpf_sock_tuple`: source, destination, source port, destination port.
enum Ends {
    V4([u32; 3]),
    V6([u32; 9]),
}

#[inline(always)]
fn tuple(from: (&Addr, u16), to: (&Addr, u16)) -> Ends {
    let ([a, b], [c, d]) = (from.1.to_ne_bytes(), to.1.to_ne_bytes());
    let ports = u32::from_ne_bytes([a, b, c, d]);
    let (s, t) = (from.0, to.0);
    if is_mapped(t) {
        Ends::V4([s[3], t[3], ports])
    } else {
        Ends::V6([s[0], s[1], s[2], s[3], t[0], t[1], t[2], t[3], ports])
    }
}

/// The state of the socket in this namespace that a segment between these ends would reach.
#[inline(always)]
fn state(context: &SockAddrContext, from: (&Addr, u16), to: (&Addr, u16)) -> Option<u32> {
    match tuple(from, to) {
        Ends::V4(tuple) => state_at(context.sock_addr, tuple),
        Ends::V6(tuple) => state_at(context.sock_addr, tuple),
    }
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "36 at most")]
const fn size<const WORDS: usize>() -> u32 {
    size_of::<[u32; WORDS]>() as u32
}

#[inline(always)]
fn state_at<const WORDS: usize>(
    context: *mut bpf_sock_addr,
    mut tuple: [u32; WORDS],
) -> Option<u32> {
    // SAFETY: the helper takes the context, and a tuple of one of the two sizes it knows.
    let found = unsafe {
        bpf_skc_lookup_tcp(context.cast(), tuple.as_mut_ptr().cast(), size::<WORDS>(), HERE, 0)
    };
    if found.is_null() {
        return None;
    }
    let state = read!(found, state);
    // SAFETY: the socket found above, not used after this.
    unsafe { bpf_sk_release(found.cast()) };
    Some(state)
}

#[inline(always)]
fn receives_at<const WORDS: usize>(context: *mut bpf_sock_addr, mut tuple: [u32; WORDS]) -> bool {
    // SAFETY: as for TCP.
    let found = unsafe {
        bpf_sk_lookup_udp(context.cast(), tuple.as_mut_ptr().cast(), size::<WORDS>(), HERE, 0)
    };
    if found.is_null() {
        return false;
    }
    // SAFETY: the socket found above, not used after this.
    unsafe { bpf_sk_release(found.cast()) };
    true
}
