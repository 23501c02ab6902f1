//! The proxy in the place of a pod's name servers.
//!
//! A socket cannot tell whom its client meant, so there is one for each name server. It is on the
//! pod's own address: that is what the application's socket is bound to, too.
use crate::{
    node::{NodeError, Shared},
    pod::{
        DnsListener, EnrolError, PodSpec, listeners,
        record::{Names, Record},
    },
};
use culvert_common::{
    addr,
    dns::{DnsBackKey, DnsKey, DnsPorts},
};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
};

/// How many name servers of one pod; the C library knows three.
const MOST: usize = 8;

/// Where one name server is to be stood in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    resolver: IpAddr,
    /// The pod's own.
    address: IpAddr,
    /// What an earlier generation had.
    udp: Option<u16>,
}

/// Where the pod's name servers can be stood in for.
pub(crate) fn places(spec: &PodSpec, v6: bool, known: &[Names]) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    for resolver in spec.resolvers.iter().map(IpAddr::to_canonical) {
        // The family's, where IPv6 is there.
        let mut own = spec.ips.iter().filter(|ip| ip.is_ipv4() || v6);
        let Some(address) = own.find(|ip| ip.is_ipv4() == resolver.is_ipv4()) else { continue };
        let known = known.iter().find(|known| known.resolver == resolver);
        let place = Place { resolver, address, udp: known.map(|known| known.udp) };
        let is_new = !places.iter().any(|place| place.resolver == resolver);
        if leaves(spec, resolver) && is_new && places.len() < MOST {
            places.push(place);
        }
    }
    places
}

/// Of what is served, what the pod asks for.
pub(crate) fn wanted(served: &[Names], spec: &PodSpec) -> Vec<Names> {
    let asked =
        |names: &&Names| spec.resolvers.iter().any(|it| it.to_canonical() == names.resolver);
    served.iter().filter(asked).cloned().collect()
}

/// Opens a place in the calling thread's namespace.
pub(crate) fn open(
    place: &Place,
    ports: &mut impl Iterator<Item = u16>,
) -> io::Result<DnsListener> {
    let Place { resolver, address, udp } = *place;
    let kept = udp.and_then(|port| shared_with_others(SocketAddr::new(address, port)).ok());
    let udp = match kept {
        Some(udp) => udp,
        None => alone(address, ports)?,
    };
    let tcp = listeners::listen(SocketAddr::new(address, 0), ports)?;
    Ok(DnsListener { resolver, udp, tcp })
}

/// As records have them.
pub(crate) fn names(listeners: &[DnsListener]) -> Result<Vec<Names>, EnrolError> {
    let ports = |it: &DnsListener| {
        let (udp, tcp) = (it.udp.local_addr()?.port(), it.tcp.local_addr()?.port());
        Ok(Names { resolver: it.resolver, udp, tcp })
    };
    let names = listeners.iter().map(ports).collect::<io::Result<_>>();
    names.map_err(|source| EnrolError::Listen { what: "DNS", source })
}

/// Answers are put right first, questions are captured then.
pub(crate) fn write(shared: &Shared, record: &Record) -> Result<(), NodeError> {
    let maps = &shared.maps;
    for names in &record.names {
        let family = |ip: &&IpAddr| ip.is_ipv4() == names.resolver.is_ipv4();
        let Some(own) = record.ips.iter().find(family) else { continue };
        let resolver = addr::from_ip(names.resolver);
        let back = back_key(record, *own, names);
        let set = maps.dns_back.set(&back, &resolver);
        set.map_err(|source| NodeError::Map { map: "DNS_BACK", source })?;
        let ports = DnsPorts { udp_be: names.udp.to_be(), tcp_be: names.tcp.to_be() };
        let set = maps.dns.set(&DnsKey { pod_id: record.pod_id, resolver }, &ports);
        set.map_err(|source| NodeError::Map { map: "DNS", source })?;
    }
    Ok(())
}

/// Name servers that the pod does not ask any more; their last answers may be under way.
pub(crate) fn remove_stale(shared: &Shared, old: &Record, new: &Record) -> Result<(), NodeError> {
    for names in &old.names {
        if !new.names.iter().any(|kept| kept.resolver == names.resolver) {
            let resolver = addr::from_ip(names.resolver);
            let removed = shared.maps.dns.remove(&DnsKey { pod_id: old.pod_id, resolver });
            removed.map_err(|source| NodeError::Map { map: "DNS", source })?;
        }
    }
    Ok(())
}

/// Everything of a pod, whatever generation wrote it.
pub(crate) fn forget(shared: &Shared, record: &Record) -> Result<(), NodeError> {
    let maps = &shared.maps;
    let questions = || {
        let of_pod = maps.dns.entries()?.into_iter().filter(|(key, _)| key.pod_id == record.pod_id);
        of_pod.map(|(key, _)| key).try_for_each(|key| maps.dns.remove(&key))
    };
    questions().map_err(|source| NodeError::Map { map: "DNS", source })?;
    let answers = || {
        let all = maps.dns_back.entries()?;
        let of_pod = all.into_iter().filter(|(key, _)| key.netns == record.cookie);
        of_pod.map(|(key, _)| key).try_for_each(|key| maps.dns_back.remove(&key))
    };
    answers().map_err(|source| NodeError::Map { map: "DNS_BACK", source })
}

