//! What holds whatever snapshots come, and in whatever order.
use super::world::{World, chain, chained, put, put_cluster, told};
use culvert_model::http::{
    listener::{ChainMatch, FilterChain, Listener},
    snapshot::Snapshot,
};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

/// A listener: its chains by client, with a version each; and another socket.
type Said = (BTreeMap<u8, u8>, Option<u8>, Option<u32>);

/// Listeners by name, and clusters by name with their ports.
type All = (BTreeMap<&'static str, Said>, BTreeMap<&'static str, BTreeSet<u16>>);

fn all() -> impl Strategy<Value = All> {
    let chains = proptest::collection::btree_map(1..4_u8, 0..2_u8, 0..4);
    let socket = proptest::option::weighted(0.2, 64..66_u32);
    let listener = (chains, proptest::option::of(0..2_u8), socket);
    let name = || prop::sample::select(vec!["a", "b", "c"]);
    let ports = proptest::collection::btree_set(1..5_u16, 0..3);
    (
        proptest::collection::btree_map(name(), listener, 0..4),
        proptest::collection::btree_map(name(), ports, 0..3),
    )
}

fn client(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, number)
}

fn made(name: &str, (chains, default, backlog): &Said) -> Listener {
    let of = |number: u8, version: u8, matches| FilterChain {
        transport_timeout: Some(Duration::from_secs(60 + u64::from(version))),
        ..chain(&format!("{number}.{version}"), matches, vec![told()])
    };
    let chains = chains.iter().map(|(number, version)| {
        let source = format!("{}/32", client(*number));
        let source = [source.parse().unwrap()].into();
        of(*number, *version, ChainMatch { source, ..ChainMatch::default() })
    });
    let default_chain = default.map(|version| Arc::new(of(0, version, ChainMatch::default())));
    Listener { default_chain, backlog: *backlog, ..chained(name, chains.collect()) }
}

fn snapshot((listeners, clusters): &All) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (name, said) in listeners {
        put(&mut snapshot, made(name, said));
    }
    for (name, ports) in clusters {
        let at: Vec<SocketAddr> = ports.iter().map(|port| ([127, 0, 0, 1], *port).into()).collect();
        put_cluster(&mut snapshot, name, &at);
    }
    snapshot
}

/// The chain of a client's connections, as it is said.
fn chain_of((chains, default, _): &Said, number: u8) -> Option<String> {
    let own = chains.get(&number).map(|version| format!("{number}.{version}"));
    own.or_else(|| default.map(|version| format!("0.{version}")))
}

async fn connect(world: &World, name: &str, number: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((client(number), 0).into()).unwrap();
    socket.connect(world.at(name)).await.unwrap()
}

/// The chain that a connection is in, as it says itself; `None`: it is closed.
async fn ask(tcp: &mut TcpStream) -> Option<String> {
    tcp.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.ok()?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\n") || !answer.windows(6).any(|word| word == b"chain=") {
        if tcp.read_buf(&mut answer).await.ok()? == 0 {
            return None;
        }
    }
    let answer = String::from_utf8(answer).unwrap();
    let (_, rest) = answer.split_once("chain=")?;
    Some(rest.split(' ').next()?.to_owned())
}

/// What people see of an engine, and what connections meet, but for ports that the system chose.
async fn seen(world: &World) -> Vec<String> {
    let mut seen = Vec::new();
    for view in world.engine.listeners() {
        if &*view.name == "seal" {
            continue;
        }
        seen.push(format!("{} {:?} {} addresses", view.name, view.error, view.addresses.len()));
        for number in 1..5 {
            let chain = ask(&mut connect(world, &view.name, number).await).await;
            seen.push(format!("{} {number} {chain:?}", view.name));
        }
    }
    for upstream in world.shared.upstreams.all() {
        let hosts: Vec<_> =
            upstream.view().hosts.iter().map(|host| host.name.to_string()).collect();
        seen.push(format!("{} {hosts:?}", upstream.config().name));
    }
    seen.sort();
    seen
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn an_engine_is_what_the_last_snapshot_says_and_keeps_what_did_not_change(
        steps in proptest::collection::vec(all(), 1..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::with(Snapshot::default()).await;
            let mut kept: BTreeMap<(&str, u8), (String, TcpStream)> = BTreeMap::new();
            for step in &steps {
                let next = snapshot(step);
                world.change(|snapshot| *snapshot = next).await;
                let mut still = BTreeMap::new();
                for ((name, number), (chain, mut tcp)) in kept {
                    let now = step.0.get(name);
                    let stays = now.is_some_and(|said| said_chains(said).contains(&chain));
                    if stays {
                        let answered = ask(&mut tcp).await;
                        prop_assert_eq!(answered.as_ref(), Some(&chain), "{} {}", name, number);
                        still.insert((name, number), (chain, tcp));
                    }
                }
                kept = still;
                for (name, said) in &step.0 {
                    for number in 1..5 {
                        let Some(wanted) = chain_of(said, number) else { continue };
                        if kept.contains_key(&(*name, number)) {
                            continue;
                        }
                        let mut tcp = connect(&world, name, number).await;
                        let answered = ask(&mut tcp).await;
                        prop_assert_eq!(answered.as_ref(), Some(&wanted), "{} {}", name, number);
                        kept.insert((name, number), (wanted, tcp));
                    }
                }
            }
            let fresh = World::with(snapshot(steps.last().unwrap())).await;
            let (grown, started) = (seen(&world).await, seen(&fresh).await);
            prop_assert_eq!(grown, started);
            Ok(())
        })?;
    }
}

/// The names of all chains of a listener.
fn said_chains((chains, default, _): &Said) -> Vec<String> {
    let own = chains.iter().map(|(number, version)| format!("{number}.{version}"));
    own.chain(default.map(|version| format!("0.{version}"))).collect()
}
