//! Who is connected, and how far each one is.
use super::door::Peer;
use crate::server::{Connection, Lag, Worlds};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc, time::Instant};
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
                    since: stream.since,
                    addresses: connection.addresses().lag(&worlds.addresses),
                    policies: connection.policies().lag(&worlds.policies),
                    refusals: said.into_iter().flatten().map(str::to_owned).collect(),
                }
            })
            .collect()
    }

    /// Whether every connected node has accepted what the world of `sequence` said of `name`.
    pub fn confirm(&self, kind: Kind, sequence: u64, name: &str) -> bool {
        let streams = self.streams.lock();
        streams.values().all(|stream| {
            let connection = stream.connection.lock();
            let subscriber = match kind {
                Kind::Addresses => connection.addresses(),
                Kind::Policies => connection.policies(),
            };
            subscriber.confirms(sequence, name)
        })
    }

    /// Resolves when every connected node has accepted what the world of `sequence` said of `name`.
    ///
    /// Cancel safe; whoever waits sets the time limit.
    pub async fn confirmed(&self, kind: Kind, sequence: u64, name: &str) {
        let mut changes = self.changes.subscribe();
        // The sender lives in `self`, so this ends only with the answer.
        drop(changes.wait_for(|_| self.confirm(kind, sequence, name)).await);
    }

    pub(crate) fn enter(
        &self,
        node: Arc<str>,
        id: Arc<str>,
        peer: Peer,
        connection: Arc<Mutex<Connection>>,
    ) -> Listed {
        let mut streams = self.streams.lock();
        let key = streams.last_key_value().map_or(0, |(key, _)| key.wrapping_add(1));
        streams.insert(key, Stream { node, id, peer, since: Instant::now(), connection });
        drop(streams);
        self.changed();
        Listed { nodes: self.clone(), key }
    }

    /// Somebody is further than before.
    pub(crate) fn changed(&self) {
        self.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let gone = self.nodes.streams.lock().remove(&self.key);
        drop(gone);
        self.nodes.changed();
    }
}
