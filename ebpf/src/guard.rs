//! Frames that leave a pod: no TCP connection that the proxy did not open.
//!
//! Sockets are the connect hook's; this is for what goes around them (raw sockets, `AF_PACKET`).
//! Whatever could hide a SYN from this program is dropped.
use aya_ebpf::{
    bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC},
    programs::TcContext,
};
use culvert_common::{
    addr::{Addr, mapped},
    conn::Tuple,
};

use crate::{
    addr::read,
    count::{Counter, count},
    maps::{EGRESS_OK, POD_ID},
};

/// The next program decides; without one the frame passes. (`TC_ACT_OK` would end the chain, and
/// take the frame from the programs of a CNI.)
const NEXT: i32 = TC_ACT_UNSPEC;
const DROP: i32 = TC_ACT_SHOT;

const ETHERNET: usize = 14;
const ETHERTYPE: usize = 12;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const VLAN: u16 = 0x8100;
const VLAN_OUTER: u16 = 0x88a8;

const TCP: u8 = 6;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;
const HIP: u8 = 139;
const SHIM6: u8 = 140;
/// More extension headers than anybody sends.
const MAX_HEADERS: usize = 8;

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// What a frame is to the guard. (Nothing is carried in it: a compiler spills what it carries
/// before it is set, which the verifier refuses.)
#[derive(Clone, Copy)]
enum Frame {
    /// No business of ours.
    Other,
    /// Opens a connection that may leave.
    Known,
    /// Opens one that may not, or cannot be told, or is what no TCP of ours sends.
    Suspect,
}

/// A TCP segment's place in the frame.
struct Segment {
    at: usize,
    source: Addr,
    destination: Addr,
    /// The IP header says more than where it goes.
    options: bool,
}

/// One frame.
#[inline(always)]
pub fn check(context: &TcContext) -> i32 {
    match frame(context) {
        Some(Frame::Other) => NEXT,
        Some(Frame::Known) => {
            count(POD_ID.load(), Counter::GuardPassed);
            NEXT
        }
        // Also frames that end before their headers do.
        Some(Frame::Suspect) | None => {
            count(POD_ID.load(), Counter::GuardDropped);
            DROP
        }
    }
}

#[inline(always)]
fn frame(context: &TcContext) -> Option<Frame> {
    // The kernel has taken the outer tag off already.
    if read!(context.skb.skb, vlan_present) != 0 {
        return Some(Frame::Suspect);
    }
    match u16::from_be_bytes(bytes(context, ETHERTYPE)?) {
        IPV4 => ipv4(context),
        IPV6 => ipv6(context),
        VLAN | VLAN_OUTER => Some(Frame::Suspect),
        _ => Some(Frame::Other),
    }
}

#[inline(always)]
fn ipv4(context: &TcContext) -> Option<Frame> {
    const LEAST: usize = 20;
    let [first, _, _, _, _, _, fragment @ .., _, protocol, _, _] = bytes::<12>(context, ETHERNET)?;
    if protocol != TCP {
        return Some(Frame::Other);
    }
    let offset = u16::from_be_bytes(fragment) & 0x1fff;
    if offset != 0 {
        return Some(later_fragment(offset));
    }
    let header = usize::from(first & 0xf) * 4;
    if header < LEAST {
        return Some(Frame::Suspect);
    }
    let segment = Segment {
        at: ETHERNET + header,
        source: mapped(u32::from_ne_bytes(bytes(context, ETHERNET + 12)?)),
        destination: mapped(u32::from_ne_bytes(bytes(context, ETHERNET + 16)?)),
        options: header != LEAST,
    };
    tcp(context, &segment)
}

#[inline(always)]
fn ipv6(context: &TcContext) -> Option<Frame> {
    let [mut next] = bytes(context, ETHERNET + 6)?;
    let mut at = ETHERNET + 40;
    let mut routed = false;
    for _ in 0..MAX_HEADERS {
        match next {
            TCP => {
                let segment = Segment {
                    at,
                    source: context.load(ETHERNET + 8).ok()?,
                    destination: context.load(ETHERNET + 24).ok()?,
                    options: routed,
                };
                return tcp(context, &segment);
            }
            FRAGMENT => {
                let [inner, _, high, low] = bytes(context, at)?;
                let offset = u16::from_be_bytes([high, low]) >> 3;
                if offset != 0 {
                    return Some(match inner {
                        TCP => later_fragment(offset),
                        _ if is_extension(inner) => Frame::Suspect,
                        _ => Frame::Other,
                    });
                }
                next = inner;
                at += 8;
            }
            _ if is_extension(next) => {
                let [inner, length] = bytes(context, at)?;
                routed |= next == ROUTING;
                let length = usize::from(length);
                at += if next == AUTHENTICATION { (length + 2) * 4 } else { (length + 1) * 8 };
                next = inner;
            }
            _ => return Some(Frame::Other),
        }
    }
    Some(Frame::Suspect)
}

/// The second eight bytes of a TCP header hold its flags: such a fragment exists to change them.
#[inline(always)]
fn later_fragment(offset: u16) -> Frame {
    if offset == 1 { Frame::Suspect } else { Frame::Other }
}

#[inline(always)]
fn is_extension(header: u8) -> bool {
    matches!(
        header,
        HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION | MOBILITY | HIP | SHIM6
    )
}

#[inline(always)]
fn tcp(context: &TcContext, segment: &Segment) -> Option<Frame> {
    // Up to the flags. A first fragment that ends before them is dropped as too short.
    let [a, b, c, d, .., flags] = bytes::<14>(context, segment.at)?;
    if flags & (SYN | ACK) != SYN {
        return Some(Frame::Other);
    }
    if segment.options {
        return Some(Frame::Suspect);
    }
    let tuple = Tuple {
        source: segment.source,
        destination: segment.destination,
        source_port_be: u16::from_ne_bytes([a, b]),
        destination_port_be: u16::from_ne_bytes([c, d]),
        reserved: 0,
    };
    // SAFETY: only whether it is there.
    let known = unsafe { EGRESS_OK.get(tuple) }.is_some();
    Some(if known { Frame::Known } else { Frame::Suspect })
}

/// `N` bytes of the frame, if it has them.
#[inline(always)]
fn bytes<const N: usize>(context: &TcContext, at: usize) -> Option<[u8; N]> {
    context.load(at).ok()
}
