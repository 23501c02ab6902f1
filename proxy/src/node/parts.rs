//! Starting every part, in the data's order.
use super::{
    Plan,
    advice::{no_descriptor, no_listener, no_node, no_takeover},
    feed::Feed,
    gateways,
    identity::certified,
    l7::{self, L7, ledger::Ledger},
    report::Told,
};
use crate::{
    admin::{
        self, Answers,
        listeners::{Handed, Listeners},
    },
    failure::{Exit, Failure},
    takeover::{
        new::{self, Predecessor},
        old::Standing,
    },
};
use culvert_dataplane::{Dataplane, Wires};
use culvert_kernel::{Node, NodeOptions};
use culvert_runtime::{
    drain::Drain,
    ready::{Blocker, Readiness},
};
use culvert_telemetry::{Telemetry, chain::Chain};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time;
use tracing::{error, info};

/// How many captured connections of one pod may wait to be accepted: the listeners' backlog and
/// some, a sixteenth of the kernel's table.
const PENDING_LIMIT: u32 = 1 << 14;

/// How many tuples of one pod may be remembered: two for each connection of a busy pod, a quarter
/// of the kernel's table.
const TUPLE_LIMIT: u32 = 1 << 16;

/// How often to look whether the process that serves meanwhile is still there.
const LOOK: Duration = Duration::from_secs(1);

/// How long certificates may take before a process that has all of its own is taken over anyway.
const CERTIFICATES: Duration = Duration::from_secs(20);

/// The parts of a running node, for whoever ends them.
#[derive(Debug)]
pub(super) struct Parts {
    /// Connections.
    pub(super) work: Drain,
    /// What they need until their end: configuration and certificates.
    pub(super) feeding: Drain,
    /// Admin, metrics and readiness, which outlive the work to tell of its end.
    pub(super) doors: Drain,
    /// Where other nodes come in, which a successor takes over at once.
    pub(super) serving: Drain,
    pub(super) feed: Feed,
    pub(super) listeners: Listeners,
    pub(super) answers: Arc<Answers>,
    pub(super) kernel: Arc<Kernel>,
    pub(super) predecessor: Option<Predecessor>,
    /// Until every pod was looked at once.
    pub(super) first_pods: Option<Blocker>,
}

/// The loaded programs, and which generation owns their maps.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) node: Arc<Node>,
    pub(super) generation: Arc<AtomicU64>,
    pub(super) dataplane: Dataplane,
    pod_generation: Option<u64>,
}

impl Parts {
    /// Starts everything; what was started ends if a later step fails.
    pub(super) async fn start(plan: &Plan) -> Result<Self, Failure> {
        let (work, feeding, doors, serving) =
            (Drain::default(), Drain::default(), Drain::default(), Drain::default());
        let readiness = Readiness::default();
        let first_pods = Some(readiness.block("not every pod was looked at yet"));
        let feed = Feed::start(plan, &readiness, &feeding.worker()).await?;
        await_knowledge(plan, &feed).await;
        let (predecessor, handed) = ask_predecessor(plan)?;
        // Before the kernel is touched: an address of somebody else ends the start harmlessly.
        let listeners = listen(plan, handed)?;
        feed.source.serve(&listeners, &serving.worker())?;
        let node = load(plan)?;
        let generation = node.claim().map_err(|error| no_node(&error))?.0;
        info!(generation, "kernel maps claimed");
        let telemetry = Telemetry::new(Arc::clone(&plan.metrics), plan.access.clone());
        let l7 = l7(plan, &feed, telemetry.clone(), &work);
        let wires = Wires {
            kernel: Arc::clone(&node),
            snapshot: feed.snapshot.clone(),
            pods: feed.held.clone(),
            identities: feed.identities.clone(),
            telemetry,
            l7: Some(Arc::new(l7.clone())),
            data: plan.data.clone(),
        };
        let dataplane = Dataplane::start(wires, &limits(plan), &work.worker())
            .map_err(|error| Failure::of(Exit::Cannot, &error, "raise the limit of open files"))?;
        l7.open(Arc::new(dataplane.clone()));
        gateways::start(plan, &feed, &node, &work.worker())?;
        report(&feed, &dataplane);
        let generation = Arc::new(AtomicU64::new(generation));
        let answers = Arc::new(Answers {
            config: plan.config.clone(),
            report: plan.report.clone(),
            capabilities: plan.ground.capabilities.clone(),
            generation: Arc::clone(&generation),
            readiness,
            log: plan.log.clone(),
            metrics: Arc::clone(&plan.metrics),
            feed: feed.handles(),
            dataplane: dataplane.clone(),
            l7,
        });
        admin::start(&listeners, &answers, &doors.worker())
            .map_err(|error| no_descriptor(&error))?;
        let pod_generation = plan.config.pod_generation;
        let kernel = Arc::new(Kernel { node, generation, dataplane, pod_generation });
        Ok(Self {
            work,
            feeding,
            doors,
            serving,
            feed,
            listeners,
            answers,
            kernel,
            predecessor,
            first_pods,
        })
    }
}

