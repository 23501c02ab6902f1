//! From words of the model to the wire: what [`decode`](crate::decode) reads back as the same.
//!
//! What the wire lets be left out (trust domain, cluster, a gateway's port) is written all the
//! same, so that it means the same to everybody.
use ipnet::IpNet;
use std::net::IpAddr;

pub mod authorization;
pub(crate) mod gateway;
mod l7;
pub mod service;
pub mod workload;

pub(crate) fn bytes(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().into(),
        IpAddr::V6(ip) => ip.octets().into(),
    }
}

/// The bytes of a network's address, and the length of its prefix.
pub(crate) fn net(net: IpNet) -> (Vec<u8>, u32) {
    (bytes(net.network()), net.prefix_len().into())
}
