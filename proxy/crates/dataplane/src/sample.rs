//! Pods and connections for tests.
mod mesh;

pub(crate) use mesh::{Mesh, TestPod, deny, member, service};

use crate::{
    conn::{Abrupt, Admitted, Captured},
    copy,
    dataplane::Shared,
    direct::Direct,
    limits::{Bounds, Limits},
    loads::Loads,
    pods::{doors::Doors, pod::Pod},
};
use culvert_identity::{
    ca::{Authority, issuer::AuthorityIssuer},
    clock::{Clock, SystemClock},
    keeper::{self, Parties, Settings},
    store::Identities,
    trust::TrustStore,
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
use culvert_runtime::{
    accept::Reserve,
    drain::Drain,
    publish::{self, Publisher},
};
use culvert_telemetry::{
    Telemetry,
    access::{AccessFormat, AccessLog},
    metrics::{Format, Metrics},
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
    pod_at(name, IpAddr::from([10, 0, 0, last]))
}

/// The same anywhere.
pub(crate) fn pod_at(name: &str, ip: IpAddr) -> Arc<LocalPod> {
    let object = ObjectName::new("shop", name);
    let workload = Workload {
        uid: WorkloadUid::pod("Kubernetes", &object),
        name: object,
        identity: Identity::try_new("cluster.local", "shop", name).unwrap(),
        ips: PodIps::try_from_ips([ip]).unwrap(),
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
    pub(crate) snapshot: Publisher<Snapshot>,
    pub(crate) trust: TrustStore,
    lines: Lines,
    _authority: Publisher<Arc<Authority>>,
    _drain: Drain,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Node {
    /// Each of its pods may have `per_pod` connections.
    pub(crate) fn new(per_pod: u32) -> Self {
        Self::with(per_pod, |_| {})
    }

    pub(crate) fn with(per_pod: u32, change: impl FnOnce(&mut Shared)) -> Self {
        let (metrics, lines) = (Arc::new(Metrics::new("test")), Lines::default());
        let sink = Box::new(lines.clone());
        let access = AccessLog::start(AccessFormat::Text, sink, &metrics).unwrap();
        let (snapshot, view) = publish::channel(Snapshot::default());
        let drain = Drain::default();
        let trust = TrustStore::default();
        let (authority, identities) = identities(&drain, &trust);
        let mut shared = Shared {
            snapshot: view,
            telemetry: Telemetry::new(metrics, access),
            limits: Arc::new(Limits::new(Bounds::new(per_pod, 10_000, 0, 100))),
            reserve: Reserve::new().unwrap(),
            copy: copy::Bounds { buffer: copy::Grade::Medium, idle: None },
            connect_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            hold: Duration::from_secs(5),
            encrypt_local: false,
            drain_deadline: None,
            dns: None,
            identities,
            doors: Doors::default(),
            loads: Loads::default(),
            direct: Direct::new(None),
            l7: None,
            data: Handle::current(),
            changed: watch::Sender::default(),
        };
        change(&mut shared);
        Self {
            shared: Arc::new(shared),
            snapshot,
            trust,
            lines,
            _authority: authority,
            _drain: drain,
        }
    }

    pub(crate) fn pod(&self, name: &str) -> Arc<Pod> {
        Arc::new(Pod::new(&self.shared, &pod(name, 1)))
    }

    /// Everything it counts.
    pub(crate) fn metrics(&self) -> String {
        self.shared.telemetry.metrics.encode(Format::Prometheus)
    }

    /// Every access line.
    pub(crate) fn lines(self) -> Vec<String> {
        self.shared.telemetry.access.close(Duration::from_secs(5)).unwrap();
        let lines = String::from_utf8(self.lines.0.lock().clone()).unwrap();
        lines.lines().map(str::to_owned).collect()
    }

    /// How each connection ended: the `close` field of every access line.
    pub(crate) fn ends(self) -> Vec<String> {
        self.lines().iter().map(|line| field(line, "close").unwrap().to_owned()).collect()
    }
}

/// A field of an access line, without its quotes.
pub(crate) fn field<'l>(line: &'l str, key: &str) -> Option<&'l str> {
    let (_, rest) = line.split_once(&format!("{key}="))?;
    match rest.strip_prefix('"') {
        Some(text) => text.split('"').next(),
        None => rest.split(' ').next(),
    }
}

fn identities(drain: &Drain, trust: &TrustStore) -> (Publisher<Arc<Authority>>, Identities) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let authority = Arc::new(Authority::new_root("cluster.local", clock.now()).unwrap());
    let (publisher, view) = publish::channel(authority);
    let issuer = Arc::new(AuthorityIssuer::new(view, Arc::clone(&clock)));
    let parties = Parties { issuer, trust: trust.clone(), clock };
    (publisher, keeper::start(parties, Settings::default(), &drain.worker()))
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
    let (admitted, client, _) = admitted_to(pod, SocketAddr::from(([10, 0, 0, 9], 80))).await;
    (admitted, client)
}

/// The same to somewhere.
pub(crate) async fn admitted_to(
    pod: &Arc<Pod>,
    destination: SocketAddr,
) -> (Option<Admitted>, TcpStream, SocketAddr) {
    let (client, io) = connected().await;
    let source = client.local_addr().unwrap();
    let captured = Captured { io: Abrupt::new(io), source, destination };
    let identified = captured.identify(Direction::Outbound, pod, &Snapshot::default());
    (identified.admit(pod).ok(), client, source)
}
