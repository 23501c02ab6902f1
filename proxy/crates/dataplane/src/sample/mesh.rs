//! A mesh of pods on the loopback device: every way of a connection without a kernel.
use super::{Node, pod_at};
use crate::{
    conn::{Abrupt, Captured},
    dataplane::Shared,
    hbone::pool::{Pool, Timeouts},
    inbound, outbound,
    pods::{
        door::{Door, Entrance},
        peers::Peers,
        pod::Pod,
        sockets::{Sockets, here},
    },
    recheck::{Judged, stray},
};
use culvert_model::{
    authz::{
        Action, Authorization, Clause, Match, Rule, Scope,
        set::{Condition, StringMatch, Strings},
    },
    facts::Direction,
    identity::Identity,
    locality::Balance,
    member::{Health, Member, NetworkMode, OwnerKind, Tunnel},
    name::{ObjectName, ServiceName, WorkloadUid},
    network::NetworkRange,
    path::Path,
    service::{AppProtocol, Families, Port, Service, Visibility},
    snapshot::{Mesh as Settings, build::Builder},
};
use culvert_runtime::drain::{Drain, Worker};
use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU16,
    process,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    runtime::Handle,
};

/// Where the applications listen.
pub(crate) const PORT: u16 = 8080;

/// Pods of one node, and what the control plane says of them.
pub(crate) struct Mesh {
    pub(crate) node: Node,
    pub(crate) builder: Builder,
    pub(crate) pods: Vec<Arc<Pod>>,
    judged: Judged,
    drain: Drain,
}

/// An enrolled pod with an application.
pub(crate) struct TestPod {
    pub(crate) door: Arc<Door>,
    pub(crate) ip: IpAddr,
    pub(crate) app: TcpListener,
    worker: Worker,
}

impl Mesh {
    pub(crate) fn new(change: impl FnOnce(&mut Shared)) -> Self {
        let builder = Builder::new(Settings::default());
        let (node, drain) = (Node::with(100, change), Drain::default());
        Self { node, builder, pods: Vec::new(), judged: Judged::default(), drain }
    }

    /// A pod that nobody has announced.
    pub(crate) async fn stranger(&mut self, name: &str) -> TestPod {
        let ip = next_ip();
        let pod = Arc::new(Pod::new(&self.node.shared, &pod_at(name, ip)));
        let worker = self.drain.worker();
        let timeouts = Timeouts {
            connect: Duration::from_secs(5),
            handshake: Duration::from_secs(5),
            response: Duration::from_secs(10),
        };
        let pool = Pool::new(&worker, Handle::current(), 1, timeouts)
            .counted(&pod.shared.telemetry.metrics);
        let (sockets, lost) = (Sockets::Here(ip), Arc::default());
        let door = Arc::new(Door {
            pod: Arc::clone(&pod),
            id: 0,
            sockets,
            pool,
            peers: Peers::default(),
            lookup: None,
            lost,
        });
        self.node.shared.doors.put(&door);
        let tunnels = std::net::TcpListener::bind(here::real((ip, 15008).into())).unwrap();
        tunnels.set_nonblocking(true).unwrap();
        worker.spawn(Arc::clone(&door).open(tunnels, Entrance::Tunnels, worker.clone()));
        let app = TcpListener::bind(here::real((ip, PORT).into())).await.unwrap();
        self.pods.push(pod);
        TestPod { door, ip, app, worker }
    }

    /// A pod that is announced with the next snapshot.
    pub(crate) async fn pod(&mut self, name: &str) -> TestPod {
        let pod = self.stranger(name).await;
        self.builder.set_member(Arc::new(member(name, pod.ip)));
        pod
    }

    /// Publishes what the builder was told, and re-checks, as the node does.
    pub(crate) fn publish(&mut self) {
        let snapshot = self.builder.build();
        self.node.snapshot.publish(snapshot.clone());
        self.judged.recheck(&self.pods, &snapshot);
        self.pods.iter().for_each(|pod| stray(pod, &snapshot));
    }
}

impl TestPod {
    pub(crate) fn addr(&self) -> SocketAddr {
        (self.ip, PORT).into()
    }

    /// A connection that the pod's application makes: its end.
    pub(crate) async fn connect(&self, destination: SocketAddr) -> TcpStream {
        let (client, io) = super::connected().await;
        let source = SocketAddr::new(self.ip, client.local_addr().unwrap().port());
        let captured = Captured { io: Abrupt::new(io), source, destination };
        let pinned = self.door.pod.shared.snapshot.pin();
        let identified = captured.identify(Direction::Outbound, &self.door.pod, &pinned.value);
        if let Ok(admitted) = identified.admit(&self.door.pod) {
            self.worker.spawn(outbound::carry(Arc::clone(&self.door), admitted));
        }
        client
    }

