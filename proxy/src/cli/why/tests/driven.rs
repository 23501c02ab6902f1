//! An engine that is handed connections, before endpoints that answer everything.
use culvert_identity::clock::{Clock, SystemClock};
use culvert_l7::{
    engine::{Engine, Handover, Options},
    io::Io,
    log::Sinks,
    manager::managers,
    shared::{Budgets, Node, Parts, Shared},
    stats::Stats,
    upstream::{Deps, Upstreams},
};
use culvert_model::{
    http::{listener::Direction, snapshot::Snapshot},
    party::Party,
    path::Path,
};
use culvert_policy::http::{facts::Connection, why::Request};
use culvert_runtime::{
    doors::{Answer, Bytes, Dial, NoWay, Opened},
    drain::{Drain, Worker},
    publish::{self, Publisher},
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, duplex},
    net::{TcpListener, TcpStream},
};

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// No listener is for its connection.
    NotTaken,
    /// The engine answered.
    Status(u16),
    /// An endpoint did, which saw this.
    Reached { at: SocketAddr, path: String, host: String },
}

/// One that runs.
pub(super) struct Driven {
    engine: Engine,
    drain: Drain,
    _publisher: Publisher<Snapshot>,
}

/// Says to whoever asks what was asked of whom.
#[derive(Debug)]
struct Mirror(Worker);

impl Driven {
    pub(super) async fn start(snapshot: Snapshot) -> Self {
        let (publisher, view) = publish::channel(snapshot);
        let drain = Drain::default();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let stats = Stats::default();
        let deps = Deps::new(drain.worker(), Arc::clone(&clock));
        let deps = deps.with_mesh(Arc::new(Mirror(drain.worker())));
        let shared = Arc::new(Shared::new(Parts {
            snapshot: view,
            upstreams: Arc::new(Upstreams::new(deps)),
            sinks: Sinks::new(&stats),
            stats,
            worker: drain.worker(),
            clock,
            node: Node::default(),
            budgets: Budgets::default(),
        }));
        let options = Options { binds: false, ..Options::default() };
        let made = managers(&shared);
        let engine = Engine::start(shared, options, made).await.unwrap();
        Self { engine, drain, _publisher: publisher }
    }

    pub(super) async fn ask(
        &self,
        facts: Connection,
        direction: Direction,
        request: &Request,
    ) -> Seen {
        let (mut client, server) = duplex(1 << 16);
        let handover = Handover { io: Io::boxed(server), facts, direction };
        if self.engine.hand_over(handover).is_err() {
            return Seen::NotTaken;
        }
        let Request { method, path, authority, headers, .. } = request;
        let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {authority}\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
        }
        text.push_str("connection: close\r\ncontent-length: 0\r\n\r\n");
        client.write_all(text.as_bytes()).await.unwrap();
        let mut said = String::new();
        client.read_to_string(&mut said).await.unwrap();
        let header = |name: &str| {
            let prefix = format!("{name}: ");
            said.lines().find_map(|line| line.strip_prefix(&prefix)).map(str::to_owned)
        };
        match header("x-at") {
            Some(at) => Seen::Reached {
                at: at.parse().unwrap(),
                path: header("x-path").unwrap(),
                host: header("x-host").unwrap(),
            },
            None => {
                let status = said.split(' ').nth(1).unwrap_or_default();
                Seen::Status(status.parse().unwrap_or_default())
            }
        }
    }

    pub(super) async fn end(self) {
        drop(self.engine);
        self.drain.drain(Duration::ZERO).await;
    }
}

impl Dial for Mirror {
    fn dial(&self, _: Option<&Party>, to: SocketAddr) -> Answer<Result<Opened, NoWay>> {
        let worker = self.0.clone();
        Box::pin(async move {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (server, _) = listener.accept().await.unwrap();
            worker.spawn(answer(server, to));
            Ok(Opened { bytes: Bytes::Tcp(client), in_mesh: true, path: Path::Plain })
        })
    }
}

async fn answer(server: TcpStream, at: SocketAddr) {
    let mut server = BufReader::new(server);
    let mut head = String::new();
    loop {
        let read = server.read_line(&mut head).await.unwrap_or(0);
        if read == 0 {
            return;
        }
        if !head.ends_with("\r\n\r\n") {
            continue;
        }
        let path = head.split(' ').nth(1).unwrap_or_default();
        let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
        let said = format!(
            "HTTP/1.1 200 OK\r\nx-at: {at}\r\nx-path: {path}\r\nx-host: {host}\r\ncontent-length: 0\r\n\r\n"
        );
        if server.write_all(said.as_bytes()).await.is_err() {
            return;
        }
        head.clear();
    }
}
