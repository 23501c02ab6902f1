//! What becomes of TCP connections: hands the original destination from the client's socket to the
//! one the proxy accepts, and records, before the SYN, what the other programs let pass.
use aya_ebpf::{
    EbpfContext as _,
    bindings::{
        BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, BPF_SOCK_OPS_STATE_CB, BPF_SOCK_OPS_STATE_CB_FLAG,
        BPF_SOCK_OPS_TCP_CONNECT_CB, bpf_sock_ops,
    },
    helpers::generated::{bpf_get_netns_cookie, bpf_setsockopt, bpf_sock_ops_cb_flags_set},
    programs::SockOpsContext,
};
use culvert_common::conn::{
    ACCEPTED, CAPTURED, DELIVERS, DIRECT, EXCLUDED, HOLDS, HOLDS_BYPASS, HOLDS_DIRECT,
    HOLDS_EGRESS, HOLDS_PENDING, LEAVES, PROBE, PendingKey, Tuple,
};

use crate::{
    addr::{of_ops, read},
    count::{Counter, count},
    direct::{self, ESTABLISHED, FIN_WAIT2},
    maps::{self, BYPASS, EGRESS_OK, HAS_OPS_COOKIE, PENDING, Storage, is_strict, orig},
    share::{Leftover, hold, hold_bypass, hold_egress, release},
};

/// What every callback answers.
const DONE: u32 = 1;
const TCP_CLOSE: u32 = 7;
const SOL_SOCKET: i32 = 1;
const SO_MARK: i32 = 36;

/// One callback.
#[inline(always)]
pub fn on_event(context: &SockOpsContext) -> u32 {
    let ops = context.ops;
    match read!(ops, op) {
        BPF_SOCK_OPS_TCP_CONNECT_CB => opening(context),
        BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB => accepted(context),
        BPF_SOCK_OPS_STATE_CB => match read!(ops, __bindgen_anon_1.args[1]) {
            TCP_CLOSE => closed(context),
            state @ (ESTABLISHED | FIN_WAIT2) => advanced(ops, state),
            _ => {}
        },
        _ => {}
    }
    DONE
}

/// The SYN is about to be sent; both ends are known.
#[inline(always)]
fn opening(context: &SockOpsContext) {
    let ops = context.ops;
    let Some(known) = orig(read!(ops, __bindgen_anon_2.sk), Storage::Existing) else { return };
    let is = known.flags & !HOLDS;
    let mut holds = 0;
    if is & CAPTURED != 0 {
        let ends = of_ops(ops);
        let key = pending_key(context, &ends);
        let share = (known.pod_id, Counter::Pending);
        // What the proxy's side gets does not hold anything.
        known.flags = is;
        if hold(&PENDING, (&key, &*known), share, leftover()) {
            holds |= HOLDS_PENDING;
        }
        // From another address than the one it was pointed at (a bound socket): `inbound` would
        // take it for a connection from elsewhere.
        if ends.source != ends.destination && hold_bypass(&ends, known.pod_id) {
            holds |= HOLDS_BYPASS;
        }
    } else if is & (PROBE | DELIVERS) != 0 {
        if hold_bypass(&of_ops(ops), known.pod_id) {
            holds |= HOLDS_BYPASS;
        } else if is & DELIVERS != 0 {
            strand(ops);
        }
    } else if is & DIRECT != 0 {
        let ends = of_ops(ops);
        holds = direct::open(known, &ends);
        if is_strict() && hold_egress(&ends, known.pod_id) {
            holds |= HOLDS_EGRESS;
        }
    } else if is & (LEAVES | EXCLUDED) != 0
        && is_strict()
        && hold_egress(&of_ops(ops), known.pod_id)
    {
        holds |= HOLDS_EGRESS;
    }
    known.flags = is | holds;
    if holds != 0 {
        watch(ops);
    }
}

