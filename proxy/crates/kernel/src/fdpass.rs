//! Descriptors handed from one process to another over a Unix socket.
#![expect(unsafe_code, reason = "received descriptors come as integers")]
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};
use std::{
    io::{self, IoSlice, IoSliceMut},
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
};

/// How many descriptors one message carries (`SCM_MAX_FD`).
pub const MAX: usize = 253;

/// Sends `bytes`, which must not be empty, and descriptors; how many of the bytes went.
///
/// The descriptors go with the first byte. `WouldBlock` on a nonblocking socket: nothing went.
///
/// # Errors
///
/// Those of `sendmsg(2)`; without bytes, or with more than [`MAX`] descriptors, `InvalidInput`.
pub fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    if bytes.is_empty() || fds.len() > MAX {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let fds: Vec<RawFd> = fds.iter().map(BorrowedFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&fds)];
    let control = if fds.is_empty() { &rights[..0] } else { &rights[..] };
    let socket = socket.as_fd().as_raw_fd();
    let flags = MsgFlags::MSG_NOSIGNAL;
    Ok(sendmsg::<UnixAddr>(socket, &[IoSlice::new(bytes)], control, flags, None)?)
}

/// Receives bytes and the descriptors that came with them; zero bytes mean the peer closed.
///
/// # Errors
///
/// Those of `recvmsg(2)`; `InvalidData` when more descriptors came than a message may carry.
pub fn receive(socket: impl AsFd, bytes: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut control = nix::cmsg_space!([RawFd; MAX]);
    let mut parts = [IoSliceMut::new(bytes)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let fd = socket.as_fd().as_raw_fd();
    let message = recvmsg::<UnixAddr>(fd, &mut parts, Some(&mut control), flags)?;
    let mut fds = Vec::new();
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(received) = part {
            // SAFETY: the kernel has just made these descriptors for us; nobody else knows them.
            fds.extend(received.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    if message.flags.contains(MsgFlags::MSG_CTRUNC) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok((message.bytes, fds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read as _, Write as _},
        os::unix::net::UnixStream,
    };

    #[test]
    fn a_descriptor_arrives_as_another_of_the_same_file() {
        let (a, b) = UnixStream::pair().unwrap();
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        assert_eq!(send(&a, b"take", &[theirs.as_fd()]).unwrap(), 4);
        drop(theirs);
        let mut bytes = [0; 16];
        let (count, mut fds) = receive(&b, &mut bytes).unwrap();
        assert_eq!(bytes.get(..count), Some(&b"take"[..]));
        let mut got = UnixStream::from(fds.pop().unwrap());
        assert!(fds.is_empty());
        got.write_all(b"x").unwrap();
        let mut byte = [0];
        ours.read_exact(&mut byte).unwrap();
        assert_eq!(byte, *b"x");
    }

    #[test]
    fn bytes_alone_and_the_end_arrive_too() {
        let (a, b) = UnixStream::pair().unwrap();
        assert!(send(&a, b"", &[]).is_err());
        send(&a, b"x", &[]).unwrap();
        drop(a);
        let mut bytes = [0; 4];
        assert!(matches!(receive(&b, &mut bytes), Ok((1, fds)) if fds.is_empty()));
        assert!(matches!(receive(&b, &mut bytes), Ok((0, fds)) if fds.is_empty()));
    }
}
