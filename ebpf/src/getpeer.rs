//! What an application is told about the far end of a connection that was pointed elsewhere.
use aya_ebpf::{bindings::bpf_sock_addr, programs::SockAddrContext};
use culvert_common::conn::{ACCEPTED, CAPTURED, DIRECT, OrigDst};

use crate::{
    addr::{put_v4, put_v6, read},
    maps::{Storage, orig},
};

/// The system call always goes on.
const PROCEED: i32 = 1;

/// `getpeername(2)` of an `AF_INET` socket.
#[inline(always)]
pub fn v4(context: &SockAddrContext) -> i32 {
    if let Some(meant) = meant(context.sock_addr) {
        put_v4(context.sock_addr, &meant.addr, meant.port_be);
    }
    PROCEED
}

/// `getpeername(2)` of an `AF_INET6` socket; a v4-mapped address stays one.
#[inline(always)]
pub fn v6(context: &SockAddrContext) -> i32 {
    if let Some(meant) = meant(context.sock_addr) {
        put_v6(context.sock_addr, &meant.addr, meant.port_be);
    }
    PROCEED
}

/// Where the application meant to go, if its connection goes elsewhere, or may.
///
/// The proxy's side of it shows the application, as it is.
#[inline(always)]
fn meant(context: *mut bpf_sock_addr) -> Option<&'static OrigDst> {
    let known = orig(read!(context, __bindgen_anon_1.sk), Storage::Existing)?;
    (known.flags & (CAPTURED | DIRECT) != 0 && known.flags & ACCEPTED == 0).then_some(known)
}
