//! A SYN made by hand and sent by a raw socket, past every hook of `connect`.
use crate::say;
use serde_json::json;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io::{self, Read as _},
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

const SYN: u8 = 2;
const ACK: u8 = 16;
const RST: u8 = 4;

/// How long an answer may take before there is none.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Sends the SYN and says what comes back: `syn-ack`, `rst` or `none`.
pub(crate) fn run(from: &SocketAddr, to: &SocketAddr) -> io::Result<()> {
    let mut socket = Socket::new(Domain::for_address(*to), Type::RAW, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::new(from.ip(), 0).into())?;
    // Raw sockets of IPv4 read the IP header as well; connected ones hear nobody else.
    socket.connect(&SocketAddr::new(to.ip(), 0).into())?;
    socket.send(&segment(from, to)?)?;
    let until = Instant::now() + PATIENCE;
    let mut answer = "none";
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|l| !l.is_zero()) {
        socket.set_read_timeout(Some(left))?;
        let mut packet = [0; 256];
        let read = match socket.read(&mut packet) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
            read => read?,
        };
        let packet = packet.get(..read).unwrap_or_default();
        match flags_of(packet, to.is_ipv4(), (to.port(), from.port())) {
            Some(flags) if flags & RST != 0 => answer = "rst",
            Some(flags) if flags & (SYN | ACK) == SYN | ACK => answer = "syn-ack",
            _ => continue,
        }
        break;
    }
    say(&json!({"ok": true, "answer": answer}));
    Ok(())
}

/// The flags of a TCP segment with these ports.
fn flags_of(packet: &[u8], has_ip_header: bool, ports: (u16, u16)) -> Option<u8> {
    let header = if has_ip_header { usize::from(packet.first()? & 15) * 4 } else { 0 };
    let tcp = packet.get(header..)?;
    let port = |at: usize| Some(u16::from_be_bytes([*tcp.get(at)?, *tcp.get(at + 1)?]));
    ((port(0)?, port(2)?) == ports).then(|| tcp.get(13).copied())?
}

fn segment(from: &SocketAddr, to: &SocketAddr) -> io::Result<Vec<u8>> {
    let mut tcp = Vec::with_capacity(20);
    tcp.extend(from.port().to_be_bytes());
    tcp.extend(to.port().to_be_bytes());
    tcp.extend(1000_u32.to_be_bytes());
    tcp.extend(0_u32.to_be_bytes());
    // Five words of header; window; checksum and urgent pointer still zero.
    tcp.extend([5 << 4, SYN, 0xfa, 0xf0, 0, 0, 0, 0]);
    // The pseudo-header of both versions, but for zeros: addresses, protocol, length.
    let sum = match (from.ip(), to.ip()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            checksum(&[&a.octets(), &b.octets(), &[0, 6, 0, 20], &tcp])
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            checksum(&[&a.octets(), &b.octets(), &[0, 6, 0, 20], &tcp])
        }
        _ => return Err(io::Error::other("addresses of two families")),
    };
    if let Some(field) = tcp.get_mut(16..18) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
    Ok(tcp)
}

/// The internet checksum of parts of even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks_exact(2));
    let mut sum: u32 = words
        .filter_map(|word| <[u8; 2]>::try_from(word).ok())
        .map(|word| u32::from(u16::from_be_bytes(word)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}
