//! Connections between two pods of the node that go without the proxy.
//!
//! The proxy permits them, one destination of a pod at a time. A verdict holds while the proxy lives
//! ([`Node::beat`]) and nothing has changed for either pod ([`Node::set_epochs`]). What is open is
//! listed by [`Node::direct_flows`] and tells of itself by [`Node::events`].
use crate::{
    node::{Node, NodeError, Shared},
    sys::monotonic_ns,
};
use culvert_common::{addr, direct};
use share::Shares;
use std::{net::SocketAddr, sync::PoisonError, time::Duration};

pub mod events;
pub(crate) mod share;

/// Connections of a pod to one destination may go direct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub source_pod: u32,
    /// As the application dials it: a pod's address and port, or a service's.
    pub destination: SocketAddr,
    /// The local pod's own address and port; the destination itself, unless that is a service.
    pub endpoint: SocketAddr,
    /// How many endpoints the destination has: one connection in so many goes direct, the others
    /// come to the proxy. One for a pod's address.
    pub endpoints: u16,
    pub destination_pod: u32,
    /// The epochs of both pods in the state that the decision was made from.
    pub source_epoch: u64,
    pub destination_epoch: u64,
}

/// A direct connection that is open, or being opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectFlow {
    pub source_pod: u32,
    pub destination_pod: u32,
    /// The client's end.
    pub source: SocketAddr,
    /// The server's end, also where a service was meant.
    pub destination: SocketAddr,
    /// Of the verdict that let it pass.
    pub source_epoch: u64,
    pub destination_epoch: u64,
}

/// What a direct connection tells of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectEvent {
    pub source_pod: u32,
    pub destination_pod: u32,
    /// The client's end.
    pub source: SocketAddr,
    /// The server's end, also where a service was meant.
    pub destination: SocketAddr,
    /// Where the application meant to go.
    pub meant: SocketAddr,
    pub at: At,
}

/// Where a direct connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    Opened,
    Closed {
        /// Bytes from the client to the server that arrived.
        sent: u64,
        /// Bytes from the server to the client.
        received: u64,
        lasted: Duration,
        end: End,
    },
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was never established, so there was no [`At::Opened`].
    Refused,
    /// In order.
    Done,
    /// By a reset, a timeout, or because it was destroyed.
    Reset,
}

impl Node {
    /// Says that the proxy lives: for two seconds from now verdicts hold and DNS is captured.
    /// Whether it was said: not while another process loads or claims, or is the owner.
    ///
    /// # Errors
    ///
    /// When the map or the lock cannot be written.
    pub fn beat(&self) -> Result<bool, NodeError> {
        let Some(_owning) = self.shared().try_own()? else { return Ok(false) };
        write_beat(self.shared(), monotonic_ns().map_err(map("BEAT"))?)?;
        Ok(true)
    }

    /// Ends verdicts and the capture of DNS at once, until the next [`Self::beat`]. Does nothing
    /// when another generation is the owner.
    ///
    /// # Errors
    ///
    /// When the map cannot be written; they end by themselves then.
    pub fn stop_beating(&self) -> Result<(), NodeError> {
        if self.is_owner() { write_beat(self.shared(), 0) } else { Ok(()) }
    }

    /// Gives pods new epochs, which ends every verdict that was read from others.
    ///
    /// Pods that are not enrolled get none. Direct connections of older epochs are open still: look
    /// for them afterwards, with [`Self::direct_flows`]. Waits while another process loads; no verdict holds meanwhile.
    ///
    /// # Errors
    ///
    /// When another generation is the owner, or the map cannot be written.
    pub fn set_epochs(
        &self,
        epochs: impl IntoIterator<Item = (u32, u64)>,
    ) -> Result<(), NodeError> {
        let shared = self.shared();
        let _owning = match shared.try_own()? {
            Some(owning) => owning,
            None => {
                self.stop_beating()?;
                shared.own()?
            }
        };
        // No pod is forgotten meanwhile, and what is forgotten gets no epoch.
        let registry = shared.registry();
        for (pod_id, epoch) in epochs {
            if registry.get(pod_id).is_none() {
                continue;
            }
            shared.maps.epochs.set(&pod_id, &epoch).map_err(map("EPOCHS"))?;
        }
        Ok(())
    }

