//! Connections that arrive in a pod: to the proxy's listener, whatever port they are for.
//!
//! The accepted socket's own address is the original destination.
use aya_ebpf::programs::SkLookupContext;
use culvert_common::addr::is_loopback;

use crate::{
    addr::{IPPROTO_TCP, of_lookup, read},
    count::{Counter, count},
    maps::{BYPASS, FAIL_OPEN, HAS_INGRESS, HBONE_PORT, LISTENERS, POD_ID},
};

/// The listener chosen here, or else the one the kernel finds.
const PASS: u32 = 1;
/// Answered with RST.
const DROP: u32 = 0;

/// One segment that belongs to no connection: a SYN, and with SYN cookies the ACK that follows.
#[inline(always)]
pub fn steer(context: &SkLookupContext) -> u32 {
    let lookup = context.lookup;
    let (tuple, v4) = of_lookup(lookup);
    if read!(lookup, protocol) != IPPROTO_TCP {
        return PASS;
    }
    // The pod to itself. The interface would not tell: it is the outer one for the pod's address.
    if is_loopback(&tuple.destination) || tuple.source == tuple.destination {
        return PASS;
    }
    // No segment but a question, as the connect hook asks for deliveries.
    if HAS_INGRESS.load() != 0 && read!(lookup, ingress_ifindex) == 0 {
        return PASS;
    }
    let pod_id = POD_ID.load();
    // SAFETY: only whether it is there.
    if unsafe { BYPASS.get(tuple) }.is_some() {
        count(pod_id, Counter::Bypassed);
        return PASS;
    }
    let hbone = HBONE_PORT.load();
    let tunnel = hbone != 0 && tuple.destination_port_be == hbone.to_be();
    let slot = u32::from(!v4) + if tunnel { 2 } else { 0 };
    if LISTENERS.redirect_sk_lookup(context, slot, 0).is_ok() {
        count(pod_id, Counter::Inbound);
        return PASS;
    }
    if FAIL_OPEN.load() != 0 {
        count(pod_id, Counter::FailedOpen);
        return PASS;
    }
    count(pod_id, Counter::InboundRefused);
    DROP
}
