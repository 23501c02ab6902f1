//! A folder of manifests, a control plane that serves it, and nodes that come.
use crate::until::until;
use culvert_control::{
    compile::{Ambient, Settings},
    control::{Access, Ca, Control, Kind, Listen, Plan, Whence},
    status::mesh::MeshStatus,
};
use culvert_identity::{
    bearer,
    clock::{Clock, SystemClock},
    istio::{self, IstioCa},
    join::{Claims, Key},
    keeper::{self, Parties},
    node,
    store::Identities,
    trust::TrustStore,
    upstream::{Anchors, Server, Way},
};
use culvert_model::{
    identity::Identity,
    member::{Member, Tunnel},
    name::{ObjectName, WorkloadUid},
};
use culvert_proto::culvert::node::v1::Hello;
use culvert_runtime::{drain::Drain, publish::View};
use culvert_xds::{
    client::Mode,
    report::{Order, Pod, PodState},
    resource::Address,
    transport::{
        BoxIo,
        follow::{Apply, Changed, Follower, Holdings, Who},
        reporter::Reporter,
        upstream::{Connect, Upstream},
    },
};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

/// Far beyond what anything takes; only a failing test waits this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// A control plane that can be stopped and started at the same ports.
pub(crate) struct Plane {
    folder: TempDir,
    pub(crate) control: Control,
    drain: Drain,
    pub(crate) tls: SocketAddr,
    pub(crate) plain: SocketAddr,
}

/// A node as the control plane sees it.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) seen: Seen,
    pub(crate) follower: Follower,
    pub(crate) reporter: Reporter,
    pub(crate) orders: mpsc::Receiver<Order>,
    pub(crate) identities: Identities,
    pub(crate) trust: TrustStore,
    pub(crate) drain: Drain,
    token: TempDir,
}

/// What a node was told.
#[derive(Clone)]
pub(crate) struct Seen {
    members: watch::Sender<BTreeMap<String, Arc<Member>>>,
    /// How many resources each response brought.
    pub(crate) log: Arc<Mutex<Vec<usize>>>,
}

impl Apply for Seen {
    fn apply(&mut self, holdings: &Holdings, changed: Changed) {
        self.log.lock().push(match &changed {
            Changed::Addresses(changes, _) => changes.len(),
            Changed::Policies(changes, _) => changes.len(),
        });
        let members = holdings.addresses.held().filter_map(|address| match address {
            Address::Member(member) => Some((member.name.to_string(), Arc::clone(member))),
            Address::Service(_) => None,
        });
        self.members.send_replace(members.collect());
    }
}

impl Seen {
    pub(crate) fn new() -> Self {
        Self { members: watch::Sender::default(), log: Arc::default() }
    }

    /// Waits until the workloads are as `wanted` says.
    pub(crate) async fn until(&self, wanted: impl Fn(&BTreeMap<String, Arc<Member>>) -> bool) {
        let mut members = self.members.subscribe();
        let waited = tokio::time::timeout(PATIENCE, members.wait_for(|now| wanted(now))).await;
        drop(waited.unwrap_or_else(|_| panic!("{:#?}", self.members.borrow())).unwrap());
    }

    /// Waits until this workload is reached so, and this many policies select it.
    pub(crate) async fn shows(&self, name: &str, tunnel: Tunnel, policies: usize) {
        let as_wanted =
            |member: &Arc<Member>| member.tunnel == tunnel && member.policies.len() == policies;
        self.until(|all| all.get(name).is_some_and(as_wanted)).await;
    }
}

pub(crate) const NAMESPACE: &str = "{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {culvert.dev/mesh: enabled}}}\n";

/// Plain text is refused everywhere.
pub(crate) const STRICT: &str = "{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: default, namespace: shop}, spec: {mtls: {mode: STRICT}}}\n";

/// A pod on a node; `with` are more lines of its metadata.
pub(crate) fn pod(name: &str, node: &str, ip: usize, with: &str) -> String {
    let [high, low] = [ip / 250, ip % 250 + 1];
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: shop{with}}}, \
         spec: {{nodeName: {node}, serviceAccountName: {name}}}, status: {{podIP: 10.0.{high}.{low}}}}}\n"
    )
}

