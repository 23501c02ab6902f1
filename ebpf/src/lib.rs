//! The kernel programs: what happens to a connection before user space sees it.
//!
//! ```text
//! connect(2) ──▶ connect ──▶ sockops: opening ──▶ … ──▶ sockops: accepted ──▶ accept(2) of the proxy
//!                (ORIG)      (PENDING, BYPASS,          (PENDING to ORIG)
//!                             EGRESS_OK)
//!        └─────▶ verdict: to another pod without a proxy (DIRECT, EVENTS)
//! sendto(2), recvfrom(2) ──▶ dns
//! SYN to a pod ──▶ inbound (BYPASS, LISTENERS)        SYN out of a pod ──▶ guard (EGRESS_OK)
//! close(2)     ──▶ sockops: closed: takes back what opening recorded
//! ```
//!
//! Three objects: `node` is attached once, to the instance's cgroup; `pod` once per pod, to its
//! network namespace; `guard` once per pod, to the host's end of its link. Each has only the maps
//! it uses. Everything is inlined into the programs.
//!
//! Reading order: `maps` and `storage`, `connect` with `pod`, `lookup` and `verdict`, `sockops` with
//! `share` and `direct`, `getpeer`, `dns`, `inbound`, `guard`; `addr` and `count` serve them all.
#![no_std]
#![feature(asm_experimental_arch)]
#![expect(unsafe_code, reason = "programs talk to the kernel through pointers and helpers")]

mod addr;
pub mod connect;
mod count;
mod direct;
pub mod dns;
pub mod getpeer;
pub mod guard;
pub mod inbound;
mod lookup;
mod maps;
mod pod;
mod share;
pub mod sockops;
mod storage;
mod verdict;

/// Never reached: nothing here panics, and the verifier would refuse the loop.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
