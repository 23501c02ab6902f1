//! `connect(2)`: which connections go to the proxy.
//!
//! The destination is put into the socket's storage and replaced by the proxy's listener on the
//! pod's own address: `getsockname(2)` stays right, and nothing depends on routing.
use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::{bpf_get_current_cgroup_id, bpf_get_netns_cookie, bpf_ktime_get_ns},
    programs::SockAddrContext,
};
use culvert_common::{
    addr::{Addr, is_link_local6, is_mapped, mapped},
    conn::{CAPTURED, DELIVERS, DIRECT, EXCLUDED, LEAVES, OWN, OrigDst, PROBE, TIME_WAIT_OK},
    pod::{FAIL_OPEN, PodCfg},
};

use crate::{
    addr::{AF_INET, AF_INET6, Attempt, IPPROTO_UDP, put_v4, put_v6},
    count::{Counter, Stats, count},
    dns,
    lookup::{is_taken, listens},
    maps::{ASK, NODE, POD_IPS, PODS, Storage, is_strict, orig},
    pod::{address_of, excludes, stays},
    share::is_full,
    verdict,
};

/// The system call goes on.
const PROCEED: i32 = 1;
/// It fails with `EPERM`.
const REFUSE: i32 = 0;

/// A connect of the proxy to 127.255.255.254:1 asks for the cookie of the namespace it is in
/// (before 5.14 no system call tells). The answer is `EPERM`, and the cookie in `ASK`.
const QUESTION: Addr = mapped(u32::from_ne_bytes([127, 255, 255, 254]));
const QUESTION_PORT_BE: u16 = 1_u16.to_be();

/// What is to become of a connect.
enum Fate {
    Proceed,
    Refuse,
    /// To the proxy's listener.
    Redirect(Addr, u16),
}

/// `connect(2)` of an `AF_INET` socket.
#[inline(always)]
pub fn v4(context: &SockAddrContext) -> i32 {
    match fate(context, &Attempt::v4(context.sock_addr), AF_INET) {
        Fate::Proceed => PROCEED,
        Fate::Refuse => REFUSE,
        Fate::Redirect(to, port_be) => {
            put_v4(context.sock_addr, &to, port_be);
            PROCEED
        }
    }
}

/// `connect(2)` of an `AF_INET6` socket; a v4-mapped destination stays one.
#[inline(always)]
pub fn v6(context: &SockAddrContext) -> i32 {
    match fate(context, &Attempt::v6(context.sock_addr), AF_INET6) {
        Fate::Proceed => PROCEED,
        Fate::Refuse => REFUSE,
        Fate::Redirect(to, port_be) => {
            put_v6(context.sock_addr, &to, port_be);
            PROCEED
        }
    }
}

#[inline(always)]
fn fate(context: &SockAddrContext, attempt: &Attempt, family: u16) -> Fate {
    if !attempt.is_tcp() {
        return if attempt.protocol == IPPROTO_UDP {
            datagrams(context, attempt, family)
        } else {
            Fate::Proceed
        };
    }
    // SAFETY: the helper takes the context of the running program.
    let netns = unsafe { bpf_get_netns_cookie(context.as_ptr()) };
    let known = orig(attempt.sk, Storage::Existing);
    if let Some(known) = &known
        && known.flags & OWN != 0
    {
        return own(context, attempt, known, netns);
    }
    // SAFETY: a reference into the map, not used after a change of the map by this program.
    let Some(pod) = (unsafe { PODS.get(netns) }) else {
        outside_pods(attempt, known, netns);
        return Fate::Proceed;
    };
    if stays(pod, &attempt.destination) {
        forget(known);
        return Fate::Proceed;
    }
    if excludes(pod, attempt) {
        count(pod.pod_id, Counter::Excluded);
        return leave(pod, attempt, known);
    }
    // Means nothing to the proxy, whose socket would not know on which link.
    if is_link_local6(&attempt.destination) {
        forget(known);
        if !is_strict() {
            return Fate::Proceed;
        }
        // What it would send, the guard would drop.
        count(pod.pod_id, Counter::GuardDropped);
        return Fate::Refuse;
    }
    let Some(listener) = address_of(pod, is_mapped(&attempt.destination)) else {
        forget(known);
        count(pod.pod_id, Counter::RefusedFamily);
        return Fate::Refuse;
    };
    let to = match dns::ports(pod, attempt) {
        Some(ports) if listens(context, &listener, ports.tcp_be) => {
            count(pod.pod_id, Counter::Dns);
            (listener, ports.tcp_be)
        }
        _ => (listener, pod.out_port_be),
    };
    if let Some(endpoint) = verdict::endpoint(pod.pod_id, &attempt.destination, attempt.port_be) {
        return redirect(pod, attempt, (netns, family), DIRECT, endpoint);
    }
    if pod.flags & FAIL_OPEN != 0 && !listens(context, &to.0, to.1) {
        count(pod.pod_id, Counter::FailedOpen);
        return leave(pod, attempt, known);
    }
    redirect(pod, attempt, (netns, family), CAPTURED, to)
}