pub(crate) fn id(sa: &str) -> Identity {
    Identity::try_new("cluster.local", "shop", sa).unwrap()
}

pub(crate) fn uid(name: &str) -> WorkloadUid {
    WorkloadUid::new(format!("Kubernetes//Pod/shop/{name}"))
}

fn listener(port: u16) -> TcpListener {
    TcpListener::bind(("127.0.0.1", port)).unwrap()
}

impl Plane {
    pub(crate) async fn start(manifests: &[&str]) -> Self {
        Self::start_with(manifests, kept).await
    }

    /// With an authority of one's own.
    pub(crate) async fn start_with(manifests: &[&str], ca: impl FnOnce(&Path) -> Ca) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("manifests")).unwrap();
        let file = folder.path().join("manifests/all.yaml");
        fs::write(file, manifests.join("---\n")).unwrap();
        let (control, drain) = run(folder.path(), ca(folder.path())).await;
        let (tls, plain) = (listener(0), listener(0));
        let (tls_at, plain_at) = (tls.local_addr().unwrap(), plain.local_addr().unwrap());
        control.listen(tls, Kind::Tls, &drain.worker()).unwrap();
        control.listen(plain, Kind::Plain, &drain.worker()).unwrap();
        Self { folder, control, drain, tls: tls_at, plain: plain_at }
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Replaces all manifests.
    pub(crate) fn write(&self, manifests: &[&str]) {
        let (folder, text) = (self.folder.path(), manifests.join("---\n"));
        fs::write(folder.join("new"), text).unwrap();
        fs::rename(folder.join("new"), folder.join("manifests/all.yaml")).unwrap();
    }

    /// Ends it, does something, and begins another life at the same ports.
    pub(crate) async fn restart(self, meanwhile: impl AsyncFnOnce(&Path)) -> Self {
        let Self { folder, control, drain, tls, plain } = self;
        drop(control);
        drain.drain(PATIENCE).await;
        meanwhile(folder.path()).await;
        let (control, drain) = run(folder.path(), kept(folder.path())).await;
        control.listen(listener(tls.port()), Kind::Tls, &drain.worker()).unwrap();
        control.listen(listener(plain.port()), Kind::Plain, &drain.worker()).unwrap();
        Self { folder, control, drain, tls, plain }
    }

    /// Another replica: the same manifests and state, other ports.
    pub(crate) async fn replica(&self) -> (Control, Drain, SocketAddr) {
        let (control, drain) = run(self.folder.path(), kept(self.folder.path())).await;
        let tls = listener(0);
        let at = tls.local_addr().unwrap();
        control.listen(tls, Kind::Tls, &drain.worker()).unwrap();
        (control, drain, at)
    }

    /// A token that this control plane would have made if it had this key.
    pub(crate) fn token_with(&self, key: &Path, claims: &Claims) -> String {
        let authority = now(&self.control.authority());
        Key::kept(key).unwrap().mint(claims, authority.roots()).unwrap()
    }

    /// A node that shows a token for `token` and says that it is `name`.
    pub(crate) fn node_with(&self, name: &str, token: &str) -> Node {
        Node::start(name, token, self.tls)
    }

    pub(crate) fn node(&self, name: &str) -> Node {
        self.node_with(name, &self.control.join_token(name, HOUR).unwrap())
    }

    /// Waits until the mesh is as `wanted` says.
    pub(crate) async fn until(&self, wanted: impl Fn(&MeshStatus) -> bool) -> MeshStatus {
        until(&self.control, PATIENCE, wanted).await
    }
}

fn kept(folder: &Path) -> Ca {
    Ca::Kept(folder.join("state/root.pem"))
}

