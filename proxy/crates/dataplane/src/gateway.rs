//! The way out of a gateway: from the machine that it is on, in its own name.
//!
//! Where a connection leads is decided as for a pod. It has no listeners here and no kernel's part:
//! who comes to it comes to an engine's own sockets.
use crate::{
    connect::reached,
    dice::dice,
    errors::{HoldError, OpenError, OutboundError},
    hbone::pool::{Pool, Timeouts},
    l7::dial::Tunnels,
    loads::Loads,
    pods::peers::Peers,
};
use culvert_identity::{certificate::Certificate, store::Identities};
use culvert_kernel::Node;
use culvert_model::{
    authz::join::Authz,
    member::Member,
    party::Party,
    path::Path,
    snapshot::{Known, Snapshot},
};
use culvert_policy::{
    Asking, NoRoute,
    route::{self, To},
};
use culvert_runtime::{
    doors::{Answer, Bytes, Dial, NoWay, Opened},
    drain::Worker,
    publish::{Generation, Published, View},
};
use culvert_telemetry::{chain::Chain, metrics::Metrics};
use socket2::{Domain, Socket, Type};
use std::{fmt, future::pending, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{runtime::Handle, time};

/// How long a connection waits for what it cannot do without: who is in the mesh, and the gateway's
/// certificate.
const HOLD: Duration = Duration::from_secs(5);

/// Opens connections for a gateway; cheap to clone.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

struct Inner {
    /// The gateway itself, whom the mesh need not know.
    own: Known,
    snapshot: View<Snapshot>,
    identities: Identities,
    pool: Pool,
    peers: Peers,
    loads: Loads,
    kernel: Option<Arc<Node>>,
    connect_timeout: Duration,
}

/// What it is wired to.
#[derive(Debug)]
pub struct GatewayWires {
    /// Who it is.
    pub member: Member,
    /// Every workload; nothing is opened before the first.
    pub snapshot: View<Snapshot>,
    /// Where its certificate is; somebody else holds it.
    pub identities: Identities,
    pub metrics: Arc<Metrics>,
    /// Of the node that this process is too: its programs would take the gateway for somebody who
    /// probes the pods there.
    pub kernel: Option<Arc<Node>>,
    /// The runtime of the connections.
    pub data: Handle,
    pub connect_timeout: Duration,
    pub handshake_timeout: Duration,
}

impl Gateway {
    /// Is ready to open connections until the drain, and ends the tunnels that may no longer be.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start(wires: GatewayWires, worker: &Worker) -> Self {
        let GatewayWires {
            member,
            snapshot,
            identities,
            metrics,
            kernel,
            data,
            connect_timeout,
            handshake_timeout,
        } = wires;
        let timeouts = Timeouts {
            connect: connect_timeout,
            handshake: handshake_timeout,
            // The far end has as long to reach its application, and may have to wait before.
            response: 2 * connect_timeout,
        };
        let workers = data.metrics().num_workers();
        let gateway = Self(Arc::new(Inner {
            own: Known::new(Arc::new(member), Arc::new(Authz::default())),
            snapshot,
            identities,
            pool: Pool::new(worker, data, workers, timeouts).counted(&metrics),
            peers: Peers::default(),
            loads: Loads::default(),
            kernel,
            connect_timeout,
        }));
        worker.spawn_until_finish(gateway.clone().recheck());
        gateway
    }

    /// Ends the tunnels to workloads that are gone, and to whoever is not believed any more.
    async fn recheck(self) {
        let Inner { pool, peers, .. } = &*self.0;
        let (mut snapshots, mut trusts) = (self.0.snapshot.clone(), self.0.identities.trust());
        let (mut snapshot, mut trust) = (snapshots.pin(), trusts.pin());
        loop {
            tokio::select! {
                newer = newer(&mut snapshots, snapshot.generation) => {
                    snapshot = newer;
                    peers.gone(&snapshot.value).iter().for_each(|peer| pool.forget(peer));
                }
                newer = newer(&mut trusts, trust.generation) => {
                    trust = newer;
                    pool.recheck(&trust.value);
                }
            }
        }
    }

    async fn open(&self, to: SocketAddr) -> Result<Opened, OutboundError> {
        let Inner { own, pool, peers, loads, connect_timeout, .. } = &*self.0;
        let way = {
            let seen = self.known().await?;
            let asking =
                Asking { source: own, destination: to, failed: &[], load: loads, dice: &mut dice };
            match route::route(&seen.value, asking) {
                Ok(route) => route.to,
                // Who told the engine of it knows it.
                Err(NoRoute::Unknown(to)) => To::Plain(to),
                Err(error) => return Err(error.into()),
            }
        };
        match way {
            To::Plain(to) => {
                let failed = |error| OpenError::new(to, error, *connect_timeout);
                let connecting = self.begin(to).map_err(failed)?;
                let tcp = reached(connecting, to, *connect_timeout).await?;
                Ok(Opened { bytes: Bytes::Tcp(tcp), in_mesh: false, path: Path::Plain })
            }
            To::Host(..) => Err(NoRoute::Unknown(to).into()),
            To::Hbone(hop) => {
                let certificate = self.certificate().await?;
                let begin = |to| self.begin(to);
                Tunnels { pool, peers }.open(&own.member, certificate, hop, begin).await
            }
        }
    }

    /// Begins to connect from wherever the machine's routes say.
    fn begin(&self, to: SocketAddr) -> io::Result<std::net::TcpStream> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM.nonblocking(), None)?;
        self.0.kernel.iter().try_for_each(|kernel| kernel.own(&socket))?;
        match socket.connect(&to.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
            Ok(()) | Err(_) => Ok(socket.into()),
        }
    }

    /// Who is in the mesh: before that is known, a member would be taken for a stranger.
    async fn known(&self) -> Result<Arc<Published<Snapshot>>, HoldError> {
        let now = self.0.snapshot.pin();
        if now.generation != Generation::FIRST {
            return Ok(now);
        }
        let mut snapshots = self.0.snapshot.clone();
        let first = newer(&mut snapshots, now.generation);
        time::timeout(HOLD, first).await.map_err(|_late| HoldError::Unknown(HOLD))
    }

    async fn certificate(&self) -> Result<Arc<Certificate>, HoldError> {
        let Inner { identities, own, .. } = &*self.0;
        let identity = &own.member.identity;
        if let Some(certificate) = identities.certificate_now(identity) {
            return Ok(certificate);
        }
        match time::timeout(HOLD, identities.certificate(identity)).await {
            Ok(certificate) => Ok(certificate?),
            Err(_late) => {
                Err(HoldError::CertificateLate { identity: identity.clone(), waited: HOLD })
            }
        }
    }
}

impl Dial for Gateway {
    fn dial(&self, _: Option<&Party>, to: SocketAddr) -> Answer<Result<Opened, NoWay>> {
        let own = self.clone();
        Box::pin(
            async move { own.open(to).await.map_err(|error| NoWay(Chain(&error).to_string())) },
        )
    }
}

/// Waits for the next; for ever, when there will be none.
async fn newer<T>(view: &mut View<T>, than: Generation) -> Arc<Published<T>> {
    match view.newer_than(than).await {
        Some(newer) => newer,
        None => pending().await,
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gateway").field(&self.0.own.member.name).finish()
    }
}
