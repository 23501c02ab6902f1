//! Replicas of a control plane with the rights that are shipped, and nodes that show tokens to them.
use crate::{
    plane::{Seen, who},
    shipped,
    until::until,
};
use culvert_cluster::Cluster;
use culvert_control::{
    clerk,
    compile::{Ambient, Settings},
    control::{self, AUTHORITY_SECRET, Access, Ca, Control, Kind, Listen, Plan, Whence},
    gateways::template::Template,
    status::mesh::MeshStatus,
};
use culvert_identity::{
    armor, bearer,
    clock::SystemClock,
    istio::{self, IstioCa},
    keeper::{self, Parties},
    store::Identities,
    trust::TrustStore,
    upstream::{Anchors, Server, Way},
};
use culvert_kubernetes::{
    client::{Client, Reach},
    named::{Named, What},
};
use culvert_model::identity::Identity;
use culvert_runtime::drain::Drain;
use culvert_xds::{
    client::Mode,
    transport::{
        BoxIo,
        follow::Follower,
        upstream::{Connect, Upstream},
    },
};
use rustls_pki_types::CertificateDer;
use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{sync::watch, time};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// One of them.
pub(crate) struct Replica {
    pub(crate) control: Control,
    pub(crate) at: SocketAddr,
    pub(crate) drain: Drain,
    _folder: TempDir,
}

/// Whoever shows a token.
pub(crate) struct Caller {
    pub(crate) follower: Follower,
    pub(crate) identities: Identities,
    pub(crate) trust: TrustStore,
    pub(crate) upstream: Upstream,
    pub(crate) drain: Drain,
    folder: TempDir,
}

impl Replica {
    pub(crate) async fn start(kubeconfig: PathBuf) -> Self {
        let ca = |client: &_| {
            Ca::Secret(Named::new(client, What::Secret, shipped::NAMESPACE, AUTHORITY_SECRET))
        };
        time::timeout(PATIENCE, Self::start_with(kubeconfig, ca)).await.unwrap()
    }

    pub(crate) async fn start_with(kubeconfig: PathBuf, ca: impl FnOnce(&Client) -> Ca) -> Self {
        Self::start_plan(kubeconfig, ca, None).await
    }

    /// One that writes, when it is its turn.
    pub(crate) async fn start_as(kubeconfig: PathBuf, name: &str) -> Self {
        let ca = |client: &_| {
            Ca::Secret(Named::new(client, What::Secret, shipped::NAMESPACE, AUTHORITY_SECRET))
        };
        let (name, namespace) = (name.to_owned(), shipped::NAMESPACE.to_owned());
        let replica = clerk::Replica { name, namespace, admits: true, gateways: None };
        let start = Self::start_plan(kubeconfig, ca, Some(replica));
        time::timeout(PATIENCE, start).await.unwrap()
    }

    /// The same, and makes what gateways need.
    pub(crate) async fn start_with_gateways(kubeconfig: PathBuf, name: &str) -> Self {
        let ca = |client: &_| {
            Ca::Secret(Named::new(client, What::Secret, shipped::NAMESPACE, AUTHORITY_SECRET))
        };
        let (name, namespace) = (name.to_owned(), shipped::NAMESPACE.to_owned());
        let gateways = Some(Template::parse(&shipped::pod_of_gateways()).unwrap());
        let replica = clerk::Replica { name, namespace, admits: false, gateways };
        let start = Self::start_plan(kubeconfig, ca, Some(replica));
        time::timeout(PATIENCE, start).await.unwrap()
    }

    async fn start_plan(
        kubeconfig: PathBuf,
        ca: impl FnOnce(&Client) -> Ca,
        replica: Option<clerk::Replica>,
    ) -> Self {
        let l7 = replica.as_ref().is_some_and(|replica| replica.gateways.is_some());
        let (folder, drain) = (tempfile::tempdir().unwrap(), Drain::default());
        let client = client(kubeconfig).await;
        let plan = Plan {
            whence: Whence::Kubernetes(client.clone()),
            settings: Settings {
                node_name: "".into(),
                cluster: "Kubernetes".into(),
                trust_domain: "cluster.local".into(),
                ambient: Ambient::Ours,
                l7,
            },
            ca: ca(&client),
            cluster: Some(control::Cluster {
                client,
                namespace: shipped::NAMESPACE.to_owned(),
                node_account: "culvert-node".to_owned(),
            }),
            state_dir: folder.path().join("state"),
            listen: Listen::default(),
            access: Access::Nodes,
            replica,
        };
        let control = Control::start(plan, &drain.worker()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        control.listen(listener, Kind::Tls, &drain.worker()).unwrap();
        Self { control, at, drain, _folder: folder }
    }

    /// As by SIGTERM.
    pub(crate) async fn end(self) {
        self.drain.drain(PATIENCE).await;
    }

    /// Waits until this one writes.
    pub(crate) async fn writes(&self) {
        let waiting = async {
            while !self.control.writer().is_some_and(|(_, is_own)| is_own) {
                time::sleep(Duration::from_millis(20)).await;
            }
        };
        time::timeout(PATIENCE, waiting).await.unwrap();
    }

    pub(crate) fn roots(&self) -> Vec<CertificateDer<'static>> {
        self.control.authority().pin().value.roots().to_vec()
    }

