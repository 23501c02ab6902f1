//! What the proxy has decided beforehand: which connections between pods of the node need no proxy.
use aya_ebpf::helpers::generated::bpf_get_prandom_u32;
use culvert_common::{
    addr::Addr,
    direct::{Direct, Verdict, VerdictKey},
};

use crate::{
    count::{Counter, Stats},
    maps::{EPOCHS, VERDICTS, is_alive, is_strict},
    share::has_room,
};

/// Where a connect goes that may go direct.
#[inline(always)]
pub(crate) fn endpoint(source_pod: u32, to: &Addr, port_be: u16) -> Option<(Addr, u16)> {
    let verdict = holding(source_pod, to, port_be)?;
    // Its share of the service's connections: the others are the proxy's to place.
    if verdict.endpoints > 1 {
        // SAFETY: the helper takes nothing.
        let dice = unsafe { bpf_get_prandom_u32() };
        if dice % u32::from(verdict.endpoints) != 0 {
            return None;
        }
    }
    // What cannot be recorded cannot be let pass: in `DIRECT`, `BYPASS` and, if strict, `EGRESS_OK`.
    let entries = if is_strict() { 3 } else { 2 };
    if !has_room(Stats::of(source_pod)?, Counter::Tuples, entries) {
        return None;
    }
    Some((verdict.endpoint, verdict.endpoint_port_be))
}

/// The verdict on a destination, if it holds.
#[inline(always)]
pub(crate) fn holding(source_pod: u32, to: &Addr, port_be: u16) -> Option<Verdict> {
    let key = VerdictKey { destination: *to, source_pod, port_be, reserved: 0 };
    // SAFETY: copied at once; user space replaces values, it does not change them.
    let verdict = *unsafe { VERDICTS.get(key) }?;
    let pods = Direct {
        source_pod,
        destination_pod: verdict.destination_pod,
        source_epoch: verdict.source_epoch,
        destination_epoch: verdict.destination_epoch,
    };
    (is_current(&pods) && is_alive()).then_some(verdict)
}

/// Whether nothing has changed since the verdict.
#[inline(always)]
pub(crate) fn is_current(pods: &Direct) -> bool {
    is_epoch(pods.source_pod, pods.source_epoch)
        && is_epoch(pods.destination_pod, pods.destination_epoch)
}

#[inline(always)]
fn is_epoch(pod_id: u32, epoch: u64) -> bool {
    // SAFETY: as for the verdict.
    unsafe { EPOCHS.get(pod_id) }.is_some_and(|now| *now == epoch)
}