/// The address may not be there yet.
pub(super) fn set_freebind(socket: &Socket, ip: IpAddr) -> io::Result<()> {
    match ip {
        IpAddr::V4(_) => socket.set_freebind_v4(true),
        IpAddr::V6(_) => socket.set_freebind_v6(true),
    }
}

/// Whether questions to there leave the pod, for somewhere that can be said without a link.
fn leaves(spec: &PodSpec, resolver: IpAddr) -> bool {
    let own = spec.ips.iter().any(|ip| ip == resolver);
    let is_local = match resolver {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_unspecified(),
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || addr::is_link_local6(&addr::from_ip(resolver))
        }
    };
    !own && !is_local
}

fn back_key(record: &Record, own: IpAddr, names: &Names) -> DnsBackKey {
    DnsBackKey {
        netns: record.cookie,
        own: addr::from_ip(own),
        port_be: names.udp.to_be(),
        reserved: [0; 3],
    }
}

/// On a port that nobody has; the next generation may have it too.
fn alone(address: IpAddr, ports: &mut impl Iterator<Item = u16>) -> io::Result<UdpSocket> {
    let socket = socket(address)?;
    listeners::bind(&socket, address, ports)?;
    socket.set_reuse_port(true)?;
    Ok(socket.into())
}

/// On the port of an earlier generation, which may be there still.
fn shared_with_others(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket(address.ip())?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn socket(address: IpAddr) -> io::Result<Socket> {
    let domain = if address.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    set_freebind(&socket, address)?;
    socket.attach_filter(&from_itself(address))?;
    Ok(socket)
}

/// Lets through what comes from the address itself. (From outside nothing does: the kernel drops
/// what arrives with an address of its own as source.)
fn from_itself(address: IpAddr) -> Vec<SockFilter> {
    // `linux/filter.h`: load a word, compare, return; offsets from the start of the IP header.
    const LOAD: u16 = 0x20;
    const IS_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const IP_HEADER: u32 = 0xfff0_0000;
    let (at, octets) = match address {
        IpAddr::V4(v4) => (12, v4.octets().to_vec()),
        IpAddr::V6(v6) => (8, v6.octets().to_vec()),
    };
    let words =
        octets.chunks_exact(4).filter_map(|word| Some(u32::from_be_bytes(*word.first_chunk()?)));
    let count = u8::try_from(octets.len() / 4).unwrap_or_default();
    let mut filter = Vec::new();
    for (index, word) in (0..).zip(words) {
        let instruction = |code, jf, k| SockFilter::new(code, 0, jf, k);
        filter.push(instruction(LOAD, 0, IP_HEADER + at + u32::from(index) * 4));
        // To the last instruction, over the rest of the words and the one before it.
        filter.push(instruction(IS_EQUAL, (count - 1 - index) * 2 + 1, word));
    }
    let done = |k| SockFilter::new(RETURN, 0, 0, k);
    filter.extend([done(u32::MAX), done(0)]);
    filter
}

#[cfg(test)]
mod tests {
    use super::*;
    use culvert_model::{addr::PodIps, name::WorkloadUid, pod::Fail};

    fn spec(resolvers: &[&str]) -> PodSpec {
        let ips = ["10.0.0.7", "fd00::7"].map(|ip| ip.parse().unwrap());
        PodSpec {
            uid: WorkloadUid::new("test//Pod/it/a"),
            netns: "/run/netns/a".into(),
            ips: PodIps::try_from_ips(ips).unwrap(),
            fail: Fail::Closed,
            container_ports: Vec::new(),
            resolvers: resolvers.iter().map(|ip| ip.parse().unwrap()).collect(),
        }
    }

    fn resolvers(places: &[Place]) -> Vec<String> {
        places.iter().map(|place| format!("{}@{}", place.resolver, place.address)).collect()
    }

    #[test]
    fn only_servers_elsewhere_are_stood_in_for_each_once() {
        let spec = spec(&[
            "127.0.0.53",
            "10.96.0.10",
            "::1",
            "fe80::1",
            "10.0.0.7",
            "fd00::7",
            "0.0.0.0",
            "::ffff:10.96.0.10",
            "fd00::53",
        ]);
        let all = places(&spec, true, &[]);
        assert_eq!(resolvers(&all), ["10.96.0.10@10.0.0.7", "fd00::53@fd00::7"]);
        assert_eq!(resolvers(&places(&spec, false, &[])), ["10.96.0.10@10.0.0.7"]);
    }

    #[test]
    fn more_than_a_few_are_left_alone() {
        let many: Vec<String> = (1..100).map(|last| format!("10.1.0.{last}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(places(&spec(&many), true, &[]).len(), MOST);
    }

    #[test]
    fn the_port_of_an_earlier_generation_is_asked_for() {
        let known = Names { resolver: "10.96.0.10".parse().unwrap(), udp: 7, tcp: 8 };
        let places = places(&spec(&["10.96.0.11", "10.96.0.10"]), true, &[known]);
        assert_eq!(places.iter().map(|place| place.udp).collect::<Vec<_>>(), [None, Some(7)]);
    }
}
