//! The two ends: a resolver, and a pod's server with a client.
use super::*;
use crate::dns::frame;
use culvert_model::{
    addr::PodIps,
    identity::Identity,
    name::{ObjectName, ServiceName, WorkloadUid},
    network::NetworkRange,
    service::{Families, Service, Visibility},
    snapshot::{Mesh, build::Builder},
    workload::{Enrolment, Workload},
};
use culvert_runtime::{
    drain::{Drain, Worker},
    publish,
};

use culvert_telemetry::metrics::{Format, Metrics};
use parking_lot::Mutex;
use std::os::fd::BorrowedFd;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Udp,
    Tcp,
}

type Reply = dyn Fn(&[u8], By) -> Vec<Vec<u8>> + Send + Sync;

/// A resolver that answers as it is told to.
pub(super) struct Upstream {
    pub(super) addr: SocketAddr,
    asked: watch::Sender<Vec<Vec<u8>>>,
    held: watch::Sender<bool>,
    drain: Mutex<Option<Drain>>,
}

impl Upstream {
    pub(super) async fn start(
        reply: impl Fn(&[u8], By) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let (udp, tcp) = pair().await;
        let drain = Drain::default();
        let this = Arc::new(Self {
            addr: udp.local_addr().unwrap(),
            asked: watch::Sender::default(),
            held: watch::Sender::new(false),
            drain: Mutex::new(None),
        });
        let (worker, reply): (_, Arc<Reply>) = (drain.worker(), Arc::new(reply));
        worker.spawn(Arc::clone(&this).by_udp(udp, Arc::clone(&reply), worker.clone()));
        worker.spawn(Arc::clone(&this).by_tcp(tcp, reply, worker.clone()));
        *this.drain.lock() = Some(drain);
        this
    }

    async fn by_udp(self: Arc<Self>, socket: UdpSocket, reply: Arc<Reply>, worker: Worker) {
        let mut buffer = vec![0; 65_535];
        loop {
            let received = tokio::select! {
                () = worker.finishing() => return,
                received = socket.recv_from(&mut buffer) => received,
            };
            let (length, from) = received.unwrap();
            let question = &buffer[..length];
            self.note(question).await;
            for answer in reply(question, By::Udp) {
                socket.send_to(&answer, from).await.unwrap();
            }
        }
    }

    async fn by_tcp(self: Arc<Self>, listener: TcpListener, reply: Arc<Reply>, worker: Worker) {
        loop {
            let accepted = tokio::select! {
                () = worker.finishing() => return,
                accepted = listener.accept() => accepted,
            };
            let mut stream = accepted.unwrap().0;
            if let Ok(question) = frame::read(&mut stream).await {
                self.note(&question).await;
                for answer in reply(&question, By::Tcp) {
                    frame::write(&mut stream, &answer).await.unwrap();
                }
            }
        }
    }

    async fn note(&self, question: &[u8]) {
        self.asked.send_modify(|asked| asked.push(question.to_vec()));
        self.held.subscribe().wait_for(|held| !held).await.unwrap();
    }

    /// Answers nothing until it is released.
    pub(super) fn hold(&self) {
        self.held.send_replace(true);
    }

    pub(super) fn release(&self) {
        self.held.send_replace(false);
    }

    /// Goes away; its port is closed then.
    pub(super) async fn stop(&self) {
        let drain = self.drain.lock().take().unwrap();
        drain.drain(Duration::from_secs(5)).await;
    }

    /// Waits until so many questions came.
    pub(super) async fn wait_for(&self, count: usize) {
        drop(self.asked.subscribe().wait_for(|asked| count <= asked.len()).await.unwrap());
    }

    pub(super) fn asked(&self) -> usize {
        self.asked.borrow().len()
    }

    pub(super) fn questions(&self) -> Vec<Vec<u8>> {
        self.asked.borrow().clone()
    }
}

/// Sockets of this namespace.
#[derive(Debug)]
struct Here;

impl Sockets for Here {
    fn udp(&self, resolver: SocketAddr) -> io::Result<std::net::UdpSocket> {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(resolver)?;
        Ok(socket)
    }

    fn tcp(&self, resolver: SocketAddr) -> io::Result<std::net::TcpStream> {
        std::net::TcpStream::connect(resolver)
    }