/// A server's side is established: if it is the proxy's of a captured connection, it learns where
/// that was going.
#[inline(always)]
fn accepted(context: &SockOpsContext) {
    let ops = context.ops;
    let ends = of_ops(ops);
    let client = Tuple {
        source: ends.destination,
        destination: ends.source,
        source_port_be: ends.destination_port_be,
        destination_port_be: ends.source_port_be,
        reserved: 0,
    };
    let key = pending_key(context, &client);
    // SAFETY: copied at once. Who removes the entry has it: if that is the client's end, which may
    // be closing, the copy is not used.
    let Some(pending) = (unsafe { PENDING.get(key) }) else { return };
    let mut pending = *pending;
    if !release(&PENDING, &key, (pending.pod_id, Counter::Pending)) {
        return;
    }
    let Some(storage) = orig(read!(ops, __bindgen_anon_2.sk), Storage::Created) else {
        count(pending.pod_id, Counter::RefusedMemory);
        return;
    };
    pending.flags |= ACCEPTED;
    *storage = pending;
}

/// A socket that holds entries has come so far.
#[inline(always)]
fn advanced(ops: *mut bpf_sock_ops, state: u32) {
    let Some(known) = orig(read!(ops, __bindgen_anon_2.sk), Storage::Existing) else { return };
    if known.flags & HOLDS_DIRECT == 0 {
        return;
    }
    if state == ESTABLISHED {
        direct::opened(known, &of_ops(ops));
    } else {
        direct::half_closed(ops, known);
    }
}

/// A socket that holds entries has ended, in whichever way.
#[inline(always)]
fn closed(context: &SockOpsContext) {
    let ops = context.ops;
    let Some(known) = orig(read!(ops, __bindgen_anon_2.sk), Storage::Existing) else { return };
    let holds = known.flags & HOLDS;
    if holds == 0 {
        return;
    }
    known.flags &= !HOLDS;
    let ends = of_ops(ops);
    let pod_id = known.pod_id;
    if holds & HOLDS_DIRECT != 0 {
        direct::closed(ops, known, &ends);
        release(&maps::DIRECT, &ends, (pod_id, Counter::Tuples));
    }
    if holds & HOLDS_PENDING != 0 {
        release(&PENDING, &pending_key(context, &ends), (pod_id, Counter::Pending));
    }
    if holds & HOLDS_BYPASS != 0 {
        release(&BYPASS, &ends, (pod_id, Counter::Tuples));
    }
    if holds & HOLDS_EGRESS != 0 {
        release(&EGRESS_OK, &ends, (pod_id, Counter::Tuples));
    }
}

#[inline(always)]
fn pending_key(context: &SockOpsContext, client: &Tuple) -> PendingKey {
    let netns = if HAS_OPS_COOKIE.load() == 0 {
        0
    } else {
        // SAFETY: the helper takes the context of the running program.
        unsafe { bpf_get_netns_cookie(context.as_ptr()) }
    };
    PendingKey {
        netns,
        source: client.source,
        source_port_be: client.source_port_be,
        listener_port_be: client.destination_port_be,
        reserved: 0,
    }
}

/// Without the namespace in the key, two pods may both connect from 127.0.0.1.
#[inline(always)]
fn leftover() -> Leftover {
    if HAS_OPS_COOKIE.load() == 0 { Leftover::Refuse } else { Leftover::Replace }
}

/// Asks to be called when the socket's state changes, beside what others have asked for.
#[inline(always)]
fn watch(ops: *mut bpf_sock_ops) {
    let flags = read!(ops, bpf_sock_ops_cb_flags) | BPF_SOCK_OPS_STATE_CB_FLAG;
    // SAFETY: the helper takes the context of the running program.
    // It fails for flags that this kernel does not know, and these it reported itself.
    unsafe { bpf_sock_ops_cb_flags_set(ops, flags.cast_signed()) };
}

/// A delivery that `inbound` would steer back to the proxy, again and again.
///
/// No callback can stop a connect. Without its mark the answer to the SYN leaves for the client
/// instead of coming back, so the delivery times out.
#[inline(always)]
fn strand(ops: *mut bpf_sock_ops) {
    let mut no_mark = 0_u32;
    // SAFETY: the helper takes the context, and four bytes for this option.
    unsafe {
        bpf_setsockopt(ops.cast(), SOL_SOCKET, SO_MARK, (&raw mut no_mark).cast(), 4);
    }
}
