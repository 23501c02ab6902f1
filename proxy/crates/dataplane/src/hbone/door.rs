//! Both ends of links for measurements, fuzzers and tests, on sockets and certificates of theirs.
use super::{
    headers::{Baggage, Request},
    pool::{Opened, Pool, Target, Timeouts},
    relay::relay,
    server::{self, Incoming},
};
use crate::copy::{Bounds, Ended, Grade, Side};
use culvert_identity::{certificate::Certificate, trust::Trust};
use culvert_model::{identity::Identity, tunnel::Authority};
use culvert_runtime::{drain::Worker, publish::View};
use http::StatusCode;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpStream, runtime::Handle};

const BOUNDS: Bounds = Bounds { buffer: Grade::Huge, idle: None };

const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(10),
    handshake: Duration::from_secs(10),
    response: Duration::from_secs(15),
};

/// Opens tunnels to one server.
#[derive(Clone, Debug)]
pub struct Client {
    pool: Pool,
    target: Target,
}

impl Client {
    /// To `next`, which must be `expected`, as the workload of `own`; with up to so many links.
    pub fn new(
        next: SocketAddr,
        expected: Identity,
        own: Arc<Certificate>,
        worker: &Worker,
        links: usize,
    ) -> Self {
        let pool = Pool::new(worker, Handle::current(), links, TIMEOUTS);
        Self { pool, target: Target { next, expected: [expected].into(), peer: None, own } }
    }

    /// Carries `tcp` through a tunnel to `to` and to its end; whether both sides finished.
    pub async fn carry(&self, tcp: TcpStream, to: SocketAddr) -> bool {
        let dial = || {
            let tcp = std::net::TcpStream::connect(self.target.next)?;
            tcp.set_nonblocking(true)?;
            Ok(tcp)
        };
        let request = Request::new(Authority::Addr(to));
        let opened = Box::pin(self.pool.open(&self.target, &request, dial)).await;
        let Ok(Opened { mut tunnel, .. }) = opened else { return false };
        let tcp = Arc::new(tcp);
        let ended = relay(&tcp, Side::Source, &mut tunnel, BOUNDS, |_| {}).await;
        matches!(ended, Ended::Finished)
    }
}

/// Serves one link to its end, and carries to whatever address is asked for.
pub async fn serve(tcp: TcpStream, own: &Certificate, trust: View<Trust>, worker: &Worker) {
    let accepted = Box::pin(server::accept(tcp, own, TIMEOUTS.handshake)).await;
    let Ok(accepted) = accepted else { return };
    let deliver = |incoming| worker.spawn(deliver(incoming));
    Box::pin(server::serve(accepted, worker, trust, deliver)).await;
}

/// Connects to the application and carries.
pub(super) async fn deliver(incoming: Incoming) {
    let Incoming { request, mut respond } = incoming;
    let Authority::Addr(to) = request.authority else {
        return respond.refuse(StatusCode::SERVICE_UNAVAILABLE);
    };
    let tcp = tokio::select! {
        tcp = TcpStream::connect(to) => tcp,
        () = respond.abandoned() => return,
    };
    let Ok(tcp) = tcp else { return respond.refuse(StatusCode::SERVICE_UNAVAILABLE) };
    let baggage = Baggage { service: Some("bank".into()), ..Baggage::default() };
    let Ok(mut tunnel) = respond.accept(&baggage) else { return };
    let tcp = Arc::new(tcp);
    let ended = relay(&tcp, Side::Destination, &mut tunnel, BOUNDS, |_| {}).await;
    if !matches!(ended, Ended::Finished) {
        // A failure leaves an orderly end, which is all that can be done then.
        drop(tcp.set_zero_linger());
    }
}
