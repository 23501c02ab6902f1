//! Listens to a link as whoever has a tap on it would.
use crate::say;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::json;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io::{self, Read as _, stdin},
    os::fd::AsFd as _,
};

/// `ETH_P_ALL`.
const EVERY_PROTOCOL: u16 = 3;

/// The largest packet that a link with segmentation offload shows.
const LARGEST: usize = 128 * 1024;

/// Hears every packet of the namespace until standard input ends; says how many there were, and in
/// how many of them the canary sang.
pub(crate) fn run(canary: &str) -> io::Result<()> {
    // In network order, as the kernel wants it.
    let protocol = Protocol::from(i32::from(EVERY_PROTOCOL.to_be()));
    let mut socket = Socket::new(Domain::PACKET, Type::RAW, Some(protocol))?;
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(8 << 20)?;
    say(&json!({"listening": true}));
    let mut packet = vec![0; LARGEST];
    let (mut packets, mut sang) = (0_u64, 0_u64);
    loop {
        let (stdin, tap) = (stdin(), socket.as_fd());
        let mut ready =
            [PollFd::new(tap, PollFlags::POLLIN), PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        poll(&mut ready, PollTimeout::NONE)?;
        let over = ready.get(1).and_then(PollFd::any).unwrap_or(false);
        loop {
            match socket.read(&mut packet) {
                Ok(length) => {
                    packets += 1;
                    let heard = packet.get(..length).unwrap_or_default();
                    sang += u64::from(heard.windows(canary.len()).any(|w| w == canary.as_bytes()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if over {
            say(&json!({"ok": true, "packets": packets, "sang": sang}));
            return Ok(());
        }
    }
}