    /// Waits until the mesh is as `wanted` says.
    pub(crate) async fn until(&self, wanted: impl Fn(&MeshStatus) -> bool) -> MeshStatus {
        until(&self.control, PATIENCE, wanted).await
    }

    /// A node that shows a token, and knows the control plane by the roots that nodes mount.
    pub(crate) fn node(&self, cluster: &Cluster, name: &str, token: &str) -> Caller {
        Caller::start(self.at, name, token, &mounted(cluster))
    }
}

pub(crate) async fn client(kubeconfig: PathBuf) -> Client {
    let reach = Reach::Kubeconfig { file: Some(kubeconfig), context: None };
    Client::new(&reach).await.unwrap()
}

/// The roots that nodes mount, as they are now.
pub(crate) fn mounted(cluster: &Cluster) -> String {
    culvert_cluster::eventually("the roots for nodes", || {
        let map = cluster.get(&["-n", shipped::NAMESPACE, "configmap", "culvert-root"]);
        map["data"]["root.pem"].as_str().map(str::to_owned)
    })
}

/// Waits until nodes mount these roots and no others.
pub(crate) fn until_mounted(cluster: &Cluster, roots: &[CertificateDer<'static>]) {
    let expected = armor::write(roots);
    culvert_cluster::eventually("these roots for nodes", || {
        (mounted(cluster) == expected).then_some(())
    });
}

impl Caller {
    pub(crate) fn start(at: SocketAddr, name: &str, token: &str, roots: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("token"), token).unwrap();
        fs::write(folder.path().join("root.pem"), roots).unwrap();
        Self::start_in(folder, at, name)
    }

    /// Before anything is mounted.
    pub(crate) fn empty(at: SocketAddr, name: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), at, name)
    }

    fn start_in(folder: TempDir, at: SocketAddr, name: &str) -> Self {
        let [token_file, root_file] = ["token", "root.pem"].map(|name| folder.path().join(name));
        let (drain, trust) = (Drain::default(), TrustStore::default());
        let server = Server::Name("localhost".to_owned());
        let way = Way::new(&at.to_string(), server, Anchors::File(root_file));
        let way = way.with_mesh(trust.clone());
        let settings = istio::Settings {
            token: Some(token_file.clone()),
            cluster: "Kubernetes".into(),
            headers: Vec::new(),
        };
        let clock = Arc::new(SystemClock);
        let issuer = Arc::new(IstioCa::new(way.clone(), settings));
        let parties = Parties { issuer, trust: trust.clone(), clock };
        let identities = keeper::start(parties, keeper::Settings::default(), &drain.worker());
        let origin = format!("https://{at}");
        let connect: Connect = Arc::new(move || {
            let way = way.clone();
            Box::pin(async move { Ok(Box::new(way.connect().await?) as BoxIo) })
        });
        let upstream = Upstream::try_new(&origin, connect).unwrap();
        let upstream = upstream.with_bearer(Arc::new(move || Ok(Some(bearer::read(&token_file)?))));
        let (seen, _) = watch::channel(Default::default());
        let (who, mode) = (who(name), Mode::Everything);
        let follower = Follower::start(upstream.clone(), &who, mode, Seen(seen), &drain.worker());
        Self { follower, identities, trust, upstream, folder, drain }
    }

    pub(crate) fn replace_token(&self, token: &str) {
        fs::write(self.folder.path().join("token"), token).unwrap();
    }

    pub(crate) fn replace_roots(&self, roots: &str) {
        fs::write(self.folder.path().join("root.pem"), roots).unwrap();
    }

    /// Waits until it has no connection because of this.
    pub(crate) async fn waits_for(&mut self, why: &str) {
        let is_so = |error: &Arc<str>| error.contains(why);
        let waiting = self.follower.until(|status| status.error.as_ref().is_some_and(is_so));
        time::timeout(PATIENCE, waiting).await.unwrap().unwrap();
    }

    pub(crate) async fn follows(&mut self) {
        let waiting = self.follower.until(|status| status.ready && status.connected);
        time::timeout(PATIENCE, waiting).await.unwrap().unwrap();
    }

    /// Why the stream was refused.
    pub(crate) async fn refusal(&mut self) -> String {
        let waiting = self.follower.until(|status| status.error.is_some());
        let status = time::timeout(PATIENCE, waiting).await.unwrap().unwrap();
        status.error.unwrap().to_string()
    }

    /// Why there is no certificate.
    pub(crate) async fn uncertified(&self, identity: &Identity) -> String {
        let error = self.identities.certificate(identity).await.unwrap_err();
        let (mut text, mut cause) = (error.to_string(), std::error::Error::source(&error));
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
}
