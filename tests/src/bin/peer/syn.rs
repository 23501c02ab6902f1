//! A SYN made by hand and sent by a raw socket, past every hook of `connect`.
use crate::say;
use serde_json::json;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io::{self, Read as _},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

const SYN: u8 = 2;
const ACK: u8 = 16;
const RST: u8 = 4;

/// How long an answer may take before there is none.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Sends the SYN and says what comes back: `syn-ack`, `rst` or `none`.
pub(crate) fn run(from: &SocketAddr, to: &SocketAddr) -> io::Result<()> {
    let (IpAddr::V4(source), IpAddr::V4(target)) = (from.ip(), to.ip()) else {
        return Err(io::Error::other("IPv4 only"));
    };
    let mut socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::TCP))?;
    let segment = segment((source, from.port()), (target, to.port()));
    socket.send_to(&segment, &SocketAddr::new(to.ip(), 0).into())?;
    let until = Instant::now() + PATIENCE;
    let mut answer = "none";
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|l| !l.is_zero()) {
        socket.set_read_timeout(Some(left))?;
        let mut packet = [0; 256];
        let read = match socket.read(&mut packet) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
            read => read?,
        };
        let flags = packet.get(..read).and_then(|p| flags_of(p, target, (to.port(), from.port())));
        match flags {
            Some(flags) if flags & RST != 0 => answer = "rst",
            Some(flags) if flags & (SYN | ACK) == SYN | ACK => answer = "syn-ack",
            _ => continue,
        }
        break;
    }
    say(&json!({"ok": true, "answer": answer}));
    Ok(())
}

/// The TCP flags of an IPv4 packet from `source` with these ports.
fn flags_of(packet: &[u8], source: Ipv4Addr, ports: (u16, u16)) -> Option<u8> {
    let header = usize::from(packet.first()? & 15) * 4;
    let tcp = packet.get(header..)?;
    let port = |at: usize| Some(u16::from_be_bytes([*tcp.get(at)?, *tcp.get(at + 1)?]));
    let from_there = packet.get(12..16)? == source.octets();
    (from_there && (port(0)?, port(2)?) == ports).then(|| tcp.get(13).copied())?
}

fn segment(source: (Ipv4Addr, u16), target: (Ipv4Addr, u16)) -> Vec<u8> {
    let mut tcp = Vec::with_capacity(20);
    tcp.extend(source.1.to_be_bytes());
    tcp.extend(target.1.to_be_bytes());
    tcp.extend(1000_u32.to_be_bytes());
    tcp.extend(0_u32.to_be_bytes());
    // Five words of header; window; checksum and urgent pointer still zero.
    tcp.extend([5 << 4, SYN, 0xfa, 0xf0, 0, 0, 0, 0]);
    let sum = checksum(&[&source.0.octets(), &target.0.octets(), &[0, 6, 0, 20], &tcp]);
    if let Some(field) = tcp.get_mut(16..18) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
    tcp
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
