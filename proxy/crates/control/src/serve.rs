//! The ports: 15010 for this machine, 15012 for all, by TLS; and what engines are told there (`l7`).
use culvert_identity::{serving::Serving, trust::TrustStore, verify};
use culvert_runtime::{
    accept::{Reserve, accept_loop},
    drain::Worker,
};
use culvert_xds::transport::{
    Io,
    door::{Door, Peer},
};
use std::{error, io, net::SocketAddr, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{self, Instant},
};
use tonic::Code;
use tracing::{debug, info};

pub(crate) mod accounts;
pub mod gate;
pub(crate) mod hush;
pub(crate) mod l7;
pub(crate) mod stranger;

use hush::Hush;
use stranger::{Stranger, Strangers};

/// Within which a stranger must have done TLS and made a call that is admitted.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a port speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Plain text, on loopback: who can connect is on this machine. Usually port 15010.
    Plain,
    /// Usually port 15012.
    Tls,
}

/// Takes connections in.
#[derive(Clone, Debug)]
pub(crate) struct Porter {
    door: Door,
    serving: Serving,
    trust: TrustStore,
    worker: Worker,
    strangers: Strangers,
    hush: Hush,
    patience: Duration,
}

/// What one port needs for each of its connections.
#[derive(Clone, Debug)]
struct Port {
    porter: Porter,
    kind: Kind,
}

impl Porter {
    pub(crate) fn new(
        door: Door,
        serving: Serving,
        trust: TrustStore,
        hush: Hush,
        worker: Worker,
    ) -> Self {
        let (strangers, patience) = (Strangers::default(), PATIENCE);
        Self { door, serving, trust, worker, strangers, hush, patience }
    }

    /// Tells that a connection was ended.
    fn told(&self, from: Option<SocketAddr>, what: &'static str, why: Option<&dyn error::Error>) {
        let Some(unwritten) = self.hush.line(from, (what, Code::Ok)) else { return };
        let cause = why.and_then(error::Error::source).map(ToString::to_string);
        let why = why.map(ToString::to_string);
        info!(?from, why, cause, unwritten, "{what}");
    }

    /// Serves whoever comes to `listener`, until `worker` finishes.
    pub(crate) fn serve(
        &self,
        listener: std::net::TcpListener,
        kind: Kind,
        worker: &Worker,
    ) -> io::Result<()> {
        let address = listener.local_addr()?;
        if kind == Kind::Plain && !address.ip().is_loopback() {
            let why = format!(
                "{address} is no loopback address: without TLS only this machine is served"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let (reserve, port) = (Reserve::new()?, Port { porter: self.clone(), kind });
        let (owner, porter) = (worker.clone(), self.clone());
        worker.spawn(async move {
            let serve = |io, from| port.clone().serve(io, from);
            let refused =
                |_: &TcpStream, from| porter.told(Some(from), "no descriptor is left: reset", None);
            if let Err(error) = accept_loop(&listener, &owner, &reserve, serve, refused).await {
                tracing::error!(%error, %address, "a port of the control plane is closed");
            }
        });
        Ok(())
    }
}

impl Port {
    async fn serve(self, io: TcpStream, from: SocketAddr) {
        let until = Instant::now() + self.porter.patience;
        let Some(stranger) = self.porter.strangers.enter(from.ip().to_canonical()) else {
            return self.porter.told(Some(from), "too many strangers: turned away", None);
        };
        if let Err(error) = io.set_nodelay(true) {
            debug!(%error, %from, "a connection without nodelay");
        }
        let peer = Peer { addr: Some(from), ..Peer::default() };
        if self.kind == Kind::Plain {
            let peer = Peer { trusted: true, ..peer };
            return self.porter.hold(io, peer, None, (stranger, until)).await;
        }
        let accepted = tokio::select! {
            accepted = time::timeout_at(until, self.porter.serving.accept(io)) => accepted,
            () = self.porter.worker.finishing() => return,
        };
        match accepted {
            Ok(Ok(visited)) => {
                let identity = visited.peer.as_ref().map(|peer| peer.identity().clone());
                let peer = Peer { identity, ..peer };
                self.porter.hold(visited.io, peer, visited.peer, (stranger, until)).await;
            }
            Ok(Err(error)) => {
                self.porter.told(Some(from), "a connection without TLS", Some(&error));
            }
            Err(_elapsed) => self.porter.told(Some(from), "no TLS in time: turned away", None),
        }
    }
}

impl Porter {
    /// Has a connection served, and ends it when nobody admits it in time or it is believed no
    /// more.
    async fn hold(
        &self,
        io: impl Io,
        peer: Peer,
        shown: Option<verify::Peer>,
        (mut stranger, mut until): (Stranger, Instant),
    ) {
        let (from, standing) = (peer.addr, peer.standing.clone());
        let Some(mut grip) = self.door.enter(io, peer).await else { return };
        loop {
            tokio::select! {
                settled = time::timeout_at(until, grip.settled(&standing)) => {
                    if settled.is_err() {
                        self.told(from, "nothing was asked for in time: turned away", None);
                        return grip.cut();
                    }
                }
                () = self.worker.finishing() => return,
            }
            let address = stranger.address();
            drop(stranger);
            tokio::select! {
                () = grip.gone() => return,
                () = self.worker.finishing() => return,
                () = self.disbelieved(shown.as_ref()) => {
                    let identity = shown.as_ref().map(|shown| shown.identity().to_string());
                    info!(?from, identity, "revoked or under no root any more: cut off");
                    return grip.cut();
                }
                () = standing.lapsed() => {}
            }
            // Whoever can prove nothing any more is one of many again.
            until = Instant::now() + self.patience;
            let Some(again) = self.strangers.enter(address) else { return grip.cut() };
            stranger = again;
        }
    }

    /// Resolves when the trust of the moment does not hold for what a client showed any more.
    async fn disbelieved(&self, shown: Option<&verify::Peer>) {
        let Some(shown) = shown else { return std::future::pending().await };
        let mut trust = self.trust.view();
        let mut now = trust.pin();
        while shown.recheck(&now.value).is_ok() {
            match trust.newer_than(now.generation).await {
                Some(newer) => now = newer,
                None => return std::future::pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests;
