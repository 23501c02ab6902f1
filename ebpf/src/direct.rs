//! The life of a direct connection: recorded before its SYN, told of when it is there and when it
//! ends.
use aya_ebpf::{bindings::bpf_sock_ops, helpers::generated::bpf_ktime_get_ns};
use culvert_common::{
    conn::{HOLDS_BYPASS, HOLDS_DIRECT, OrigDst, Tuple},
    direct::{BROKEN, CLOSED, Direct, FlowEvent, OPENED, REFUSED},
};

use crate::{
    addr::read,
    count::{Counter, count},
    maps::{DIRECT, EVENTS},
    share::{Leftover, hold, hold_bypass, release},
    verdict,
};

// States of a TCP socket.
pub(crate) const ESTABLISHED: u32 = 1;
const SYN_SENT: u32 = 2;
pub(crate) const FIN_WAIT2: u32 = 5;
const TIME_WAIT: u32 = 6;
const CLOSE_WAIT: u32 = 8;
const LAST_ACK: u32 = 9;
const CLOSING: u32 = 11;

/// What a closed connection has carried.
struct Carried {
    kind: u16,
    sent: u64,
    received: u64,
}

/// Lets a connection pass the other pod's proxy; which entries it holds then.
///
/// Without any it arrives at that proxy like one from a stranger, which decides.
#[inline(always)]
pub(crate) fn open(known: &OrigDst, ends: &Tuple) -> u32 {
    let pod_id = known.pod_id;
    let Some(verdict) = verdict::holding(pod_id, &known.addr, known.port_be) else { return 0 };
    if verdict.endpoint != ends.destination || verdict.endpoint_port_be != ends.destination_port_be
    {
        return 0;
    }
    let entry = Direct {
        source_pod: pod_id,
        destination_pod: verdict.destination_pod,
        source_epoch: verdict.source_epoch,
        destination_epoch: verdict.destination_epoch,
    };
    if !hold(&DIRECT, (ends, &entry), (pod_id, Counter::Tuples), Leftover::Replace) {
        return 0;
    }
    // Whoever changes an epoch looks for entries afterwards: either it finds this one, or the new
    // epoch is seen here.
    if verdict::is_current(&entry) && hold_bypass(ends, pod_id) {
        count(pod_id, Counter::Direct);
        return HOLDS_DIRECT | HOLDS_BYPASS;
    }
    release(&DIRECT, ends, (pod_id, Counter::Tuples));
    0
}

/// It is established.
#[inline(always)]
pub(crate) fn opened(known: &OrigDst, ends: &Tuple) {
    tell(known, ends, &Carried { kind: OPENED, sent: 0, received: 0 });
}

/// The client's end is closed, and the other side knows.
#[inline(always)]
pub(crate) fn half_closed(ops: *mut bpf_sock_ops, known: &mut OrigDst) {
    known.received = read!(ops, bytes_received);
}

/// It has ended; its entry is still there.
#[inline(always)]
pub(crate) fn closed(ops: *mut bpf_sock_ops, known: &OrigDst, ends: &Tuple) {
    let before = read!(ops, __bindgen_anon_1.args[0]);
    let acked = read!(ops, bytes_acked);
    let received = read!(ops, bytes_received);
    let all_acked = read!(ops, snd_una) == read!(ops, snd_nxt);
    if before == SYN_SENT {
        tell(known, ends, &Carried { kind: REFUSED, sent: 0, received: 0 });
        return;
    }
    // TCP counts the SYN and the FIN of this side as sent, and the FIN of the other as received.
    let sent_fin = all_acked && matches!(before, FIN_WAIT2 | TIME_WAIT | LAST_ACK | CLOSING);
    let got_fin = matches!(before, CLOSE_WAIT | LAST_ACK | CLOSING)
        || (before == FIN_WAIT2 && received > known.received);
    let counted = Carried {
        kind: if sent_fin { CLOSED } else { BROKEN },
        sent: acked.saturating_sub(1 + u64::from(sent_fin)),
        received: received.saturating_sub(u64::from(got_fin)),
    };
    tell(known, ends, &counted);
}

#[inline(always)]
fn tell(known: &OrigDst, ends: &Tuple, carried: &Carried) {
    // SAFETY: copied at once; it is removed only by the hook that runs now.
    let destination_pod = unsafe { DIRECT.get(ends) }.map_or(0, |entry| entry.destination_pod);
    let Some(mut room) = EVENTS.reserve(0) else {
        count(known.pod_id, Counter::EventsLost);
        return;
    };
    room.write(FlowEvent {
        ends: *ends,
        meant: known.addr,
        meant_port_be: known.port_be,
        kind: carried.kind,
        source_pod: known.pod_id,
        destination_pod,
        reserved: 0,
        sent: carried.sent,
        received: carried.received,
        // SAFETY: the helper takes nothing.
        lasted_ns: unsafe { bpf_ktime_get_ns() }.wrapping_sub(known.start_ns),
    });
    room.submit(0);
}
