//! Questions to name servers: the proxy answers in the place of those it knows, while it lives.
use aya_ebpf::{
    EbpfContext as _, helpers::generated::bpf_get_netns_cookie, programs::SockAddrContext,
};
use culvert_common::{
    addr::{Addr, is_mapped},
    conn::OWN,
    dns::{DnsBackKey, DnsKey, DnsPorts, PORT},
    pod::{HAS_DNS, PodCfg},
};

use crate::{
    addr::{Attempt, IPPROTO_UDP, put_v4, put_v6},
    count::{Counter, count},
    lookup::receives,
    maps::{DNS, DNS_BACK, PODS, Storage, is_alive, orig},
    pod::{address_of, excludes},
};

/// The system call always goes on.
const PROCEED: i32 = 1;

/// `sendmsg(2)` and `sendto(2)` of an `AF_INET` socket, to an address that is given with it.
#[inline(always)]
pub fn send_v4(context: &SockAddrContext) -> i32 {
    if let Some((to, port_be)) = meant_for_us(context, &Attempt::v4(context.sock_addr)) {
        put_v4(context.sock_addr, &to, port_be);
    }
    PROCEED
}

/// The same of an `AF_INET6` socket.
#[inline(always)]
pub fn send_v6(context: &SockAddrContext) -> i32 {
    if let Some((to, port_be)) = meant_for_us(context, &Attempt::v6(context.sock_addr)) {
        put_v6(context.sock_addr, &to, port_be);
    }
    PROCEED
}

/// `recvmsg(2)` and `recvfrom(2)` of an `AF_INET` socket that ask who has sent.
#[inline(always)]
pub fn receive_v4(context: &SockAddrContext) -> i32 {
    if let Some(resolver) = asked(context, &Attempt::v4(context.sock_addr)) {
        put_v4(context.sock_addr, &resolver, PORT.to_be());
    }
    PROCEED
}

/// The same of an `AF_INET6` socket.
#[inline(always)]
pub fn receive_v6(context: &SockAddrContext) -> i32 {
    if let Some(resolver) = asked(context, &Attempt::v6(context.sock_addr)) {
        put_v6(context.sock_addr, &resolver, PORT.to_be());
    }
    PROCEED
}

/// The proxy's ports that stand for a name server of the pod, now.
#[inline(always)]
pub(crate) fn ports(pod: &PodCfg, attempt: &Attempt) -> Option<DnsPorts> {
    if attempt.port_be != PORT.to_be() || pod.flags & HAS_DNS == 0 || !is_alive() {
        return None;
    }
    // SAFETY: copied at once.
    unsafe { DNS.get(DnsKey { pod_id: pod.pod_id, resolver: attempt.destination }) }.copied()
}

/// Whether datagrams to there are questions for the proxy: of which namespace and pod, and where
/// it takes them.
#[inline(always)]
pub(crate) fn captures(
    context: &SockAddrContext,
    attempt: &Attempt,
) -> Option<(u64, &'static PodCfg, (Addr, u16))> {
    if attempt.port_be != PORT.to_be() {
        return None;
    }
    let (netns, pod) = pod(context)?;
    if excludes(pod, attempt) {
        return None;
    }
    let port_be = ports(pod, attempt)?.udp_be;
    let address = address_of(pod, is_mapped(&attempt.destination))?;
    // It may have ended a moment ago.
    if !receives(context, &address, port_be) {
        return None;
    }
    count(pod.pod_id, Counter::Dns);
    Some((netns, pod, (address, port_be)))
}

#[inline(always)]
fn meant_for_us(context: &SockAddrContext, attempt: &Attempt) -> Option<(Addr, u16)> {
    if attempt.protocol != IPPROTO_UDP || attempt.port_be != PORT.to_be() {
        return None;
    }
    if orig(attempt.sk, Storage::Existing).is_some_and(|known| known.flags & OWN != 0) {
        return None;
    }
    captures(context, attempt).map(|(_, _, to)| to)
}

/// Whom the application asked, if what it receives is the proxy's answer.
#[inline(always)]
fn asked(context: &SockAddrContext, from: &Attempt) -> Option<Addr> {
    let netns = cookie(context);
    let key = DnsBackKey { netns, own: from.destination, port_be: from.port_be, reserved: [0; 3] };
    // SAFETY: copied at once.
    unsafe { DNS_BACK.get(key) }.copied()
}

#[inline(always)]
fn pod(context: &SockAddrContext) -> Option<(u64, &'static PodCfg)> {
    let netns = cookie(context);
    // SAFETY: a reference into the map, not used after a change of the map by this program.
    Some((netns, unsafe { PODS.get(netns) }?))
}

#[inline(always)]
fn cookie(context: &SockAddrContext) -> u64 {
    // SAFETY: the helper takes the context of the running program.
    unsafe { bpf_get_netns_cookie(context.as_ptr()) }
}
