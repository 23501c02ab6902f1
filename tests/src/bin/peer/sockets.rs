//! Sockets of each kind, connected.
#![expect(unsafe_code, reason = "io_uring's queue, and connect(2) to AF_UNSPEC")]
use io_uring::{IoUring, opcode, types};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{setsockopt, sockopt},
};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd as _, AsRawFd as _},
    time::Duration,
};

/// Longer than any connect of a test may take, shorter than the test's own patience.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// Listens; an unspecified IPv6 address takes IPv4 as well.
pub(crate) fn listen(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = tcp(at)?;
    socket.set_reuse_address(true)?;
    if at.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&at.into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

/// Closing will send RST, whatever is unread or unsent.
pub(crate) fn reset_on_close(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_linger(Some(Duration::ZERO))
}

pub(crate) fn plain(to: SocketAddr) -> io::Result<TcpStream> {
    TcpStream::connect_timeout(&to, CONNECT_TIME)
}

pub(crate) fn bound(to: SocketAddr, from: SocketAddr) -> io::Result<TcpStream> {
    let socket = tcp(to)?;
    socket.bind(&from.into())?;
    connect(socket, to)
}

pub(crate) fn bound_to_device(to: SocketAddr, device: &str) -> io::Result<TcpStream> {
    let socket = tcp(to)?;
    socket.bind_device(Some(device.as_bytes()))?;
    connect(socket, to)
}

/// An IPv6 socket that dials an IPv4 address.
pub(crate) fn mapped(to: SocketAddr) -> io::Result<TcpStream> {
    let IpAddr::V4(v4) = to.ip() else { return Err(io::Error::other("only IPv4 can be mapped")) };
    let mapped = SocketAddr::new(v4.to_ipv6_mapped().into(), to.port());
    connect(tcp(mapped)?, mapped)
}

/// `connect` returns at once; the socket is writable when it is done.
pub(crate) fn nonblocking(to: SocketAddr) -> io::Result<TcpStream> {
    let socket = tcp(to)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&to.into()) {
        Err(e) if e.raw_os_error() == Some(libc::EINPROGRESS) => {}
        done => done?,
    }
    let timeout = PollTimeout::try_from(CONNECT_TIME).map_err(io::Error::other)?;
    if poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)], timeout)? == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    socket.take_error()?.map_or(Ok(()), Err)?;
    socket.set_nonblocking(false)?;
    Ok(socket.into())
}

/// `connect` done by the kernel's worker, without the system call that is usually watched.
pub(crate) fn by_uring(to: SocketAddr) -> io::Result<TcpStream> {
    let mut ring = IoUring::new(4)?;
    let socket = tcp(to)?;
    let address = SockAddr::from(to);
    let fd = types::Fd(socket.as_raw_fd());
    let entry = opcode::Connect::new(fd, address.as_ptr().cast(), address.len()).build();
    // SAFETY: the socket and the address live until the completion below was seen.
    unsafe { ring.submission().push(&entry) }.map_err(io::Error::other)?;
    ring.submit_and_wait(1)?;
    let completion = ring.completion().next();
    let result = completion.ok_or_else(|| io::Error::other("no completion"))?.result();
    if result < 0 {
        return Err(io::Error::from_raw_os_error(-result));
    }
    Ok(socket.into())
}

pub(crate) fn multipath(to: SocketAddr) -> io::Result<TcpStream> {
    connect(Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::MPTCP))?, to)
}

/// The first bytes ride on the SYN by `MSG_FASTOPEN`, if the kernel has a cookie for them.
pub(crate) fn fast_open_send(to: SocketAddr, first: &[u8]) -> io::Result<TcpStream> {
    let socket = tcp(to)?;
    socket.send_to_with_flags(first, &to.into(), libc::MSG_FASTOPEN)?;
    Ok(socket.into())
}

/// The same by `TCP_FASTOPEN_CONNECT`: `connect` does nothing, the first write connects.
pub(crate) fn fast_open_connect(to: SocketAddr, first: &[u8]) -> io::Result<TcpStream> {
    let socket = tcp(to)?;
    setsockopt(&socket, sockopt::TcpFastOpenConnect, &true)?;
    socket.connect(&to.into())?;
    socket.send(first)?;
    Ok(socket.into())
}

/// Connects to `before`, disconnects by `AF_UNSPEC`, and connects the same socket to `to`.
pub(crate) fn reused(to: SocketAddr, before: SocketAddr) -> io::Result<TcpStream> {
    let socket = tcp(to)?;
    socket.connect_timeout(&before.into(), CONNECT_TIME)?;
    let nowhere = libc::sockaddr { sa_family: 0, sa_data: [0; 14] };
    let length = libc::socklen_t::try_from(size_of_val(&nowhere)).map_err(io::Error::other)?;
    // SAFETY: the socket is open, and `nowhere` is valid for reads of `length` bytes.
    let rc = unsafe { libc::connect(socket.as_raw_fd(), &raw const nowhere, length) };
    if rc != 0 {
        return Err(io::Error::last_os_error());
    }
    connect(socket, to)
}

/// A mark of the application's own choosing.
pub(crate) fn marked(to: SocketAddr, mark: u32) -> io::Result<TcpStream> {
    let socket = tcp(to)?;
    socket.set_mark(mark)?;
    connect(socket, to)
}

fn tcp(to: SocketAddr) -> io::Result<Socket> {
    Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))
}

fn connect(socket: Socket, to: SocketAddr) -> io::Result<TcpStream> {
    socket.connect_timeout(&to.into(), CONNECT_TIME)?;
    Ok(socket.into())
}
