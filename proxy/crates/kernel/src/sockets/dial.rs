//! Connections that leave the pod on the application's behalf.
use crate::sockets::{Pod, bound_queue};
use culvert_common::conn;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::{SocketAddr, TcpStream, UdpSocket},
    os::fd::AsFd as _,
};

/// Starts a connection from the pod's namespace to where the application meant to go.
pub(crate) fn dial(pod: &Pod, destination: SocketAddr) -> io::Result<TcpStream> {
    let destination = culvert_model::addr::canonical(destination);
    let socket = pod.netns.run(|| stream(destination))??;
    pod.mark(socket.as_fd(), conn::LEAVES)?;
    start(&socket, destination)?;
    Ok(socket.into())
}

/// A socket for questions to where the application's were meant to go.
pub(crate) fn udp(pod: &Pod, destination: SocketAddr) -> io::Result<UdpSocket> {
    let destination = culvert_model::addr::canonical(destination);
    let (domain, kind) = (Domain::for_address(destination), Type::DGRAM.nonblocking());
    let socket = pod.netns.run(|| Socket::new(domain, kind, Some(Protocol::UDP)))??;
    pod.mark(socket.as_fd(), conn::LEAVES)?;
    socket.connect(&destination.into())?;
    Ok(socket.into())
}

/// A socket of the destination's family in the calling thread's namespace.
pub(crate) fn stream(destination: SocketAddr) -> io::Result<Socket> {
    let kind = Type::STREAM.nonblocking();
    let socket = Socket::new(Domain::for_address(destination), kind, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    bound_queue(&socket)?;
    Ok(socket)
}

/// `connect(2)` as far as it goes without waiting.
pub(crate) fn start(socket: &Socket, destination: SocketAddr) -> io::Result<()> {
    match socket.connect(&destination.into()) {
        Err(e) if e.raw_os_error() == Some(libc::EINPROGRESS) => Ok(()),
        done => done,
    }
}
