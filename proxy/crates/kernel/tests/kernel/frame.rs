//! Frames made by hand, the way something that goes around the sockets would.
use crate::{
    socket,
    world::{Pod, World, tool},
};
use culvert_kernel::{netlink::Netlink, netns::Netns};
use socket2::Socket;
use std::net::{IpAddr, SocketAddr};

pub(crate) const SYN: u8 = 0x02;
pub(crate) const ACK: u8 = 0x10;
pub(crate) const FIN: u8 = 0x01;

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const HOP_BY_HOP: u8 = 0;
pub(crate) const ROUTING: u8 = 43;
pub(crate) const FRAGMENT: u8 = 44;
pub(crate) const AUTHENTICATION: u8 = 51;
pub(crate) const DESTINATION: u8 = 60;

const VLAN: u16 = 0x8100;
const VLAN_OUTER: u16 = 0x88a8;
const ARP: u16 = 0x0806;

/// A pod's link, seen from a socket that sends whole frames.
pub(crate) struct Link {
    socket: Socket,
    addresses: Vec<u8>,
}

/// Both ends of a connection.
#[derive(Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
}

impl Link {
    /// The link `device` of the node leads to the pod.
    pub(crate) fn new(world: &World, pod: &Pod, device: &str) -> Self {
        let mac = |netns: &Netns, device: &str| {
            // Not from /sys, which shows the namespace of whoever mounted it.
            let listed = tool(netns, "ip", &format!("-o link show {device}"));
            let mac = listed.split_whitespace().skip_while(|word| *word != "link/ether").nth(1);
            let bytes = mac.unwrap().split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap());
            bytes.collect::<Vec<_>>()
        };
        let addresses = [mac(&world.netns, device), mac(&pod.netns, "eth0")].concat();
        let index = Netlink::open_in(&pod.netns).unwrap().link_index("eth0").unwrap();
        Self { socket: socket::frames(&pod.netns, index), addresses }
    }

    /// Sends what comes after the two addresses of a frame.
    pub(crate) fn send(&self, rest: &[u8]) {
        let frame = [&self.addresses, rest].concat();
        assert_eq!(self.socket.send(&frame).unwrap(), frame.len());
    }
}

/// A TCP header, from its ports to its flags and a little further.
pub(crate) fn tcp(ends: Ends, flags: u8) -> Vec<u8> {
    let mut header = [ends.from.port().to_be_bytes(), ends.to.port().to_be_bytes()].concat();
    header.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 1, 0, 0, 0, 0, 0]);
    header
}

/// An IPv4 packet that carries TCP; `options` are whole words of no-operation.
pub(crate) fn v4(ends: Ends, options: u8, fragment: u16, body: &[u8]) -> Vec<u8> {
    let mut frame = 0x0800_u16.to_be_bytes().to_vec();
    let header = 20 + usize::from(options) * 4;
    frame.extend([0x45 + options, 0]);
    frame.extend(length(header + body.len()));
    frame.extend([0, 7]);
    frame.extend(fragment.to_be_bytes());
    frame.extend([64, TCP, 0, 0]);
    frame.extend(octets(ends.from.ip()));
    frame.extend(octets(ends.to.ip()));
    frame.resize(2 + header, 1);
    frame.extend(body);
    frame
}

/// An IPv6 packet.
pub(crate) fn v6(ends: Ends, next: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = 0x86dd_u16.to_be_bytes().to_vec();
    frame.extend([0x60, 0, 0, 0]);
    frame.extend(length(body.len()));
    frame.extend([next, 64]);
    frame.extend(octets(ends.from.ip()));
    frame.extend(octets(ends.to.ip()));
    frame.extend(body);
    frame
}

/// An extension header of so many words of eight bytes beyond the first.
pub(crate) fn extension(next: u8, words: u8, rest: &[u8]) -> Vec<u8> {
    let mut header = vec![next, words];
    header.resize(8 + 8 * usize::from(words), 0);
    header.extend(rest);
    header
}

/// An authentication header, which counts its length in other words.
pub(crate) fn authentication(next: u8, rest: &[u8]) -> Vec<u8> {
    let mut header = vec![next, 4];
    header.resize(24, 0);
    header.extend(rest);
    header
}

/// The header of an IPv6 fragment, more of which follow.
pub(crate) fn fragment(next: u8, offset: u16, rest: &[u8]) -> Vec<u8> {
    let mut header = vec![next, 0];
    header.extend((offset << 3 | 1).to_be_bytes());
    header.extend([0, 0, 0, 9]);
    header.extend(rest);
    header
}

/// A packet in a VLAN.
pub(crate) fn vlan(packet: &[u8]) -> Vec<u8> {
    [&VLAN.to_be_bytes(), &[0, 5], packet].concat()
}

/// A packet in a VLAN in a VLAN.
pub(crate) fn double_vlan(packet: &[u8]) -> Vec<u8> {
    [&VLAN_OUTER.to_be_bytes(), &[0, 6], vlan(packet).as_slice()].concat()
}

pub(crate) fn arp() -> Vec<u8> {
    [&ARP.to_be_bytes()[..], &[0; 28]].concat()
}

fn length(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap().to_be_bytes()
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}
