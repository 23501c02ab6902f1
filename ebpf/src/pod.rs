//! What an enrolled pod's entry says of a destination.
use aya_ebpf::btf_maps::lpm_trie::Key;
use culvert_common::{
    addr::{Addr, is_loopback, is_mapped, is_unspecified, mapped},
    pod::{ExcludeKey, HAS_EXCLUDES, PodCfg},
};

use crate::{addr::Attempt, maps::EXCLUDE};

/// What never leaves the pod.
#[inline(always)]
pub(crate) fn stays(pod: &PodCfg, to: &Addr) -> bool {
    let own = if is_mapped(to) { to[3] == pod.ip4_be } else { *to == pod.ip6 };
    own || is_loopback(to) || is_unspecified(to)
}

/// The pod's address of the family; zeros mean that it has none.
#[inline(always)]
pub(crate) fn address_of(pod: &PodCfg, v4: bool) -> Option<Addr> {
    if v4 {
        return (pod.ip4_be != 0).then(|| mapped(pod.ip4_be));
    }
    (pod.ip6 != [0; 4]).then_some(pod.ip6)
}

/// Whether the pod does not want that captured.
#[inline(always)]
pub(crate) fn excludes(pod: &PodCfg, attempt: &Attempt) -> bool {
    /// A key that is to match as a whole: pod and address.
    const WHOLE: u32 = 32 + 128;
    if pod.flags & HAS_EXCLUDES == 0 {
        return false;
    }
    let key = Key::new(WHOLE, ExcludeKey { pod_id: pod.pod_id, addr: attempt.destination });
    let Some(exclude) = EXCLUDE.get(&key) else { return false };
    let mut none = true;
    for port_be in exclude.ports_be {
        if port_be == attempt.port_be && port_be != 0 {
            return true;
        }
        none &= port_be == 0;
    }
    none
}
