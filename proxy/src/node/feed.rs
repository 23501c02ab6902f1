//! What a node decides by: configuration, certificates and the pods it must hold, each from the
//! moment it is known.
use super::{
    Plan, advice,
    cni::book::Book,
    discovery::{Discovery, Progress},
    identity::Holds,
    keep::Keep,
    orders::Orders,
    source::Source,
    ways::{self, Home, Ways},
};
use crate::{
    config::{Url, settings},
    failure::{Exit, Failure},
};
use culvert_identity::{
    clock::SystemClock,
    crl,
    keeper::{self, Parties},
    store::{Hold, Identities},
    trust::TrustStore,
};
use culvert_model::{
    name::WorkloadUid,
    pod::LocalPods,
    snapshot::{Mesh, OutboundPolicy, Snapshot},
};
use culvert_proto::culvert::node::v1::Hello;
use culvert_runtime::{
    drain::{Drain, Worker},
    publish::{self, Generation, View},
    ready::Readiness,
};
use culvert_xds::{
    client::Mode,
    envoy::discover::Way,
    transport::{
        follow::{Follower, Who},
        reporter::Reporter,
    },
};
use std::{
    collections::BTreeSet,
    process,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    sync::{mpsc, watch},
    time,
};
use tracing::{info, warn};

/// How long the mesh's settings may come after all the rest, before the defaults hold.
const SETTLING: Duration = Duration::from_secs(5);

/// What a foreign control plane calls the namespace of its proxies.
const NAMESPACE: &str = "culvert-system";

/// The running parts before the kernel.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) source: Source,
    /// The pods that were handed over.
    pub(super) book: Book,
    /// Where configuration comes from, for people.
    pub(super) address: String,
    pub(super) snapshot: View<Snapshot>,
    /// The pods to hold; nothing before the snapshot.
    pub(super) held: View<LocalPods>,
    pub(super) identities: Identities,
    /// The way to whoever serves L7.
    pub(super) l7: Way,
    pub(super) follower: Follower,
    pub(super) reporter: Option<Reporter>,
    /// Ends before the rest: a successor reports then.
    pub(super) reports: Drain,
    pub(super) leaving: watch::Receiver<BTreeSet<WorkloadUid>>,
    pub(super) progress: watch::Receiver<Progress>,
    /// The node's own certificate.
    _own: Option<Hold>,
}

impl Feed {
    /// Starts everything that needs no kernel; it lives with `worker`.
    ///
    /// # Errors
    ///
    /// When manifests, files or settings are no good; what was started ends with the worker.
    pub(super) async fn start(
        plan: &Plan,
        readiness: &Readiness,
        worker: &Worker,
    ) -> Result<Self, Failure> {
        let config = &plan.config;
        let book = Book::open(&plan.ground.instance.run_dir());
        let (source, ways) = Source::start(plan, &book, worker).await?;
        let trust = TrustStore::default();
        if let Some(path) = &config.mesh.crl {
            crl::watch(path, &trust, worker).map_err(|error| advice::no_crl(&error))?;
        }
        let ways = ways.with_mesh(&trust);
        let identities = start_keeper(plan, &ways, &trust, worker)?;
        ways.show(&identities);
        let own = ways.own().map(|own| identities.hold(own.clone()));
        let (snapshots, snapshot) = publish::channel(Snapshot::default());
        let reported = ways.report().map_err(|e| advice::no_way(&e))?;
        let (discovery, progress) = Discovery::new(mesh(plan), reported.is_none(), snapshots);
        let upstream = ways.discovery().map_err(|e| advice::no_way(&e))?;
        let who = who(plan);
        let applier = discovery.applier(Arc::clone(&plan.metrics));
        let follower = Follower::start(upstream, &who, Mode::Everything, applier, worker);
        let (released, releases) = mpsc::channel(16);
        let reports = Drain::default();
        let reporter = reported.map(|upstream| {
            let (node, discovery) = (config.node_name.clone(), discovery.clone());
            let (reporter, orders) = Reporter::start(upstream, hello(plan), &reports.worker());
            let orders = Orders { node, orders, discovery, released };
            reports.worker().spawn(orders.follow(reports.worker()));
            reporter
        });
        let (publisher, held) = publish::channel(LocalPods::default());
        let (told, leaving) = watch::channel(BTreeSet::new());
        let keep = Keep {
            wanted: source.local(),
            snapshot: snapshot.clone(),
            held: publisher,
            leaving: told,
            released: releases,
            holds: Holds::new(identities.clone()),
            resolvers: config.mesh.resolvers.clone(),
            patience: config.mesh.release_timeout,
        };
        keep.start(worker);
        settle(&discovery, &follower, worker);
        await_snapshot(readiness, &snapshot, &ways.address(), worker);
        let (address, l7) = (ways.address(), ways.l7());
        Ok(Self {
            source,
            book,
            address,
            snapshot,
            held,
            identities,
            l7,
            follower,
            reporter,
            reports,
            leaving,
            progress,
            _own: own,
        })
    }

