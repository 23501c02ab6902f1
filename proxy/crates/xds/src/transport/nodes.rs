//! Who is connected, and how far each one is.
use super::door::Peer;
use crate::{
    resource::Name,
    server::{Connection, Lag, Subscriber, Worlds},
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};
use tokio::sync::watch;

/// All nodes with a stream; cheap to clone.
#[derive(Clone, Debug)]
pub struct Nodes {
    streams: Arc<Mutex<BTreeMap<u64, Stream>>>,
    /// Counts whatever may change an answer.
    changes: watch::Sender<u64>,
}

/// One node's stream.
#[derive(Debug)]
struct Stream {
    node: Arc<str>,
    id: Arc<str>,
    peer: Peer,
    proven: bool,
    since: Instant,
    connection: Arc<Mutex<Connection>>,
}

/// A node as people see it.
#[derive(Clone, Debug)]
pub struct Connected {
    /// `NODE_NAME` of its metadata, else its id.
    pub node: Arc<str>,
    pub id: Arc<str>,
    pub peer: Peer,
    /// It proved to be that node; else it only listens.
    pub proven: bool,
    pub since: Instant,
    pub addresses: Lag,
    pub policies: Lag,
    /// What it refused last, and has not accepted since.
    pub refusals: Vec<String>,
}

/// Keeps one stream listed; taken off when dropped.
#[derive(Debug)]
pub(crate) struct Listed {
    nodes: Nodes,
    key: u64,
}

/// One type of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Addresses,
    Policies,
}

/// How far everybody is with one type of resource, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acked(BTreeMap<Arc<str>, Behind>);

/// How far one node is: the last of its streams.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Behind {
    acked: u64,
    refused: BTreeSet<Name>,
}

impl Acked {
    /// Whether there are nodes, and all have accepted what the world of `sequence` said of `name`.
    pub fn everybody(&self, sequence: u64, name: &str) -> bool {
        !self.0.is_empty() && self.0.values().all(|node| node.confirms(sequence, name))
    }

    /// Whether that node is there and has.
    pub fn node(&self, node: &str, sequence: u64, name: &str) -> bool {
        self.0.get(node).is_some_and(|node| node.confirms(sequence, name))
    }

    /// One more stream of `node`, which has accepted all of the world of `acked` but `refused`.
    pub fn insert(&mut self, node: Arc<str>, acked: u64, refused: impl IntoIterator<Item = Name>) {
        let behind =
            self.0.entry(node).or_insert_with(|| Behind { acked, refused: BTreeSet::new() });
        behind.acked = behind.acked.min(acked);
        behind.refused.extend(refused);
    }
}

impl Behind {
    fn confirms(&self, sequence: u64, name: &str) -> bool {
        sequence <= self.acked && !self.refused.contains(name)
    }
}

impl Default for Nodes {
    fn default() -> Self {
        Self { streams: Arc::default(), changes: watch::Sender::new(0) }
    }
}

impl Nodes {
    /// In the order in which they came.
    pub fn list(&self, worlds: &Worlds) -> Vec<Connected> {
        let streams = self.streams.lock();
        (streams.values())
            .map(|stream| {
                let connection = stream.connection.lock();
                let said = [connection.policies().refusal(), connection.addresses().refusal()];
                Connected {
                    node: Arc::clone(&stream.node),
                    id: Arc::clone(&stream.id),
                    peer: stream.peer.clone(),
                    proven: stream.proven,
                    since: stream.since,
                    addresses: connection.addresses().lag(&worlds.addresses),
                    policies: connection.policies().lag(&worlds.policies),
                    refusals: said.into_iter().flatten().map(str::to_owned).collect(),
                }
            })
            .collect()
    }

    /// How far everybody is who proved to be a node.
    pub fn acked(&self, kind: Kind) -> Acked {
        let mut acked = Acked::default();
        for stream in self.streams.lock().values().filter(|stream| stream.proven) {
            let connection = stream.connection.lock();
            let subscriber = connection.of(kind);
            let refused = subscriber.refused().cloned();
            acked.insert(Arc::clone(&stream.node), subscriber.acked(), refused);
        }
        acked
    }

    /// Changes whenever an answer may be another.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn enter(
        &self,
        (node, id): (Arc<str>, Arc<str>),
        peer: Peer,
        proven: bool,
        connection: Arc<Mutex<Connection>>,
    ) -> Listed {
        let mut streams = self.streams.lock();
        let key = streams.last_key_value().map_or(0, |(key, _)| key.wrapping_add(1));
        let since = Instant::now();
        streams.insert(key, Stream { node, id, peer, proven, since, connection });
        drop(streams);
        self.changed();
        Listed { nodes: self.clone(), key }
    }

    /// Somebody is further than before.
    pub(crate) fn changed(&self) {
        self.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
    }
}

impl Connection {
    fn of(&self, kind: Kind) -> &Subscriber {
        match kind {
            Kind::Addresses => self.addresses(),
            Kind::Policies => self.policies(),
        }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let gone = self.nodes.streams.lock().remove(&self.key);
        drop(gone);
        self.nodes.changed();
    }
}
