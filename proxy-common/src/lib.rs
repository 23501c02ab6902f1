//! The bytes that kernel programs and user space share: map keys and values.
//!
//! Everything is `repr(C)` without implicit padding (the verifier calls padding uninitialised), has
//! no `bool`, `enum` or `usize`, and a size that the compiler checks. Addresses are four `u32` in
//! network order, IPv4 written as v4-mapped IPv6; a port whose name ends in `_be` is in network order.
//!
//! Reading order: [`conn`] (one connection), [`pod`] (one enrolled pod), [`node`] (the node),
//! [`direct`] (connections without a proxy), [`dns`].
#![no_std]
#![forbid(unsafe_op_in_unsafe_fn)]

pub mod addr;
pub mod conn;
pub mod direct;
pub mod dns;
pub mod node;
pub mod pod;
#[cfg(feature = "user")]
mod user;

/// The version of this layout; names the pin folder (`v<abi>`).
///
/// Raised by every change of a key, a value or the meaning of one, so that two generations of the
/// proxy never read each other's maps wrongly.
pub const ABI_VERSION: u32 = 2;
