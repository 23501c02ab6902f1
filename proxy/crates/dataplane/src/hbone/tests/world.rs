//! Two pods: a server that delivers to whatever address it is asked for, and a pool of clients.
use crate::{
    copy::{Bounds, Ended, Grade, Side},
    hbone::{
        door,
        headers::Request,
        pool::{OpenTunnelError, Opened, Pool, Target, Timeouts},
        relay::relay,
        server::{self, Incoming},
    },
};
use culvert_identity::{
    ca::{Authority, issuer::AuthorityIssuer},
    certificate::Certificate,
    clock::{Clock, SystemClock},
    keeper::{self, Parties, Settings},
    store::Identities,
    tls,
    trust::{Trust, TrustStore},
};
use culvert_model::{identity::Identity, name::WorkloadUid, tunnel::Authority as To};
use culvert_runtime::{
    drain::{Drain, Worker},
    publish::{self, Publisher, View},
};
use h2::client::SendRequest;
use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Handle,
};

pub(super) const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(10),
    handshake: Duration::from_secs(10),
    response: Duration::from_secs(15),
};

const BOUNDS: Bounds = Bounds { buffer: Grade::Huge, idle: None };

/// Who can prove to be whom.
pub(super) struct Mesh {
    _authority: Publisher<Arc<Authority>>,
    pub(super) identities: Identities,
    pub(super) trust: TrustStore,
    pub(super) drain: Drain,
}

/// A pod that tunnels come to.
pub(super) struct Server {
    pub(super) addr: SocketAddr,
    /// How many links came.
    pub(super) links: Arc<AtomicUsize>,
    pub(super) drain: Drain,
}

/// A pod that opens tunnels.
pub(super) struct Client {
    pub(super) pool: Pool,
    pub(super) target: Target,
    pub(super) worker: Worker,
    /// How many sockets it dialled.
    pub(super) dialled: Arc<AtomicUsize>,
}

pub(super) fn id(name: &str) -> Identity {
    Identity::try_new("td", "shop", name).unwrap()
}

impl Mesh {
    pub(super) fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let authority = Arc::new(Authority::new_root("td", clock.now()).unwrap());
        let (publisher, view) = publish::channel(authority);
        let (drain, trust) = (Drain::default(), TrustStore::default());
        let issuer = Arc::new(AuthorityIssuer::new(view, Arc::clone(&clock)));
        let parties = Parties { issuer, trust: trust.clone(), clock };
        let identities = keeper::start(parties, Settings::default(), &drain.worker());
        Self { _authority: publisher, identities, trust, drain }
    }

    pub(super) async fn certificate(&self, name: &str) -> Arc<Certificate> {
        self.identities.certificate(&id(name)).await.unwrap()
    }

    /// A server that connects to the address it is asked for and carries.
    pub(super) async fn server(&self) -> Server {
        self.server_with(|worker, incoming| worker.spawn(door::deliver(incoming))).await
    }

    pub(super) async fn server_with(
        &self,
        on_request: impl Fn(&Worker, Incoming) + Clone + Send + Sync + 'static,
    ) -> Server {
        let own = self.certificate("bank").await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (links, drain) = (Arc::new(AtomicUsize::new(0)), Drain::default());
        let (count, worker, trust) = (Arc::clone(&links), drain.worker(), self.trust.view());
        let serving = worker.clone();
        worker.spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = serving.finishing() => return,
                    accepted = listener.accept() => accepted.unwrap().0,
                };
                count.fetch_add(1, Ordering::SeqCst);
                let (own, trust, worker) = (Arc::clone(&own), trust.clone(), serving.clone());
                serving.spawn(serve(accepted, own, trust, worker, on_request.clone()));
            }
        });
        Server { addr, links, drain }
    }

    /// A pool of the pod "cart" with tunnels to `server`.
    pub(super) async fn client(&self, server: &Server, workers: usize) -> Client {
        let own = self.certificate("cart").await;
        let (worker, peer) = (self.drain.worker(), Some(uid("bank")));
        let pool = Pool::new(&worker, Handle::current(), workers, TIMEOUTS);
        let target = Target { next: server.addr, expected: [id("bank")].into(), peer, own };
        Client { pool, target, worker, dialled: Arc::default() }
    }

    /// A client of HTTP/2 as the library has it, for what ours never does.
    pub(super) async fn raw(&self, server: &Server) -> SendRequest<bytes::Bytes> {
        let own = self.certificate("cart").await;
        let tcp = TcpStream::connect(server.addr).await.unwrap();
        let secured = tls::connect(&own, [id("bank")].into(), tcp).await.unwrap();
        let (requests, connection) = h2::client::handshake(secured.io).await.unwrap();
        self.drain.worker().spawn(async move { drop(connection.await) });
        requests
    }
}

/// For a server that answers nobody.
pub(super) fn never_answer(worker: &Worker, incoming: Incoming) {
    worker.spawn(async move {
        let mut respond = incoming.respond;
        respond.abandoned().await;
    });
}

async fn serve(
    tcp: TcpStream,
    own: Arc<Certificate>,
    trust: View<Trust>,
    worker: Worker,
    on_request: impl Fn(&Worker, Incoming) + Send + Sync,
) {
    let Ok(accepted) = server::accept(tcp, &own, TIMEOUTS.handshake).await else { return };
    let on_request = |incoming| on_request(&worker, incoming);
    server::serve(accepted, &worker, trust, on_request).await;
}

pub(super) fn uid(name: &str) -> WorkloadUid {
    WorkloadUid::pod("Kubernetes", &culvert_model::name::ObjectName::new("shop", name))
}

impl Client {
    /// Opens a tunnel to `app`.
    pub(super) async fn open(&self, app: SocketAddr) -> Result<Opened, OpenTunnelError> {
        let request = Request::new(To::Addr(app));
        self.pool.open(&self.target, &request, || self.dial()).await
    }

    fn dial(&self) -> io::Result<std::net::TcpStream> {
        self.dialled.fetch_add(1, Ordering::SeqCst);
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM.nonblocking(), None)?;
        match socket.connect(&self.target.next.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
            Ok(()) | Err(_) => Ok(socket.into()),
        }
    }

    /// An application's connection to `app`, through a tunnel.
    pub(super) async fn connect(&self, app: SocketAddr) -> TcpStream {
        let (ours, source) = connected().await;
        let mut tunnel = self.open(app).await.unwrap().tunnel;
        let source = Arc::new(source);
        self.worker.spawn(async move {
            let ended = relay(&source, Side::Source, &mut tunnel, BOUNDS, |_| {}).await;
            close(&source, &ended);
        });
        ours
    }
}

/// An application that listens.
pub(super) async fn app() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// Two ends of one connection.
pub(super) async fn connected() -> (TcpStream, TcpStream) {
    let (listener, addr) = app().await;
    let (ours, accepted) = tokio::join!(TcpStream::connect(addr), listener.accept());
    (ours.unwrap(), accepted.unwrap().0)
}

/// An application's connection to another one, through a tunnel; both ends.
pub(super) async fn through(client: &Client) -> (TcpStream, TcpStream) {
    let (listener, addr) = app().await;
    let (ours, accepted) = tokio::join!(client.connect(addr), listener.accept());
    (ours, accepted.unwrap().0)
}

/// In an orderly way only if both ends finished.
fn close(tcp: &TcpStream, ended: &Ended) {
    if !matches!(ended, Ended::Finished) {
        tcp.set_zero_linger().unwrap();
    }
}
