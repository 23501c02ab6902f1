//! Endpoints by name, asked of a resolver of our own.
use crate::{
    support::{Server, Version},
    waiting::until,
    world::{World, assignment, cluster},
};
use culvert_l7::upstream::{Ask, Names};
use culvert_model::http::{
    address::Address,
    cluster::{Cluster, Discovery, Dns, DnsFamily},
    endpoint::{Assignment, Endpoint, LocalityEndpoints},
};
use culvert_runtime::drain::Drain;
use http::StatusCode;
use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::net::UdpSocket;

/// What names stand for: addresses for so many seconds, or a code.
type Zone = Arc<Mutex<HashMap<&'static str, Result<(Vec<Ipv4Addr>, u32), u8>>>>;

const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;

struct Resolver {
    addr: SocketAddr,
    zone: Zone,
    _drain: Drain,
}

impl Resolver {
    async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (addr, zone, drain) = (socket.local_addr().unwrap(), Zone::default(), Drain::default());
        let table = Arc::clone(&zone);
        drain.worker().spawn(async move {
            let mut bytes = [0; 512];
            while let Ok((read, from)) = socket.recv_from(&mut bytes).await {
                let reply = answer(&bytes[..read], &table);
                socket.send_to(&reply, from).await.unwrap();
            }
        });
        Self { addr, zone, _drain: drain }
    }

    fn set(&self, name: &'static str, to: &[[u8; 4]], ttl: u32) {
        let to = to.iter().map(|octets| Ipv4Addr::from(*octets)).collect();
        self.zone.lock().unwrap().insert(name, Ok((to, ttl)));
    }

    fn fail(&self, name: &'static str, code: u8) {
        self.zone.lock().unwrap().insert(name, Err(code));
    }

    fn names(&self) -> Names {
        Names::of(vec![self.addr])
    }
}

/// To the only question of a message.
fn answer(query: &[u8], zone: &Zone) -> Vec<u8> {
    let (mut at, mut name) = (12, String::new());
    while query[at] != 0 {
        let length = usize::from(query[at]);
        name.push_str(std::str::from_utf8(&query[at + 1..=at + length]).unwrap());
        name.push('.');
        at += length + 1;
    }
    let four = query[at + 1..at + 3] == [0, 1];
    let question = &query[12..at + 5];
    let found = zone.lock().unwrap().get(name.as_str()).cloned().unwrap_or(Err(NXDOMAIN));
    let (code, (to, ttl)) = match found {
        Ok(found) => (0, found),
        Err(code) => (code, (Vec::new(), 0)),
    };
    let to: Vec<_> = to.into_iter().filter(|_| four).collect();
    let count = u8::try_from(to.len()).unwrap();
    let mut out =
        [&query[..2], &[0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0], question].concat();
    for address in to {
        out.extend([0xc0, 12, 0, 1, 0, 1]);
        out.extend(ttl.to_be_bytes());
        out.extend([0, 4]);
        out.extend(address.octets());
    }
    out
}

fn named(name: &str, port: u16) -> Arc<Assignment> {
    let found = assignment(&["127.0.0.1:1".parse().unwrap()]);
    let locality = &found.localities[0];
    let address = Address::Name { host: name.into(), port };
    let endpoint = Endpoint { address, ..Endpoint::clone(&locality.endpoints[0]) };
    let endpoints = [Arc::new(endpoint)].into();
    let locality = LocalityEndpoints { endpoints, ..locality.clone() };
    Arc::new(Assignment { localities: [locality].into(), ..Assignment::clone(&found) })
}

fn often() -> Dns {
    Dns { refresh: Duration::from_millis(5), family: DnsFamily::V4Preferred, ..Dns::default() }
}

fn strict(name: &str, dns: Dns) -> Cluster {
    cluster(Discovery::StrictDns { assignment: named(name, 80), dns })
}

fn hosts(world: &World) -> Vec<String> {
    world.upstream().view().hosts.iter().map(|host| host.name.to_string()).collect()
}

async fn until_hosts(world: &World, wanted: &[&str]) {
    until(|| hosts(world) == wanted).await;
}

#[tokio::test]
async fn each_address_of_a_name_is_an_endpoint() {
    let resolver = Resolver::start().await;
    resolver.set("a.test.", &[[127, 0, 0, 2], [127, 0, 0, 1]], 60);
    let mut world = World::with_names(strict("a.test", often()), resolver.names());
    assert!(world.upstream().choose(&Ask::default()).is_err());
    world.upstreams.warm().await;
    assert_eq!(hosts(&world), ["127.0.0.1:80", "127.0.0.2:80"]);
    let first = Arc::clone(&world.upstream().view().hosts[0].host);
    // Others, and the same again.
    resolver.set("a.test.", &[[127, 0, 0, 1], [127, 0, 0, 3]], 60);
    until_hosts(&world, &["127.0.0.1:80", "127.0.0.3:80"]).await;
    assert!(Arc::ptr_eq(&first, &world.upstream().view().hosts[0].host), "it is the same");
    // Nobody knows: what was known stays.
    resolver.fail("a.test.", SERVFAIL);
    until(|| world.number("update_failure") != 0).await;
    assert_eq!(hosts(&world).len(), 2);
    // Another way of asking begins with what is known.
    world.set(strict("a.test", Dns { jitter: Duration::from_millis(1), ..often() }));
    assert_eq!(hosts(&world).len(), 2);
    // There is no such name any more.
    resolver.fail("a.test.", NXDOMAIN);
    until_hosts(&world, &[]).await;
    assert!(world.number("update_empty") > 0 && world.number("membership_change") >= 3);
}

#[tokio::test]
async fn an_answer_holds_as_long_as_it_says() {
    let resolver = Resolver::start().await;
    resolver.set("a.test.", &[[127, 0, 0, 1]], 1);
    let hour = Duration::from_secs(3600);
    let dns = Dns { refresh: hour, respect_ttl: true, ..often() };
    let world = World::with_names(strict("a.test", dns), resolver.names());
    world.upstreams.warm().await;
    resolver.set("a.test.", &[[127, 0, 0, 2]], 1);
    until_hosts(&world, &["127.0.0.2:80"]).await;
}

#[tokio::test]
async fn a_logical_name_is_one_endpoint_wherever_it_leads() {
    let (resolver, server) = (Resolver::start().await, Server::start(Version::One).await);
    resolver.set("a.test.", &[[127, 0, 0, 1], [127, 0, 0, 9]], 60);
    let port = server.addr.port();
    let logical = Discovery::LogicalDns { assignment: named("a.test", port), dns: often() };
    let world = World::with_names(cluster(logical), resolver.names());
    world.upstreams.warm().await;
    assert_eq!(hosts(&world), [format!("127.0.0.1:{port}")]);
    let chosen = world.choose();
    assert_eq!(chosen.facts().host.destination(), Some(server.addr));
    drop(chosen);
    assert_eq!(world.get().await.0, StatusCode::OK);
    let view = world.upstream().view();
    assert_eq!(view.hosts[0].connections, 1);
    resolver.set("a.test.", &[[127, 0, 0, 5]], 60);
    until_hosts(&world, &[&format!("127.0.0.5:{port}")]).await;
    assert!(Arc::ptr_eq(&view.hosts[0].host, &world.upstream().view().hosts[0].host));
    // No address is no reason to forget the last.
    resolver.fail("a.test.", NXDOMAIN);
    until(|| world.number("update_empty") != 0).await;
    assert_eq!(hosts(&world), [format!("127.0.0.5:{port}")]);
}