async fn run(folder: &Path, ca: Ca) -> (Control, Drain) {
    let drain = Drain::default();
    let (node_name, cluster) = ("".into(), "Kubernetes".into());
    let plan = Plan {
        whence: Whence::Files(vec![folder.join("manifests")]),
        settings: Settings {
            node_name,
            cluster,
            trust_domain: "cluster.local".into(),
            ambient: Ambient::Ours,
            l7: true,
        },
        ca,
        cluster: None,
        state_dir: folder.join("state"),
        listen: Listen::default(),
        access: Access::Nodes,
        replica: None,
    };
    let control = Control::start(plan, &drain.worker()).await.unwrap();
    (control, drain)
}

/// The way to a control plane with a token in a file.
pub(crate) fn way(at: SocketAddr, token: &Path) -> Way {
    let control = node::control_plane("cluster.local").unwrap();
    Way::new(&at.to_string(), Server::Identity(control), Anchors::Token(token.to_owned()))
}

pub(crate) fn upstream(way: Way, token: Option<&Path>) -> Upstream {
    let origin = format!("https://{}", way.address());
    let connect: Connect = Arc::new(move || {
        let way = way.clone();
        Box::pin(async move { Ok(Box::new(way.connect().await?) as BoxIo) })
    });
    let upstream = Upstream::try_new(&origin, connect).unwrap();
    match token {
        Some(token) => {
            let token = token.to_owned();
            upstream.with_bearer(Arc::new(move || Ok(Some(bearer::read(&token)?))))
        }
        None => upstream,
    }
}

pub(crate) fn who(name: &str) -> Who {
    Who {
        node: name.to_owned(),
        cluster: "Kubernetes".into(),
        ip: "10.1.0.1".into(),
        name: "culvert".into(),
        namespace: "culvert-system".into(),
        version: "0".into(),
    }
}

impl Node {
    pub(crate) fn start(name: &str, token: &str, at: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        fs::write(&file, token).unwrap();
        let (drain, trust, seen) = (Drain::default(), TrustStore::default(), Seen::new());
        let way = way(at, &file).with_mesh(trust.clone());
        let settings = istio::Settings {
            token: Some(file.clone()),
            cluster: "Kubernetes".into(),
            headers: Vec::new(),
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let issuer = Arc::new(IstioCa::new(way.clone(), settings));
        let parties = Parties { issuer, trust: trust.clone(), clock };
        let identities = keeper::start(parties, keeper::Settings::default(), &drain.worker());
        // A gateway has none.
        let way = match node::identity("cluster.local", name) {
            Ok(own) => way.with_own(identities.clone(), own),
            Err(_) => way,
        };
        let upstream = upstream(way, Some(&file));
        let hello = Hello { node: name.to_owned(), ..Hello::default() };
        let (reporter, orders) = Reporter::start(upstream.clone(), hello, &drain.worker());
        let (who, mode) = (who(name), Mode::Everything);
        let follower = Follower::start(upstream, &who, mode, seen.clone(), &drain.worker());
        let name = name.to_owned();
        Self { name, seen, follower, reporter, orders, identities, trust, drain, token: folder }
    }

    pub(crate) fn replace_token(&self, token: &str) {
        fs::write(self.token.path().join("token"), token).unwrap();
    }

    /// Reports a pod.
    pub(crate) fn says(&self, pod_name: &str, state: PodState) {
        let pod = Pod { name: ObjectName::new("shop", pod_name), state };
        self.reporter.change(|sheet| drop(sheet.pods.insert(uid(pod_name), pod)));
    }

    pub(crate) async fn follows(&mut self) {
        let waiting = self.follower.until(|status| status.ready && status.connected);
        tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap();
    }

    /// Why the stream was refused.
    pub(crate) async fn refusal(&mut self) -> Arc<str> {
        let waiting = self.follower.until(|status| status.error.is_some());
        let status = tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap();
        status.error.unwrap()
    }

    /// Waits for an order that is as `wanted`.
    pub(crate) async fn order(&mut self, wanted: impl Fn(&Order) -> bool) -> Order {
        let waiting = async {
            loop {
                let order = self.orders.recv().await.unwrap();
                if wanted(&order) {
                    return order;
                }
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap()
    }
}

/// Of a view: its value now.
pub(crate) fn now<T: Clone>(view: &View<T>) -> T {
    view.pin().value.clone()
}