    /// Lets connections go direct. Whether that was recorded: not where a connection could not be
    /// ended again, while another process loads or owns the node, and when there is no room; they
    /// come to the proxy then.
    ///
    /// # Errors
    ///
    /// When the map or the lock cannot be written.
    pub fn permit(&self, verdict: &Verdict) -> Result<bool, NodeError> {
        let shared = self.shared();
        let Some((key, value)) = verdict.entry() else { return Ok(false) };
        if !shared.capabilities.destroy {
            return Ok(false);
        }
        let Some(_owning) = shared.try_own()? else { return Ok(false) };
        let mut shares = shared.shares();
        let share = shares.of(key.source_pod);
        let verdicts = &shared.maps.verdicts;
        if let Some(oldest) = share.oldest_before(&key) {
            verdicts.remove(&oldest).map_err(map("VERDICTS"))?;
        }
        match verdicts.set(&key, &value) {
            Ok(()) => share.add(key),
            // The map is full.
            Err(e) if e.raw_os_error() == Some(libc::E2BIG) => return Ok(false),
            Err(e) => return Err(map("VERDICTS")(e)),
        }
        Ok(true)
    }

    /// Forgets every verdict; open connections stay.
    ///
    /// # Errors
    ///
    /// When another generation is the owner, or the map cannot be written.
    pub fn revoke_all(&self) -> Result<(), NodeError> {
        let shared = self.shared();
        let _owning = shared.own()?;
        *shared.shares() = Shares::default();
        shared.maps.verdicts.clear().map_err(map("VERDICTS"))
    }

    /// Every direct connection there is, also those that an earlier generation let pass.
    ///
    /// # Errors
    ///
    /// When the map cannot be read.
    pub fn direct_flows(&self) -> Result<Vec<DirectFlow>, NodeError> {
        let entries = self.shared().maps.direct.entries().map_err(map("DIRECT"))?;
        Ok(entries.iter().map(|(ends, entry)| DirectFlow::new(ends, entry)).collect())
    }
}

impl Verdict {
    /// As the map holds it; `None` when nothing may come of it.
    fn entry(&self) -> Option<(direct::VerdictKey, direct::Verdict)> {
        let canonical = culvert_model::addr::canonical;
        let (destination, endpoint) = (canonical(self.destination), canonical(self.endpoint));
        if destination.is_ipv4() != endpoint.is_ipv4() || self.endpoints == 0 {
            return None;
        }
        let key = direct::VerdictKey {
            destination: addr::from_ip(destination.ip()),
            source_pod: self.source_pod,
            port_be: destination.port().to_be(),
            reserved: 0,
        };
        let value = direct::Verdict {
            endpoint: addr::from_ip(endpoint.ip()),
            endpoint_port_be: endpoint.port().to_be(),
            endpoints: self.endpoints,
            destination_pod: self.destination_pod,
            source_epoch: self.source_epoch,
            destination_epoch: self.destination_epoch,
        };
        Some((key, value))
    }
}

impl DirectFlow {
    fn new(ends: &culvert_common::conn::Tuple, entry: &direct::Direct) -> Self {
        Self {
            source_pod: entry.source_pod,
            destination_pod: entry.destination_pod,
            source: end(&ends.source, ends.source_port_be),
            destination: end(&ends.destination, ends.destination_port_be),
            source_epoch: entry.source_epoch,
            destination_epoch: entry.destination_epoch,
        }
    }
}

impl Shared {
    fn shares(&self) -> std::sync::MutexGuard<'_, Shares> {
        // Whatever a panic elsewhere left out is at most an entry too many in the map.
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A new owner begins without verdicts: it knows neither the epochs of others nor their reasons.
pub(crate) fn forget_all(shared: &Shared) -> Result<(), NodeError> {
    *shared.shares() = Shares::default();
    shared.maps.verdicts.clear().map_err(map("VERDICTS"))?;
    shared.maps.epochs.clear().map_err(map("EPOCHS"))
}

/// Nothing goes direct from or to a pod any more.
pub(crate) fn forget(shared: &Shared, pod_id: u32) -> Result<(), NodeError> {
    shared.maps.epochs.remove(&pod_id).map_err(map("EPOCHS"))?;
    let keys = shared.shares().forget(pod_id);
    let removed = keys.iter().try_for_each(|key| shared.maps.verdicts.remove(key));
    removed.map_err(map("VERDICTS"))
}

/// One end of a connection as the maps hold it.
fn end(ip: &addr::Addr, port_be: u16) -> SocketAddr {
    SocketAddr::new(addr::to_ip(ip), u16::from_be(port_be))
}

fn write_beat(shared: &Shared, at: u64) -> Result<(), NodeError> {
    shared.maps.beat.set(&0, &at).map_err(map("BEAT"))
}

fn map(map: &'static str) -> impl Fn(std::io::Error) -> NodeError {
    move |source| NodeError::Map { map, source }
}
