//! The running control plane: manifests in, resources, certificates and orders out.
use crate::{
    admission::Judge,
    announce::{
        Announcer,
        record::{RecordError, Store},
    },
    ca::{
        CertificateService,
        hosted::{Agents, Hosted, Hosting},
        ledger::Ledger,
        roots,
        trouble::Trouble,
    },
    clerk::{self, Matter, Replica},
    compile::Settings,
    manifests::Manifests,
    serve::{
        Porter,
        accounts::Names,
        gate::Doorkeeper,
        hush::Hush,
        l7::{Hub, desk::L7Desk},
    },
    status::Status,
};
use culvert_identity::{
    ca::{
        Authority,
        files::{FilesError, Given},
    },
    clock::{Clock, SystemClock},
    join::{
        Claims, JoinError,
        book::{Book, BookError, Books},
    },
    serving::{Serving, ServingError},
    trust::TrustStore,
};
use culvert_kubernetes::{
    client::Client,
    lease::Office,
    named::{Named, What},
};
use culvert_model::pod::LocalPods;
use culvert_runtime::{
    drain::Worker,
    publish::{self, View},
};
use culvert_xds::{
    server::Worlds,
    transport::{door::Door, followers::Followers, nodes::Nodes},
};
use parking_lot::Mutex;
use std::{
    io,
    net::TcpListener,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::watch;

mod authority;
mod keeper;
pub(crate) mod scene;
mod services;
mod tokens;
mod world;

pub use crate::{
    manifests::Problems,
    serve::{Kind, gate::Access},
    source::Whence,
};
pub use tokens::{TokenError, VoidError, join_token};

use keeper::{Keeper, Saved};
pub(crate) use scene::Scene;
use services::Services;
use tokens::{JOIN_KEY, books};

/// In the folder of what outlives the process: what was announced.
const RECORD: &str = "captured.json";

/// The Secret of the authority that all replicas share.
pub const AUTHORITY_SECRET: &str = "culvert-ca";

/// The `ConfigMap` of the roots that nodes know the control plane by.
const ROOTS_MAP: &str = "culvert-root";

/// What a control plane is made of.
#[derive(Debug)]
pub struct Plan {
    pub whence: Whence,
    pub settings: Settings,
    pub ca: Ca,
    /// The cluster that it is a part of, if it is.
    pub cluster: Option<Cluster>,
    /// What outlives the process; replicas share it.
    pub state_dir: PathBuf,
    pub listen: Listen,
    pub access: Access,
    /// Who this is among several; `None`, or without the Kubernetes API: nothing is written there.
    pub replica: Option<Replica>,
}

/// Where the authority comes from.
#[derive(Clone, Debug)]
pub enum Ca {
    /// A file of one's own; made where there is none.
    Kept(PathBuf),
    /// Files somebody gives, replaced in place when it is time.
    Given(Given),
    /// A Secret of the cluster, which all replicas share; made where there is none.
    Secret(Named),
    /// Of this process.
    Authority(View<Arc<Authority>>),
}

/// A cluster whose nodes prove who they are by service accounts, and mount the roots.
#[derive(Clone, Debug)]
pub struct Cluster {
    pub client: Client,
    /// Where the control plane and the nodes' own pods are.
    pub namespace: String,
    /// The service account of the nodes' own pods.
    pub node_account: String,
}

/// How nodes dial the control plane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listen {
    /// Host names and addresses, beside localhost.
    pub names: Vec<String>,
}

/// A handle on the running control plane.
#[derive(Clone, Debug)]
pub struct Control {
    pub(crate) shared: Arc<Shared>,
    status: watch::Receiver<Arc<Status>>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) scene: Arc<Mutex<Scene>>,
    pub(crate) nodes: Nodes,
    /// Who follows L7, and what there is of it.
    pub(crate) followers: Followers,
    pub(crate) hub: Hub,
    pub(crate) worlds: View<Worlds>,
    pub(crate) ledger: Ledger,
    pub(crate) authority: View<Arc<Authority>>,
    pub(crate) trouble: Trouble,
    pub(crate) serving: Serving,
    doorkeeper: Arc<Doorkeeper>,
    books: Books,
    local: View<LocalPods>,
    trust: TrustStore,
    porter: Porter,
    pub(crate) office: Option<Office>,
    judge: Judge,
}

