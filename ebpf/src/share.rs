//! Room in the connection maps: each pod has its share, so that its churn takes nobody else's.
//!
//! What a socket holds is written in its storage and given back exactly once, when it closes.
use aya_ebpf::bindings::{BPF_EXIST, BPF_NOEXIST};
use culvert_common::conn::Tuple;

use crate::{
    count::{Counter, Stats},
    maps::{BYPASS, Connections, EGRESS_OK, NODE},
};

const EEXIST: i32 = 17;

/// What to do with an entry of the same key: it was left behind, the connection being ours.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leftover {
    Replace,
    /// Keys are not certain to be unique here.
    Refuse,
}

/// Whether the share that `held` counts is used up.
#[inline(always)]
pub(crate) fn is_full(stats: Stats, held: Counter) -> bool {
    !has_room(stats, held, 1)
}

/// Whether so many entries more fit in the share that `held` counts.
#[inline(always)]
pub(crate) fn has_room(stats: Stats, held: Counter, entries: u64) -> bool {
    let Some(node) = NODE.get(0) else { return false };
    let limit =
        if matches!(held, Counter::Pending) { node.pending_limit } else { node.tuple_limit };
    stats.get(held).saturating_add(entries) <= u64::from(limit)
}

/// Adds an entry to the share of `pod_id`. Two processors at once may exceed it by one.
#[inline(always)]
pub(crate) fn hold<K, V>(
    map: &Connections<K, V>,
    (key, value): (&K, &V),
    (pod_id, held): (u32, Counter),
    leftover: Leftover,
) -> bool {
    let Some(stats) = Stats::of(pod_id) else { return false };
    if !is_full(stats, held) {
        match map.insert(key, value, BPF_NOEXIST.into()) {
            Ok(()) => {
                stats.add(held, 1);
                return true;
            }
            // It is counted already.
            Err(error) if error == -EEXIST && leftover == Leftover::Replace => {
                if map.insert(key, value, BPF_EXIST.into()).is_ok() {
                    return true;
                }
            }
            Err(_) => {}
        }
    }
    stats.add(Counter::OverLimit, 1);
    false
}

/// Removes an entry from the share of `pod_id`, if it is still there.
#[inline(always)]
pub(crate) fn release<K, V>(
    map: &Connections<K, V>,
    key: &K,
    (pod_id, held): (u32, Counter),
) -> bool {
    let removed = map.remove(key).is_ok();
    if removed && let Some(stats) = Stats::of(pod_id) {
        stats.add(held, -1);
    }
    removed
}

/// `inbound` will leave the connection alone.
#[inline(always)]
pub(crate) fn hold_bypass(tuple: &Tuple, pod_id: u32) -> bool {
    hold(&BYPASS, (tuple, &pod_id), (pod_id, Counter::Tuples), Leftover::Replace)
}

/// `guard` will let the connection out.
#[inline(always)]
pub(crate) fn hold_egress(tuple: &Tuple, pod_id: u32) -> bool {
    hold(&EGRESS_OK, (tuple, &pod_id), (pod_id, Counter::Tuples), Leftover::Replace)
}
