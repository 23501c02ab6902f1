//! Sockets as applications make them, beyond what the standard library offers, and what the
//! kernel says of them.
use culvert_kernel::netns::Netns;
use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};
use std::{
    fs,
    net::{IpAddr, SocketAddr, TcpListener},
};

/// States of `/proc/net/tcp`.
pub(crate) const TIME_WAIT: &str = "06";
pub(crate) const LISTEN: &str = "0A";

/// A TCP socket in a namespace.
pub(crate) fn tcp(netns: &Netns, domain: Domain) -> Socket {
    let made = netns.run(|| Socket::new(domain, Type::STREAM, Some(Protocol::TCP)));
    made.unwrap().unwrap()
}

/// Connects without waiting: the socket of a handshake that may never end.
pub(crate) fn begin(netns: &Netns, to: SocketAddr) -> Socket {
    let socket = tcp(netns, Domain::for_address(to));
    again(&socket, to);
    socket
}

/// As [`begin`], with a socket that is there.
pub(crate) fn again(socket: &Socket, to: SocketAddr) {
    socket.set_nonblocking(true).unwrap();
    if let Err(e) = socket.connect(&to.into()) {
        assert_eq!(e.raw_os_error(), Some(libc::EINPROGRESS), "{e}");
    }
}

/// Takes a socket back to where it can connect anew.
pub(crate) fn disconnect(socket: &Socket) {
    let family = family(libc::AF_UNSPEC);
    socket.connect(&address(libc::sockaddr { sa_family: family, sa_data: [0; 14] })).unwrap();
}

/// Listens for that many connections, at most, that nobody accepts.
pub(crate) fn listen(netns: &Netns, at: SocketAddr, backlog: i32) -> TcpListener {
    let socket = tcp(netns, Domain::for_address(at));
    socket.set_reuse_address(true).unwrap();
    socket.bind(&at.into()).unwrap();
    socket.listen(backlog).unwrap();
    socket.into()
}

/// A socket that sends whole frames, past all of IP.
pub(crate) fn frames(netns: &Netns, device: u32) -> Socket {
    let protocol = u16::try_from(libc::ETH_P_ALL).unwrap().to_be();
    let made = netns.run(|| {
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(i32::from(protocol).into()))?;
        socket.bind(&address(libc::sockaddr_ll {
            sll_family: family(libc::AF_PACKET),
            sll_protocol: protocol,
            sll_ifindex: device.cast_signed(),
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        }))?;
        Ok::<_, std::io::Error>(socket)
    });
    made.unwrap().unwrap()
}

/// As an IPv6 socket names it.
pub(crate) fn in_v6(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(v4) => SocketAddr::new(v4.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

/// The local and the remote port of each socket in that state.
pub(crate) fn in_state(netns: &Netns, state: &str) -> Vec<(u16, u16)> {
    let tables = netns.run(|| {
        ["tcp", "tcp6"].map(|table| fs::read_to_string(format!("/proc/thread-self/net/{table}")))
    });
    let mut found = Vec::new();
    for table in tables.unwrap() {
        for line in table.unwrap().lines().skip(1) {
            let mut words = line.split_whitespace().skip(1);
            let (local, remote) = (words.next().unwrap(), words.next().unwrap());
            if words.next() == Some(state) {
                found.push((port(local), port(remote)));
            }
        }
    }
    found
}

fn port(end: &str) -> u16 {
    u16::from_str_radix(end.rsplit_once(':').unwrap().1, 16).unwrap()
}

fn family(family: i32) -> libc::sa_family_t {
    family.try_into().unwrap()
}

/// The address of a family that the crate of sockets has no name for.
#[expect(unsafe_code, reason = "the kernel takes it untyped")]
fn address<T: Copy>(of_family: T) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: it is one of libc's socket addresses, which fit in the storage and are plain.
    *unsafe { storage.view_as::<T>() } = of_family;
    let length = size_of::<T>().try_into().unwrap();
    // SAFETY: as long as what was written above.
    unsafe { SockAddr::new(storage, length) }
}
