//! Pods and connections for tests.
use crate::{
    conn::{Abrupt, Admitted, Captured},
    copy,
    dataplane::Shared,
    limits::{Bounds, Limits},
    pods::pod::Pod,
};
use culvert_model::{
    addr::PodIps,
    facts::Direction,
    identity::Identity,
    name::{ObjectName, WorkloadUid},
    pod::{Fail, LocalPod},
    snapshot::Snapshot,
    workload::{Enrolment, Workload},
};
use culvert_runtime::{accept::Reserve, publish};
use culvert_telemetry::{
    Telemetry,
    access::{AccessFormat, AccessLog},
    metrics::Metrics,
};
use parking_lot::Mutex;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::watch,
};

/// A pod of the namespace `shop` at 10.0.0.`last`.
pub(crate) fn pod(name: &str, last: u8) -> Arc<LocalPod> {
    let object = ObjectName::new("shop", name);
    let workload = Workload {
        uid: WorkloadUid::pod("Kubernetes", &object),
        name: object,
        identity: Identity::try_new("cluster.local", "shop", name).unwrap(),
        ips: PodIps::try_from_ips([IpAddr::from([10, 0, 0, last])]).unwrap(),
        node: "a".into(),
        cluster: "Kubernetes".into(),
        owner: name.into(),
        canonical_name: name.into(),
        canonical_revision: "v1".into(),
        app: name.into(),
        version: "v1".into(),
        enrolment: Enrolment::Enrolled,
    };
    Arc::new(LocalPod {
        workload: Arc::new(workload),
        netns: format!("/run/netns/{name}").into(),
        fail: Fail::Closed,
        container_ports: Vec::new(),
        resolvers: Vec::new(),
    })
}

/// A node without kernel, and what it logs of connections.
pub(crate) struct Node {
    pub(crate) shared: Arc<Shared>,
    lines: Lines,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Node {
    /// Each of its pods may have `per_pod` connections.
    pub(crate) fn new(per_pod: u32) -> Self {
        let (metrics, lines) = (Arc::new(Metrics::new("test")), Lines::default());
        let sink = Box::new(lines.clone());
        let access = AccessLog::start(AccessFormat::Text, sink, &metrics).unwrap();
        let shared = Shared {
            snapshot: publish::channel(Snapshot::default()).1,
            telemetry: Telemetry::new(metrics, access),
            limits: Arc::new(Limits::new(Bounds::new(per_pod, 10_000, 0, 100))),
            reserve: Reserve::new().unwrap(),
            copy: copy::Bounds { buffer: copy::Grade::Medium, idle: None },
            connect_timeout: Duration::from_secs(10),
            drain_deadline: None,
            data: Handle::current(),
            changed: watch::Sender::default(),
        };
        Self { shared: Arc::new(shared), lines }
    }

    pub(crate) fn pod(&self, name: &str) -> Arc<Pod> {
        Arc::new(Pod::new(&self.shared, &pod(name, 1)))
    }

    /// How each connection ended: the `close` field of every access line.
    pub(crate) fn ends(self) -> Vec<String> {
        self.shared.telemetry.access.close(Duration::from_secs(5)).unwrap();
        let lines = String::from_utf8(self.lines.0.lock().clone()).unwrap();
        let close = |line: &str| {
            line.split("close=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
        };
        lines.lines().map(close).collect()
    }
}

impl io::Write for Lines {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Two ends of one connection.
pub(crate) async fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (ours, accepted) =
        tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (ours.unwrap(), accepted.unwrap().0)
}

/// A connection that `pod` makes, when it has room for it; and the application's end.
pub(crate) async fn admitted(pod: &Arc<Pod>) -> (Option<Admitted>, TcpStream) {
    let (client, io) = connected().await;
    let source = client.local_addr().unwrap();
    let destination = SocketAddr::from(([10, 0, 0, 9], 80));
    let captured = Captured { io: Abrupt::new(io), source, destination };
    let identified = captured.identify(Direction::Outbound, pod, &Snapshot::default());
    (identified.admit(pod).ok(), client)
}
