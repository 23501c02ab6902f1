//! Questions to the kernel's table of TCP sockets, asked by the connect hook.
use aya_ebpf::{
    bindings::bpf_sock_addr,
    helpers::generated::{bpf_sk_release, bpf_skc_lookup_tcp},
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

/// The state of the socket in this namespace that a segment between these ends would reach.
#[inline(always)]
fn state(context: &SockAddrContext, from: (&Addr, u16), to: (&Addr, u16)) -> Option<u32> {
    let ([a, b], [c, d]) = (from.1.to_ne_bytes(), to.1.to_ne_bytes());
    let ports = u32::from_ne_bytes([a, b, c, d]);
    let (s, t) = (from.0, to.0);
    // The kernel's `bpf_sock_tuple`: source, destination, source port, destination port.
    if is_mapped(t) {
        look_up(context.sock_addr, [s[3], t[3], ports])
    } else {
        look_up(context.sock_addr, [s[0], s[1], s[2], s[3], t[0], t[1], t[2], t[3], ports])
    }
}

#[inline(always)]
fn look_up<const WORDS: usize>(
    context: *mut bpf_sock_addr,
    mut tuple: [u32; WORDS],
) -> Option<u32> {
    #[expect(clippy::cast_possible_truncation, reason = "36 at most")]
    let size = size_of::<[u32; WORDS]>() as u32;
    // SAFETY: the helper takes the context, and a tuple of one of the two sizes it knows.
    let found =
        unsafe { bpf_skc_lookup_tcp(context.cast(), tuple.as_mut_ptr().cast(), size, HERE, 0) };
    if found.is_null() {
        return None;
    }
    let state = read!(found, state);
    // SAFETY: the socket found above, not used after this.
    unsafe { bpf_sk_release(found.cast()) };
    Some(state)
}