impl Standing for Kernel {
    fn pod_generation(&self) -> Option<u64> {
        self.pod_generation
    }

    async fn stand_back(&self) {
        self.dataplane.freeze().await;
    }

    async fn step_forward(&self) -> bool {
        match self.node.claim() {
            Ok(generation) => {
                self.generation.store(generation.0, Ordering::Relaxed);
                self.dataplane.thaw();
                true
            }
            Err(error) => {
                error!(error = %Chain(&error), "the newcomer ended, and its programs stay: start it again");
                false
            }
        }
    }
}

/// A process that runs serves its pods until this one knows as much: the mesh, and a certificate
/// for each pod. Without one, a node that starts late is better than none.
async fn await_knowledge(plan: &Plan, feed: &Feed) {
    if plan.ground.lock.is_only() {
        return;
    }
    info!("a process of this instance runs, and serves until this one knows the mesh");
    let known = feed.known();
    tokio::pin!(known);
    loop {
        tokio::select! {
            () = &mut known => break,
            () = time::sleep(LOOK) => if plan.ground.lock.is_only() {
                return;
            }
        }
    }
    certified(&feed.identities, &feed.held.pin().value, CERTIFICATES).await;
}

/// HTTP engines, which begin when somebody needs one.
fn l7(plan: &Plan, feed: &Feed, telemetry: Telemetry, work: &Drain) -> L7 {
    let home = l7::Home {
        node: plan.config.node_name.as_str().into(),
        cluster: plan.config.cluster.as_str().into(),
        credentials: plan.config.credentials_dir.as_deref().map(Into::into),
        most: l7::Most {
            connections: plan.config.limits.max_connections_per_engine,
            requests: plan.config.limits.max_requests_per_engine,
        },
    };
    let ledger = Ledger::new(feed.snapshot.clone(), telemetry);
    L7::new((home, feed.l7.clone()), feed.held.clone(), ledger, &plan.data, &work.worker())
}

/// Has the control plane told what becomes of the pods.
fn report(feed: &Feed, dataplane: &Dataplane) {
    let Some(reporter) = feed.reporter.clone() else { return };
    let told = Told {
        dataplane: dataplane.clone(),
        leaving: feed.leaving.clone(),
        progress: feed.progress.clone(),
        reporter,
    };
    let worker = feed.reports.worker();
    worker.spawn(told.run(worker.clone()));
}

fn ask_predecessor(plan: &Plan) -> Result<(Option<Predecessor>, Handed), Failure> {
    match new::ask(&plan.ground.instance.run_dir(), plan.config.pod_generation) {
        Ok(Some((predecessor, handed))) => {
            let Predecessor { version, pid, .. } = &predecessor;
            info!(version, pid, "taking over from the process that runs");
            Ok((Some(predecessor), handed))
        }
        Ok(None) => Ok((None, Handed::new())),
        Err(error) => Err(no_takeover(&error)),
    }
}

fn listen(plan: &Plan, handed: Handed) -> Result<Listeners, Failure> {
    let run_dir = plan.ground.instance.run_dir();
    Listeners::open(&plan.config.doors, &run_dir, handed).map_err(|error| no_listener(&error))
}

fn load(plan: &Plan) -> Result<Arc<Node>, Failure> {
    let capture = &plan.config.capture;
    let options = NodeOptions {
        strict: capture.strict,
        prober_cgroup: plan.ground.prober.clone(),
        pending_limit: PENDING_LIMIT,
        tuple_limit: TUPLE_LIMIT,
        exclusions: capture.exclude.clone(),
    };
    let ground = &plan.ground;
    let node = Node::load(&ground.instance, &ground.capabilities, options);
    node.map(Arc::new).map_err(|error| no_node(&error))
}

fn limits(plan: &Plan) -> culvert_dataplane::Config {
    let limits = &plan.config.limits;
    let mesh = &plan.config.mesh;
    culvert_dataplane::Config {
        max_connections_per_pod: limits.max_connections_per_pod,
        descriptor_share: limits.descriptor_share.0,
        descriptor_reserve: limits.descriptor_reserve.into(),
        connect_timeout: limits.connect_timeout,
        idle_timeout: limits.idle_timeout,
        buffer_max: limits.buffer_max,
        drain_deadline: None,
        encrypt_local: mesh.encrypt_local,
        handshake_timeout: mesh.handshake_timeout,
        dns: mesh.dns.then(culvert_dataplane::dns::Settings::default),
        ..culvert_dataplane::Config::default()
    }
}
