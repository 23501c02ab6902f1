//! `sock_diag(7)`: the kernel's list of TCP sockets in one namespace.
use super::message::{self, Answer};
use crate::netns::Netns;
use netlink_sys::{Socket, SocketAddr as Kernel, protocols::NETLINK_SOCK_DIAG};
use std::{
    io,
    net::SocketAddr,
    os::fd::{AsRawFd as _, BorrowedFd},
};

/// One socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) state: State,
    pub(super) mark: u32,
    /// The folder of its cgroup.
    pub(super) cgroup: Option<u64>,
    /// The flags of its storage; zero without.
    pub(super) flags: u32,
    pub(super) sent: u64,
    pub(super) received: u64,
    /// The kernel's name for it, which is not used again.
    pub(super) cookie: [u32; 2],
}

/// What of a socket's state matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Open, being opened from here, or one end of it closed.
    Open,
    Listening,
    /// On its way in or out.
    Other,
}

/// A socket of one namespace that asks.
pub(super) struct Diag {
    socket: Socket,
    sequence: u32,
}

impl Diag {
    pub(super) fn open_in(netns: &Netns) -> io::Result<Self> {
        netns.run(Self::open)?
    }

    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
        socket.bind_auto()?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Every TCP socket; `storage` is the map that has their flags.
    pub(super) fn dump(&mut self, storage: BorrowedFd<'_>) -> io::Result<Vec<Found>> {
        let storage = storage.as_raw_fd().cast_unsigned();
        let mut all = Vec::new();
        for family in [libc::AF_INET, libc::AF_INET6] {
            self.exchange(|sequence| message::dump(sequence, family, storage), &mut all)?;
        }
        Ok(all)
    }

    /// The socket that a segment from `remote` to `local` would reach; also a listener.
    pub(super) fn find(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> io::Result<Option<Found>> {
        let mut found = Vec::new();
        match self.exchange(|sequence| message::find(sequence, local, remote), &mut found) {
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            done => done.map(|()| found.first().copied()),
        }
    }

    /// Ends a socket; whether it was still there.
    pub(super) fn destroy(&mut self, found: &Found) -> io::Result<bool> {
        let done = self.exchange(|sequence| message::destroy(sequence, found), &mut Vec::new());
        match done {
            // Another socket has its ends by now.
            Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ESTALE)) => Ok(false),
            done => done.map(|()| true),
        }
    }

    fn exchange(
        &mut self,
        request: impl FnOnce(u32) -> Vec<u8>,
        found: &mut Vec<Found>,
    ) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = request(self.sequence);
        self.socket.send_to(&bytes, &Kernel::new(0, 0), 0)?;
        loop {
            let (bytes, _) = match self.socket.recv_from_full() {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                received => received?,
            };
            for answer in message::answers(&bytes, self.sequence) {
                match answer {
                    Answer::Socket(socket) => found.extend(socket),
                    Answer::Done => return Ok(()),
                    Answer::Refused(error) => return Err(io::Error::from_raw_os_error(error)),
                }
            }
        }
    }
}