    /// A connection to the pod in plain text from `ip`: the client's end.
    pub(crate) async fn plain_from(&self, ip: IpAddr) -> TcpStream {
        let (client, io) = super::connected().await;
        let source = SocketAddr::new(ip, client.local_addr().unwrap().port());
        let captured = Captured { io: Abrupt::new(io), source, destination: self.addr() };
        let pinned = self.door.pod.shared.snapshot.pin();
        let identified = captured.identify(Direction::Inbound, &self.door.pod, &pinned.value);
        if let Ok(admitted) = identified.admit(&self.door.pod) {
            self.worker.spawn(inbound::carry(Arc::clone(&self.door), admitted));
        }
        client
    }

    /// Opens a socket to somewhere with the pod's address, past everything.
    pub(crate) async fn raw(&self, destination: SocketAddr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(here::real((self.ip, 0).into())).unwrap();
        socket.connect(here::real(destination)).await.unwrap()
    }

    /// The ways of the pod's connections now.
    pub(crate) fn paths(&self) -> Vec<Path> {
        let path = |conn: &Arc<crate::connections::Conn>| conn.live.see(|facts| facts.path);
        self.door.pod.connections.all().iter().map(path).collect()
    }
}

/// The next address of this process that no test has.
fn next_ip() -> IpAddr {
    static LAST: AtomicU8 = AtomicU8::new(0);
    let [_, _, high, low] = process::id().to_be_bytes();
    IpAddr::from([10, high | 1, low, 1 + LAST.fetch_add(1, Ordering::Relaxed)])
}

/// A member of the mesh in the namespace `shop`, reached by HBONE.
pub(crate) fn member(name: &str, ip: IpAddr) -> Member {
    let object = ObjectName::new("shop", name);
    Member {
        uid: WorkloadUid::pod("Kubernetes", &object),
        name: object,
        identity: Identity::try_new("cluster.local", "shop", name).unwrap(),
        addresses: [ip].into(),
        hostname: "".into(),
        network: "".into(),
        network_mode: NetworkMode::Own,
        tunnel: Tunnel::Hbone,
        native_tunnel: false,
        waypoint: None,
        network_gateway: None,
        app_tunnel: None,
        node: "a".into(),
        cluster: "Kubernetes".into(),
        locality: Arc::default(),
        canonical_name: name.into(),
        canonical_revision: "v1".into(),
        owner: name.into(),
        owner_kind: OwnerKind::default(),
        services: std::iter::empty::<(ServiceName, Vec<Port>)>().collect(),
        l7: culvert_model::l7::L7Ports::default(),
        policies: Arc::default(),
        health: Health::Healthy,
        capacity: 1,
    }
}

/// Denies what comes from the service account `from` of the namespace `shop`; `*`: from anybody
/// who is proven; "": from anybody.
pub(crate) fn deny(name: &str, from: &str) -> Arc<Authorization> {
    let one = |is: StringMatch| Match {
        principals: Condition { is: [is].into_iter().collect(), is_not: Strings::default() },
        ..Match::default()
    };
    let matches: Box<[Match]> = match from {
        "" => Box::default(),
        "*" => [one(StringMatch::Presence)].into(),
        account => {
            let principal = format!("cluster.local/ns/shop/sa/{account}");
            [one(StringMatch::Exact(principal.into()))].into()
        }
    };
    let rule = Rule { clauses: [Clause { matches }].into() };
    Arc::new(Authorization {
        name: ObjectName::new("shop", name),
        scope: Scope::Selector,
        action: Action::Deny,
        dry_run: false,
        rules: [rule].into(),
        origin: Some("policies.yaml:7".into()),
    })
}

/// A service with the port 80, which leads to the applications'.
pub(crate) fn service(name: &str, vip: IpAddr) -> Service {
    let port = |number| NonZeroU16::new(number);
    Service {
        host: ServiceName::new("shop", format!("{name}.shop.svc.cluster.local")),
        name: name.into(),
        vips: [NetworkRange::new("", vip.into())].into(),
        ports: [Port { port: port(80).unwrap(), target: port(PORT), protocol: AppProtocol::Tcp }]
            .into(),
        accepted: Box::default(),
        waypoint: None,
        weighted_waypoints: Box::default(),
        balance: Balance::default(),
        families: Families::default(),
        canonical: false,
        ingress_use_waypoint: false,
        visibility: Visibility::default(),
        l7: culvert_model::l7::L7Ports::default(),
    }
}
