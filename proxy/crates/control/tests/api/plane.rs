//! A control plane, and what it tells nodes.
use culvert_control::{
    compile::{Ambient, Settings},
    control::{Access, Ca, Control, Kind, Listen, Plan, StartError, Whence},
    status::Status,
};
use culvert_kubernetes::client::{Client, Reach};
use culvert_model::{authz::Authorization, member::Member};
use culvert_runtime::drain::Drain;
use culvert_xds::{
    client::Mode,
    resource::Address,
    transport::{
        BoxIo,
        follow::{Apply, Changed, Follower, Holdings, Who},
        upstream::{Connect, Upstream},
    },
};
use std::{
    collections::BTreeMap,
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{net::TcpStream, sync::watch, time};

/// Far beyond what anything takes; only a failing test waits this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Plane {
    pub(crate) control: Control,
    pub(crate) told: watch::Receiver<Told>,
    /// Where whoever is on this machine is served.
    pub(crate) at: SocketAddr,
    _drain: Drain,
    _follower: Follower,
    _folder: TempDir,
}

/// What nodes are told.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Told {
    pub(crate) members: BTreeMap<String, Arc<Member>>,
    pub(crate) services: BTreeMap<String, String>,
    /// Wherever they were written.
    pub(crate) policies: BTreeMap<String, Authorization>,
}

pub(crate) struct Seen(pub(crate) watch::Sender<Told>);

impl Apply for Seen {
    fn apply(&mut self, holdings: &Holdings, _: Changed) {
        let mut told = Told::default();
        for address in holdings.addresses.held() {
            match address {
                Address::Member(member) => {
                    told.members.insert(member.uid.as_str().to_owned(), Arc::clone(member));
                }
                Address::Service(service) => {
                    told.services.insert(service.host.to_string(), format!("{service:?}"));
                }
            }
        }
        for policy in holdings.policies.held() {
            let policy = Authorization { origin: None, ..Authorization::clone(policy) };
            told.policies.insert(policy.name.to_string(), policy);
        }
        self.0.send_replace(told);
    }
}

impl Plane {
    /// By the API that a kubeconfig names.
    pub(crate) async fn of_cluster(kubeconfig: PathBuf) -> Self {
        time::timeout(PATIENCE, Self::start(cluster(kubeconfig).await)).await.unwrap().unwrap()
    }

    /// By a file.
    pub(crate) async fn of_file(file: &Path) -> Self {
        Self::start(Whence::Files(vec![file.to_owned()])).await.unwrap()
    }

    pub(crate) async fn start(whence: Whence) -> Result<Self, StartError> {
        let (folder, drain) = (tempfile::tempdir().unwrap(), Drain::default());
        let state_dir = folder.path().join("state");
        fs::create_dir(&state_dir).unwrap();
        let (node_name, cluster) = ("".into(), "Kubernetes".into());
        let plan = Plan {
            whence,
            settings: Settings {
                node_name,
                cluster,
                trust_domain: "cluster.local".into(),
                ambient: Ambient::Ours,
                l7: true,
            },
            ca: Ca::Kept(state_dir.join("root.pem")),
            cluster: None,
            state_dir,
            listen: Listen::default(),
            access: Access::Nodes,
            replica: None,
        };
        let control = Control::start(plan, &drain.worker()).await?;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        control.listen(listener, Kind::Plain, &drain.worker()).unwrap();
        let connect: Connect = Arc::new(move || {
            Box::pin(async move { Ok(Box::new(TcpStream::connect(at).await?) as BoxIo) })
        });
        let upstream = Upstream::try_new(&format!("http://{at}"), connect).unwrap();
        let (seen, told) = watch::channel(Told::default());
        let worker = drain.worker();
        let follower =
            Follower::start(upstream, &who("watcher"), Mode::Everything, Seen(seen), &worker);
        Ok(Self { control, told, at, _drain: drain, _follower: follower, _folder: folder })
    }

    /// Waits until nodes are told so.
    #[track_caller]
    pub(crate) fn tells(&mut self, wanted: impl Fn(&Told) -> bool) -> impl Future<Output = Told> {
        let place = std::panic::Location::caller();
        let (mut told, last) = (self.told.clone(), self.told.clone());
        let control = self.control.clone();
        async move {
            let waited = time::timeout(PATIENCE, told.wait_for(|told| wanted(told))).await;
            let Ok(waited) = waited else {
                panic!("{place}: {:#?} {:#?}", last.borrow(), control.status());
            };
            waited.unwrap().clone()
        }
    }

    /// Waits until the status is so.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&Status) -> bool) -> Arc<Status> {
        let waiting = async {
            loop {
                let status = self.control.status();
                if wanted(&status) {
                    return status;
                }
                self.control.changed().await.unwrap();
            }
        };
        let waited = time::timeout(PATIENCE, waiting).await;
        waited.unwrap_or_else(|_| panic!("{:#?}", self.control.status()))
    }
}

impl Told {
    /// The policies of a namespace.
    pub(crate) fn policies_of(&self, namespace: &str) -> Vec<&str> {
        let names = self.policies.keys();
        names.filter_map(|name| name.strip_prefix(namespace)?.strip_prefix('/')).collect()
    }

    /// The workloads of a namespace by their names.
    pub(crate) fn members_of(&self, namespace: &str) -> BTreeMap<&str, &Member> {
        let members = self.members.values().filter(|one| *one.name.namespace == *namespace);
        members.map(|one| (&*one.name.name, &**one)).collect()
    }
}

pub(crate) async fn cluster(kubeconfig: PathBuf) -> Whence {
    let reach = Reach::Kubeconfig { file: Some(kubeconfig), context: None };
    Whence::Kubernetes(Client::new(&reach).await.unwrap())
}

pub(crate) fn who(node: &str) -> Who {
    Who {
        node: node.into(),
        cluster: "Kubernetes".into(),
        ip: "10.1.0.1".into(),
        name: "culvert".into(),
        namespace: "culvert-system".into(),
        version: "0".into(),
    }
}