    fn is_captured(&self, _accepted: BorrowedFd<'_>) -> bool {
        true
    }
}

/// A pod of the namespace `shop` whose questions are answered, and the mesh has one service.
pub(super) struct Pod {
    server: SocketAddr,
    metrics: Arc<Metrics>,
    pub(super) serving: Option<Serving>,
}

impl Pod {
    pub(super) async fn start(upstream: &Upstream, settings: Settings) -> Self {
        let (udp, tcp) = pair().await;
        let server = udp.local_addr().unwrap();
        let client = client();
        let metrics = Arc::clone(&client.metrics);
        let (udp, tcp) = (udp.into_std().unwrap(), tcp.into_std().unwrap());
        let listener = Listener { resolver: upstream.addr, udp, tcp };
        let (node, lost) = (Node::new(settings).unwrap(), Arc::default());
        let serving = start(&node, client, vec![listener], &Handle::current(), &lost);
        Self { server, metrics, serving: Some(serving) }
    }

    /// The answer to one datagram.
    pub(super) async fn by_udp(&self, question: &[u8]) -> Vec<u8> {
        let socket = self.send(question).await;
        let mut answer = vec![0; 65_535];
        let length = socket.recv(&mut answer).await.unwrap();
        answer.truncate(length);
        answer
    }

    pub(super) async fn send(&self, datagram: &[u8]) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(self.server).await.unwrap();
        socket.send(datagram).await.unwrap();
        socket
    }

    pub(super) async fn by_tcp(&self, question: &[u8]) -> Vec<u8> {
        let mut talk = self.connect().await;
        talk.ask(question).await;
        talk.answer().await
    }

    /// Everything that is answered to `bytes`, up to the end.
    pub(super) async fn say(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.server).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        answer
    }

    pub(super) async fn connect(&self) -> Talk {
        Talk(TcpStream::connect(self.server).await.unwrap())
    }

    pub(super) fn metrics(&self) -> String {
        self.metrics.encode(Format::Prometheus)
    }
}

/// What answers a pod, without sockets.
pub(super) fn responder() -> Responder {
    let node = Node::new(Settings::default()).unwrap();
    Responder::new(&node, client(), Drain::default().worker())
}

fn client() -> Client {
    Client {
        own: Arc::new(workload()),
        snapshot: publish::channel(mesh()).1,
        metrics: Arc::new(Metrics::new("test")),
        sockets: Arc::new(Here),
    }
}

/// A connection to a pod's server.
pub(super) struct Talk(TcpStream);

impl Talk {
    pub(super) async fn ask(&mut self, question: &[u8]) {
        frame::write(&mut self.0, question).await.unwrap();
    }

    pub(super) async fn answer(&mut self) -> Vec<u8> {
        frame::read(&mut self.0).await.unwrap()
    }

    /// Asks no more.
    pub(super) async fn finish(&mut self) {
        self.0.shutdown().await.unwrap();
    }
}

/// Sockets of one port.
async fn pair() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        // Somebody else may have it for TCP.
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

fn workload() -> Workload {
    let name = ObjectName::new("shop", "client");
    Workload {
        uid: WorkloadUid::pod("c", &name),
        name,
        identity: Identity::try_new("td", "shop", "client").unwrap(),
        ips: PodIps::try_from_ips([IpAddr::from([10, 0, 0, 1])]).unwrap(),
        node: "a".into(),
        cluster: "c".into(),
        owner: "client".into(),
        canonical_name: "client".into(),
        canonical_revision: "v1".into(),
        app: "client".into(),
        version: "v1".into(),
        enrolment: Enrolment::Enrolled,
    }
}

fn mesh() -> culvert_model::snapshot::Snapshot {
    let vip = IpAddr::from([10, 96, 0, 1]).into();
    let mut builder = Builder::new(Mesh::default());
    builder.set_service(Arc::new(Service {
        host: ServiceName::new("shop", WEB),
        name: "web".into(),
        vips: [NetworkRange::new("", vip)].into(),
        ports: Box::default(),
        accepted: Box::default(),
        waypoint: None,
        weighted_waypoints: Box::default(),
        balance: culvert_model::locality::Balance::default(),
        families: Families::Automatic,
        canonical: false,
        ingress_use_waypoint: false,
        visibility: Visibility::Public,
        l7: culvert_model::l7::L7Ports::default(),
    }));
    builder.build()
}