    /// For those who answer questions.
    pub(super) fn handles(&self) -> Handles {
        Handles {
            source: self.source.clone(),
            address: self.address.clone(),
            snapshot: self.snapshot.clone(),
            identities: self.identities.clone(),
            follower: self.follower.clone(),
            progress: self.progress.clone(),
        }
    }

    /// Waits until the mesh is known and the pods to hold are.
    pub(super) async fn known(&self) {
        let mut held = self.held.clone();
        // The publisher lives as long as the process.
        drop(held.newer_than(Generation::FIRST).await);
    }
}

/// What others may see of it.
#[derive(Clone, Debug)]
pub(crate) struct Handles {
    pub(crate) source: Source,
    pub(crate) address: String,
    pub(crate) snapshot: View<Snapshot>,
    pub(crate) identities: Identities,
    pub(crate) follower: Follower,
    pub(crate) progress: watch::Receiver<Progress>,
}

fn start_keeper(
    plan: &Plan,
    ways: &Ways,
    trust: &TrustStore,
    worker: &Worker,
) -> Result<Identities, Failure> {
    let config = &plan.config;
    let given = config.ca_folder.as_ref().filter(|_| config.role == settings::Role::Node);
    let issuer = match given {
        Some(folder) => ways::given(folder, ways.trust_domain(), worker)
            .map_err(|error| advice::no_authority(&error))?,
        None => ways.issuer().ok_or_else(|| {
            Failure::new(
                Exit::Usage,
                "the control plane is reached in plain text, by which nobody asks for certificates",
                format!("set {} or {}", settings::CA_ADDRESS, settings::CA_FOLDER),
            )
        })?,
    };
    let parties = Parties { issuer, trust: trust.clone(), clock: Arc::new(SystemClock) };
    let settings =
        keeper::Settings { validity: config.mesh.certificate_life, ..keeper::Settings::default() };
    Ok(keeper::start(parties, settings, worker))
}

/// Does not wait for the settings of the mesh for ever: a control plane may not know of reports.
fn settle(discovery: &Discovery, follower: &Follower, worker: &Worker) {
    let (discovery, mut follower, own) = (discovery.clone(), follower.clone(), worker.clone());
    worker.spawn(async move {
        let settles = async {
            follower.until(|status| status.ready).await?;
            time::sleep(SETTLING).await;
            Some(discovery.settle())
        };
        tokio::select! {
            () = own.finishing() => {}
            settled = settles => if settled == Some(true) {
                warn!("the control plane does not tell the settings of the mesh: destinations it does not know are allowed");
            }
        }
    });
}

fn await_snapshot(
    readiness: &Readiness,
    snapshot: &View<Snapshot>,
    address: &str,
    worker: &Worker,
) {
    let blocker = readiness.block("the control plane has not said yet what there is");
    let (mut snapshot, own, address) = (snapshot.clone(), worker.clone(), address.to_owned());
    worker.spawn(async move {
        tokio::select! {
            () = own.finishing() => {}
            first = snapshot.newer_than(Generation::FIRST) => if let Some(first) = first {
                let workloads = first.value.all_known().count();
                info!(address, workloads, "the mesh is known");
            }
        }
        drop(blocker);
    });
}

/// The settings of the mesh as long as nobody tells them.
fn mesh(plan: &Plan) -> Mesh {
    let config = &plan.config;
    Mesh {
        network: config.mesh.upstream.as_ref().map_or("", |upstream| &upstream.network).into(),
        outbound: OutboundPolicy::AllowAny,
        node: config.node_name.as_str().into(),
    }
}

fn who(plan: &Plan) -> Who {
    Who {
        node: plan.config.node_name.clone(),
        cluster: plan.config.cluster.clone(),
        ip: "127.0.0.1".to_owned(),
        name: plan.config.node_name.clone(),
        namespace: NAMESPACE.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn hello(plan: &Plan) -> Hello {
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Hello {
        node: plan.config.node_name.clone(),
        instance: plan.config.instance.clone(),
        cluster: plan.config.cluster.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        life: format!("{}-{}", process::id(), started.as_millis()),
    }
}

/// Who serves L7, where that is not the control plane.
pub(super) fn l7_control(plan: &Plan) -> Option<&Url> {
    plan.config.l7_control.as_ref()
}

/// Who a node is, by its settings.
pub(super) fn home(plan: &Plan) -> Home<'_> {
    let config = &plan.config;
    Home { node: &config.node_name, cluster: &config.cluster, trust_domain: &config.trust_domain }
}
