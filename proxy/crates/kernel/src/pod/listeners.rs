//! The proxy's listeners in the pod's namespace.
//!
//! They take ports the kernel gives nobody by itself: an application that binds port 0 may get any
//! of the others, and one that binds all addresses conflicts with a listener on loopback. Where it
//! draws from all of them, those that are reserved for deliveries are as good.
use crate::{
    netns::Netns,
    pod::{
        EnrolError, PodListeners,
        dns::{self, Place},
        sysctl,
    },
    sockets::{bound_queue, ports::UPPER},
};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    io, iter,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    ops::RangeInclusive,
};

/// How many connections wait while the proxy accepts; `net.core.somaxconn` bounds it further.
const BACKLOG: i32 = 4_096;

/// How many ports are tried for one listener: a pod that wants none to be left must hold as many.
const TRIES: usize = 16_384;

/// Ports below belong to well-known services.
const LOWEST: u16 = 1_024;

/// Makes the listeners; none of them is on one of the `taken` ports.
pub(crate) fn open(
    netns: &Netns,
    v6: bool,
    taken: &[u16],
    names: &[Place],
) -> Result<PodListeners, EnrolError> {
    let make = || {
        let drawn = drawn_ports().map_err(|source| EnrolError::Listen { what: "", source })?;
        let seed = RandomState::new().build_hasher().finish();
        let mut ports = candidates(drawn, seed).filter(|port| !taken.contains(port));
        let mut listen = |what, address| {
            listen(address, &mut ports).map_err(|source| EnrolError::Listen { what, source })
        };
        let any = if v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let outbound = listen("outbound", SocketAddr::new(any, 0))?;
        let mut on_loopback = |what| {
            let v4 = listen(what, (Ipv4Addr::LOCALHOST, 0).into())?;
            let v6 = v6.then(|| listen(what, (Ipv6Addr::LOCALHOST, 0).into())).transpose()?;
            Ok::<_, EnrolError>(iter::once(v4).chain(v6).collect())
        };
        let (inbound, hbone) = (on_loopback("inbound")?, on_loopback("tunnel")?);
        let dns = names.iter().map(|place| {
            let opened = dns::open(place, &mut ports);
            opened.map_err(|source| EnrolError::Listen { what: "DNS", source })
        });
        let dns = dns.collect::<Result<_, _>>()?;
        Ok(PodListeners { outbound, inbound, hbone, dns })
    };
    netns.run(make).map_err(EnrolError::Enter)?
}

/// `ip_local_port_range`: what the kernel draws from.
fn drawn_ports() -> io::Result<RangeInclusive<u16>> {
    let range = sysctl::read("ipv4/ip_local_port_range")?;
    let mut ends = range.split_whitespace().map(str::parse);
    match (ends.next(), ends.next()) {
        (Some(Ok(first)), Some(Ok(last))) => Ok(first..=last),
        _ => Err(io::Error::other(format!("ip_local_port_range is {range:?}"))),
    }
}

/// Ports that are not drawn, each once: first those above, from a random one on, then those below,
/// then those that would be if they were not reserved.
fn candidates(drawn: RangeInclusive<u16>, seed: u64) -> impl Iterator<Item = u16> {
    let above = drawn.end().checked_add(1).map(|first| first..=u16::MAX);
    let below = drawn.start().checked_sub(1).map(|last| LOWEST..=last);
    let reserved = *UPPER.start().max(drawn.start())..=*UPPER.end().min(drawn.end());
    let seed = u32::try_from(seed % u64::from(u32::MAX / 2)).unwrap_or_default();
    let zones = above.into_iter().chain(below).chain([reserved]).filter(|zone| !zone.is_empty());
    zones.flat_map(move |zone| {
        let count = u32::try_from(zone.len()).unwrap_or_default();
        let start = seed % count;
        (0..count)
            .map(move |step| zone.start() + u16::try_from((start + step) % count).unwrap_or(0))
    })
}

/// Listens at `address` on the first port that is free.
pub(super) fn listen(
    address: SocketAddr,
    ports: &mut impl Iterator<Item = u16>,
) -> io::Result<TcpListener> {
    let kind = Type::STREAM.nonblocking();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    dns::set_freebind(&socket, address.ip())?;
    if address.is_ipv6() {
        // The outbound listener serves IPv4 too, whatever net.ipv6.bindv6only says.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // Accepted sockets inherit both.
    socket.set_tcp_nodelay(true)?;
    bound_queue(&socket)?;
    bind(&socket, address.ip(), ports)?;
    // After the bind, which is to fail where somebody is. Accepted sockets inherit it: they are on
    // the application's port, which a restarted server must get again.
    socket.set_reuse_address(true)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Binds to the first port that is free.
pub(super) fn bind(
    socket: &Socket,
    ip: IpAddr,
    ports: &mut impl Iterator<Item = u16>,
) -> io::Result<()> {
    for port in ports.take(TRIES) {
        // A socket that could not be bound is as it was.
        match socket.bind(&SocketAddr::new(ip, port).into()) {
            Err(e) if e.raw_os_error() == Some(libc::EADDRINUSE) => {}
            bound => return bound,
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AddrInUse,
        "no port is free that the kernel gives nobody (net.ipv4.ip_local_port_range)",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_range_of_everything_leaves_what_is_reserved() {
        let all: BTreeSet<u16> = candidates(1..=65_535, 7).collect();
        assert_eq!(all, UPPER.collect());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn every_port_that_is_not_drawn_is_tried_once(
            first in 1_025..60_000_u16, count in 0..5_000_u16, seed: u64,
        ) {
            let drawn = first..=first.saturating_add(count);
            let all: Vec<u16> = candidates(drawn.clone(), seed).collect();
            let set: BTreeSet<u16> = all.iter().copied().collect();
            prop_assert_eq!(all.len(), set.len());
            let given = |port: &u16| drawn.contains(port) && !UPPER.contains(port);
            let want: BTreeSet<u16> = (LOWEST..=u16::MAX).filter(|port| !given(port)).collect();
            prop_assert_eq!(set, want);
        }
    }
}
