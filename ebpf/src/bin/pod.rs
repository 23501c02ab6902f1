//! A pod's object: inbound capture, attached to the pod's network namespace.
//!
//! One instance per pod, because `sk_lookup` cannot tell namespaces apart. Least kernel: 5.9; the
//! interface, which makes counting exact, 5.17. Fails closed (RST), or open for a pod that says so.
#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "exported names and sections")]
#![expect(clippy::needless_pass_by_value, reason = "what an entry point is given")]

use aya_ebpf::{macros::sk_lookup, programs::SkLookupContext};

/// A segment that belongs to no connection of the pod.
#[sk_lookup]
fn inbound(context: SkLookupContext) -> u32 {
    culvert_ebpf::inbound::steer(&context)
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