/// Why it did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0}")]
    Manifests(Problems),
    #[error("cannot watch manifests for changes")]
    Watch(#[source] io::Error),
    #[error("there is no certificate authority")]
    Authority(#[from] FilesError),
    #[error("no join token can be judged")]
    JoinTokens(#[from] BookError),
    #[error("what was announced earlier is not known")]
    Record(#[from] RecordError),
    #[error("the control plane has no certificate of its own")]
    Serving(#[from] ServingError),
}

impl Control {
    /// Reads the manifests and makes all ready; who comes to a [`listen`](Self::listen)er is
    /// served, until the drain.
    ///
    /// # Errors
    ///
    /// When the manifests have problems, or something that must outlive the process cannot be
    /// used. A later change of the manifests that has problems is refused, and all stays as it is.
    #[expect(clippy::too_many_lines, reason = "one part after the other, each needs those before")]
    pub async fn start(plan: Plan, worker: &Worker) -> Result<Self, StartError> {
        let Plan { whence, settings, ca, cluster, state_dir, listen, access, replica } = plan;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (manifests, follow, first) = Manifests::open(&whence, settings, worker).await?;
        let trust_domain = manifests.with_mesh(|mesh| Arc::clone(&mesh.config.trust_domain));
        let trouble = Trouble::default();
        let authority =
            ca.open(&trust_domain, &clock, (&state_dir.join(JOIN_KEY), &trouble), worker).await?;
        if let Some(Cluster { client, namespace, .. }) = &cluster {
            let map = Named::new(client, What::ConfigMap, namespace, ROOTS_MAP);
            roots::keep(map, &authority, &trouble, worker);
        }
        let (store, record) = Store::open(&state_dir.join(RECORD))?;
        let books = books(&state_dir)?;
        books.follow(worker);
        let hush = Hush::default();
        hush.follow(worker);
        let (hosted, who_hosts) = publish::channel(Arc::<Hosted>::default());
        let (agents, where_agents) = publish::channel(Arc::<Agents>::default());
        let (gateways, which_gateways) = publish::channel(Arc::<Names>::default());
        let doorkeeper = Arc::new(Doorkeeper {
            tokens: books.view(),
            accounts: cluster
                .as_ref()
                .map(|cluster| cluster.accounts(&where_agents, &which_gateways)),
            trust_domain,
            clock: Arc::clone(&clock),
            hush: hush.clone(),
        });
        let trust = TrustStore::default();
        let names = &listen.names;
        let serving =
            Serving::start(authority.clone(), names, trust.clone(), Arc::clone(&clock), worker)?;
        let (published, worlds) = publish::channel(Worlds::default());
        let (local, local_view) = publish::channel(LocalPods::default());
        let (nodes, ledger) = (Nodes::default(), Ledger::default());
        let (hub, followers) = (Hub::default(), Followers::default());
        let desk = Arc::new(L7Desk {
            hub: hub.clone(),
            doorkeeper: Arc::clone(&doorkeeper),
            hosted: who_hosts.clone(),
        });
        worker.spawn(hub.clone().run(worker.clone()));
        let services = Services {
            doorkeeper: Arc::clone(&doorkeeper),
            access,
            desk,
            followers: &followers,
            worker,
        };
        let certificates = CertificateService {
            authority: authority.clone(),
            hosted: who_hosts,
            doorkeeper: Arc::clone(&doorkeeper),
            ledger: ledger.clone(),
        };
        let (routes, events) = services.routes(&worlds, &nodes, certificates);
        let announcer = Announcer::new(record.clone(), Instant::now());
        let announcer = if cluster.is_some() { announcer.among_others() } else { announcer };
        let scene = Arc::new(Mutex::new(Scene::new(announcer)));
        let status = manifests.status();
        let matter = manifests.documents().map(|documents| Matter {
            standings: manifests.standings(),
            gateways: manifests.gateways(),
            documents,
            scene: Arc::clone(&scene),
            authority: authority.clone(),
        });
        let office = clerk::start(&whence, replica.as_ref(), matter, worker);
        let judge = Judge::new(serving.clone(), manifests.compiler_of_api());
        let mut keeper = Keeper {
            manifests,
            follow,
            scene: Arc::clone(&scene),
            store: Arc::new(Mutex::new(store)),
            saved: Saved { edits: u64::MAX, record },
            worlds: Worlds::default(),
            published,
            hosting: Hosting::new(cluster.map(|own| (own.namespace, own.node_account))),
            hosted,
            agents,
            local,
            gateways,
            nodes: nodes.clone(),
            hub: hub.clone(),
            events,
            version: env!("CARGO_PKG_VERSION"),
            life: life(),
            again: None,
        };
        // All there is, before anybody asks.
        keeper.advance(first).await;
        worker.spawn(keeper.run(worker.clone()));
        let door = Door::open(routes, worker);
        let porter = Porter::new(door, serving.clone(), trust.clone(), hush, worker.clone());
        let shared = Shared {
            scene,
            nodes,
            followers,
            hub,
            worlds,
            ledger,
            authority,
            trouble,
            serving,
            doorkeeper,
            books,
            local: local_view,
            trust,
            porter,
            office,
            judge,
        };
        Ok(Self { shared: Arc::new(shared), status })
    }

    /// Serves whoever comes to `listener`, until `worker` finishes.
    ///
    /// # Errors
    ///
    /// When it is to be plain text and not on loopback, or there is no descriptor left.
    pub fn listen(&self, listener: TcpListener, kind: Kind, worker: &Worker) -> io::Result<()> {
        self.shared.porter.serve(listener, kind, worker)
    }

    /// Judges objects for whoever comes to `listener`, until `worker` finishes.
    ///
    /// # Errors
    ///
    /// When there is no descriptor left.
    pub fn admit(&self, listener: TcpListener, worker: &Worker) -> io::Result<()> {
        self.shared.judge.serve(listener, worker)
    }

    /// Which replica writes into the Kubernetes API, as far as it is known, and whether it is this
    /// one; `None`: none does.
    pub fn writer(&self) -> Option<(String, bool)> {
        let office = self.shared.office.as_ref()?;
        Some((office.holder(), office.is_held()))
    }

    /// Lets whoever has it be `node`, and know this control plane, for a while.
    ///
    /// # Errors
    ///
    /// When no node can be called so.
    pub fn join_token(&self, node: &str, good_for: Duration) -> Result<String, JoinError> {
        let Doorkeeper { tokens, trust_domain, clock, .. } = &*self.shared.doorkeeper;
        let claims = Claims::new(trust_domain, node, clock.now(), good_for);
        tokens.pin().value.mint(claims, self.shared.authority.pin().value.roots())
    }

    /// Makes all tokens of `node` void that there are, and ends the streams of who came by one.
    ///
    /// # Errors
    ///
    /// When that cannot be written down, or no node can be called so.
    pub async fn void_tokens(&self, node: &str) -> Result<(), VoidError> {
        let (books, node) = (self.shared.books.clone(), node.to_owned());
        let now = self.shared.doorkeeper.clock.now();
        let done = tokio::task::spawn_blocking(move || books.make_void(&node, now)).await;
        Ok(done.map_err(|_ended| VoidError::Ended)??)
    }

    /// Which tokens are good: changes when some are void.
    pub fn tokens(&self) -> View<Arc<Book>> {
        self.shared.books.view()
    }

    /// How many parts of configuration for HTTP were made so far, for all who follow it.
    pub fn l7_parts_made(&self) -> u64 {
        self.shared.hub.parts_made()
    }

    /// What became of the manifests.
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status.borrow())
    }

    /// Waits for the next word on a change: it is in force, or refused. `None` after the drain.
    ///
    /// Cancel safe.
    pub async fn changed(&mut self) -> Option<Arc<Status>> {
        self.status.changed().await.ok()?;
        Some(Arc::clone(&self.status.borrow_and_update()))
    }

    /// Who signs.
    pub fn authority(&self) -> View<Arc<Authority>> {
        self.shared.authority.clone()
    }

    /// The pods that the manifests put on the node of the settings.
    pub fn local(&self) -> View<LocalPods> {
        self.shared.local.clone()
    }

    /// Whom callers' certificates must come from; its revocation lists are somebody else's to set.
    pub fn trust(&self) -> TrustStore {
        self.shared.trust.clone()
    }
}

/// Differs for each life of the process.
fn life() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:x}", since.as_nanos(), std::process::id())
}
