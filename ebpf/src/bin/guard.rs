//! A pod's guard, when strict: attached to the host's end of the pod's link, ingress.
//!
//! Least kernel: tcx 6.6, clsact before. Fails closed: what it cannot parse is dropped. Known
//! limits: it sees Ethernet, and no connection inside another protocol (UDP, IP in IP, `PPPoE`).
#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "exported names and sections")]
#![expect(clippy::needless_pass_by_value, reason = "what an entry point is given")]

use aya_ebpf::{macros::classifier, programs::TcContext};

/// A frame that leaves the pod.
#[classifier]
fn guard(context: TcContext) -> i32 {
    culvert_ebpf::guard::check(&context)
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