/// A UDP socket gets a peer, as often as it likes.
#[inline(always)]
fn datagrams(context: &SockAddrContext, attempt: &Attempt, family: u16) -> Fate {
    let known = orig(attempt.sk, Storage::Existing);
    if let Some(known) = &known
        && known.flags & OWN != 0
    {
        return Fate::Proceed;
    }
    let Some((netns, pod, to)) = dns::captures(context, attempt) else {
        forget(known);
        return Fate::Proceed;
    };
    redirect(pod, attempt, (netns, family), CAPTURED, to)
}

/// The proxy's own socket: user space has said which in its storage.
#[inline(always)]
fn own(context: &SockAddrContext, attempt: &Attempt, known: &OrigDst, netns: u64) -> Fate {
    if attempt.destination == QUESTION && attempt.port_be == QUESTION_PORT_BE {
        // Cannot fail: the array has this entry.
        let _cannot_fail = ASK.set(0, netns, 0);
        return Fate::Refuse;
    }
    // Without an entry it would come back to the proxy, or be dropped by the guard.
    let needs_entry = known.flags & DELIVERS != 0 || (known.flags & LEAVES != 0 && is_strict());
    if needs_entry {
        let Some(stats) = Stats::of(known.pod_id) else { return Fate::Refuse };
        if is_full(stats, Counter::Tuples) {
            stats.add(Counter::OverLimit, 1);
            return Fate::Refuse;
        }
    }
    let reuse = known.flags & TIME_WAIT_OK != 0;
    if known.flags & DELIVERS != 0 && is_taken(context, attempt, reuse) {
        return Fate::Refuse;
    }
    Fate::Proceed
}

/// Not from an enrolled pod: a process of the host that connects to a local pod is a probe.
#[inline(always)]
fn outside_pods(attempt: &Attempt, known: Option<&'static mut OrigDst>, netns: u64) {
    if let Some(pod_id) = probed(attempt, netns) {
        if let Some(storage) = orig(attempt.sk, Storage::Created) {
            *storage = OrigDst { flags: PROBE, pod_id, ..OrigDst::default() };
        }
        return;
    }
    forget(known);
}

/// The pod that a probe goes to.
#[inline(always)]
fn probed(attempt: &Attempt, netns: u64) -> Option<u32> {
    let node = NODE.get(0)?;
    if node.host_netns != netns {
        return None;
    }
    // SAFETY: the helper takes nothing.
    if node.prober_cgroup != 0 && node.prober_cgroup != unsafe { bpf_get_current_cgroup_id() } {
        return None;
    }
    // SAFETY: as for `PODS`.
    unsafe { POD_IPS.get(attempt.destination) }.copied()
}

/// A socket may be used again (`AF_UNSPEC`): what it was is over.
#[inline(always)]
fn forget(known: Option<&'static mut OrigDst>) {
    if let Some(known) = known {
        known.flags = 0;
    }
}

/// Goes where it meant to; when strict, `sockops` has to tell the guard.
#[inline(always)]
fn leave(pod: &PodCfg, attempt: &Attempt, known: Option<&'static mut OrigDst>) -> Fate {
    if !is_strict() {
        forget(known);
        return Fate::Proceed;
    }
    let Some(storage) = orig(attempt.sk, Storage::Created) else {
        count(pod.pod_id, Counter::RefusedMemory);
        return Fate::Refuse;
    };
    *storage = OrigDst { flags: EXCLUDED, pod_id: pod.pod_id, ..OrigDst::default() };
    Fate::Proceed
}

/// To the proxy, or past it to another pod (`how`); the socket's storage knows where it meant to go.
#[inline(always)]
fn redirect(
    pod: &PodCfg,
    attempt: &Attempt,
    (netns, family): (u64, u16),
    how: u32,
    (to, port_be): (Addr, u16),
) -> Fate {
    let Some(storage) = orig(attempt.sk, Storage::Created) else {
        count(pod.pod_id, Counter::RefusedMemory);
        return Fate::Refuse;
    };
    *storage = OrigDst {
        addr: attempt.destination,
        port_be: attempt.port_be,
        family,
        flags: how,
        pod_id: pod.pod_id,
        pod_flags: pod.flags,
        netns,
        // SAFETY: the helper takes nothing.
        start_ns: unsafe { bpf_ktime_get_ns() },
        received: 0,
    };
    if how == CAPTURED && attempt.protocol != IPPROTO_UDP {
        count(pod.pod_id, Counter::Captured);
    }
    Fate::Redirect(to, port_be)
}
