//! The node's object: outbound capture, attached to the instance's cgroup.
//!
//! | program | least kernel | when it cannot do its work |
//! |---|---|---|
//! | `connect4`, `connect6` | 5.10 (written for; the hooks are older) | fails closed: `EPERM` |
//! | `getpeername4`, `getpeername6` | 5.8 | shows the proxy's address |
//! | `sendmsg4`, `sendmsg6` | 4.18 | the question goes to the name server itself |
//! | `recvmsg4`, `recvmsg6` | 5.2 | shows the proxy's address |
//! | `sock_ops` | 5.10; namespace cookie 5.15 | fails closed: the proxy finds no destination and closes |
//!
//! A pod that fails open connects directly while no listener of the proxy is there; everything else
//! is as above for it too.
#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "exported names and sections")]
#![expect(clippy::needless_pass_by_value, reason = "what an entry point is given")]

use aya_ebpf::{
    macros::{cgroup_sock_addr, sock_ops},
    programs::{SockAddrContext, SockOpsContext},
};

/// `connect(2)` of an `AF_INET` socket. Fails closed.
#[cgroup_sock_addr(connect4)]
fn connect4(context: SockAddrContext) -> i32 {
    culvert_ebpf::connect::v4(&context)
}

/// `connect(2)` of an `AF_INET6` socket. Fails closed.
#[cgroup_sock_addr(connect6)]
fn connect6(context: SockAddrContext) -> i32 {
    culvert_ebpf::connect::v6(&context)
}

/// `getpeername(2)` of an `AF_INET` socket. Never fails the call.
#[cgroup_sock_addr(getpeername4)]
fn getpeername4(context: SockAddrContext) -> i32 {
    culvert_ebpf::getpeer::v4(&context)
}

/// `getpeername(2)` of an `AF_INET6` socket. Never fails the call.
#[cgroup_sock_addr(getpeername6)]
fn getpeername6(context: SockAddrContext) -> i32 {
    culvert_ebpf::getpeer::v6(&context)
}

/// Datagrams to an address of their own from an `AF_INET` socket. Never fails the call.
#[cgroup_sock_addr(sendmsg4)]
fn sendmsg4(context: SockAddrContext) -> i32 {
    culvert_ebpf::dns::send_v4(&context)
}

/// The same from an `AF_INET6` socket. Never fails the call.
#[cgroup_sock_addr(sendmsg6)]
fn sendmsg6(context: SockAddrContext) -> i32 {
    culvert_ebpf::dns::send_v6(&context)
}

/// Who has sent a datagram, as an `AF_INET` socket is told. Never fails the call.
#[cgroup_sock_addr(recvmsg4)]
fn recvmsg4(context: SockAddrContext) -> i32 {
    culvert_ebpf::dns::receive_v4(&context)
}

/// The same for an `AF_INET6` socket. Never fails the call.
#[cgroup_sock_addr(recvmsg6)]
fn recvmsg6(context: SockAddrContext) -> i32 {
    culvert_ebpf::dns::receive_v6(&context)
}

/// Events of TCP sockets. Fails closed. (The name of its section, `sockops`, is taken.)
#[sock_ops]
fn sock_ops(context: SockOpsContext) -> u32 {
    culvert_ebpf::sockops::on_event(&context)
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
