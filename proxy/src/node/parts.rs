//! Starting every part, in the data's order.
use super::Plan;
use crate::{
    admin::{
        self, Answers,
        listeners::{Handed, ListenError, Listeners},
    },
    config::{Config, settings::Setting},
    failure::{Exit, Failure},
    ground::no_instance,
    takeover::{
        new::{self, Predecessor, TakeoverError},
        old::Standing,
    },
};
use culvert_control::{
    compile::Settings,
    control::{Control, StartError},
};
use culvert_dataplane::{Dataplane, Wires};
use culvert_kernel::{Node, NodeError, NodeOptions};
use culvert_model::{pod::LocalPods, snapshot::Snapshot};
use culvert_runtime::{
    drain::{Drain, Worker},
    publish::{self, View},
    ready::{Blocker, Readiness},
};
use culvert_telemetry::Telemetry;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tracing::{error, info};

/// How many captured connections of one pod may wait to be accepted: the listeners' backlog and
/// some, a sixteenth of the kernel's table.
const PENDING_LIMIT: u32 = 1 << 14;

/// How many tuples of one pod may be remembered: two for each connection of a busy pod, a quarter
/// of the kernel's table.
const TUPLE_LIMIT: u32 = 1 << 16;

/// The parts of a running node, for whoever ends them.
#[derive(Debug)]
pub(super) struct Parts {
    /// Manifests and connections.
    pub(super) work: Drain,
    /// Admin, metrics and readiness, which outlive the work to tell of its end.
    pub(super) doors: Drain,
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
}

/// The manifests' part, which runs before anything of an older process is touched: with manifests
/// that are wrong, that one stays.
struct Read {
    control: Control,
    snapshot: View<Snapshot>,
    local: View<LocalPods>,
}

impl Parts {
    /// Starts everything; what was started ends if a later step fails.
    pub(super) async fn start(plan: &Plan) -> Result<Self, Failure> {
        let (work, doors) = (Drain::default(), Drain::default());
        let readiness = Readiness::default();
        let first_pods = Some(readiness.block("the first look at every pod"));
        let Read { control, snapshot, local } = read(plan, &work.worker()).await?;
        let (predecessor, handed) = ask_predecessor(plan)?;
        // Before the kernel is touched: an address of somebody else ends the start harmlessly.
        let listeners = listen(&plan.config, plan, handed)?;
        let node = load(plan)?;
        let generation = node.claim().map_err(|error| no_node(&error))?.0;
        info!(generation, "kernel maps claimed");
        let telemetry = Telemetry::new(Arc::clone(&plan.metrics), plan.access.clone());
        let wires = Wires {
            kernel: Arc::clone(&node),
            snapshot: snapshot.clone(),
            pods: local,
            telemetry,
            data: plan.data.clone(),
        };
        let dataplane = Dataplane::start(wires, &limits(plan), &work.worker())
            .map_err(|error| Failure::of(Exit::Cannot, &error, "raise the limit of open files"))?;
        let generation = Arc::new(AtomicU64::new(generation));
        let answers = Arc::new(Answers {
            config: plan.config.clone(),
            report: plan.report.clone(),
            paths: plan.paths.clone(),
            capabilities: plan.ground.capabilities.clone(),
            generation: Arc::clone(&generation),
            readiness,
            log: plan.log.clone(),
            metrics: Arc::clone(&plan.metrics),
            control,
            snapshot,
            dataplane: dataplane.clone(),
        });
        admin::start(&listeners, &answers, &doors.worker())
            .map_err(|error| no_descriptor(&error))?;
        let kernel = Arc::new(Kernel { node, generation, dataplane });
        Ok(Self { work, doors, listeners, answers, kernel, predecessor, first_pods })
    }
}

impl Standing for Kernel {
    async fn stand_back(&self) {
        self.dataplane.freeze().await;
    }

    async fn step_forward(&self) {
        match self.node.claim() {
            Ok(generation) => self.generation.store(generation.0, Ordering::Relaxed),
            Err(error) => error!(%error, "cannot claim the kernel maps again"),
        }
        self.dataplane.thaw();
    }
}

async fn read(plan: &Plan, worker: &Worker) -> Result<Read, Failure> {
    let Config { node_name, cluster, trust_domain, .. } = &plan.config;
    let settings = Settings {
        node_name: node_name.as_str().into(),
        cluster: cluster.as_str().into(),
        trust_domain: trust_domain.as_str().into(),
    };
    let (snapshots, snapshot) = publish::channel(Snapshot::default());
    let (locals, local) = publish::channel(LocalPods::default());
    let control = Control::start(&plan.paths, settings, snapshots, locals, worker);
    match control.await {
        Ok(control) => Ok(Read { control, snapshot, local }),
        Err(error) => Err(no_manifests(&error)),
    }
}

fn ask_predecessor(plan: &Plan) -> Result<(Option<Predecessor>, Handed), Failure> {
    match new::ask(&plan.ground.instance.run_dir()) {
        Ok(Some((predecessor, handed))) => {
            let Predecessor { version, pid, .. } = &predecessor;
            info!(version, pid, "taking over from the process that runs");
            Ok((Some(predecessor), handed))
        }
        Ok(None) => Ok((None, Handed::new())),
        Err(error) => Err(no_takeover(&error)),
    }
}

fn listen(config: &Config, plan: &Plan, handed: Handed) -> Result<Listeners, Failure> {
    let run_dir = plan.ground.instance.run_dir();
    Listeners::open(&config.doors, &run_dir, handed).map_err(|error| no_listener(&error))
}

fn load(plan: &Plan) -> Result<Arc<Node>, Failure> {
    let capture = &plan.config.capture;
    let options = NodeOptions {
        strict: capture.strict,
        prober_cgroup: capture.prober_cgroup.clone(),
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
    culvert_dataplane::Config {
        max_connections_per_pod: limits.max_connections_per_pod,
        descriptor_share: limits.descriptor_share.0,
        descriptor_reserve: limits.descriptor_reserve.into(),
        connect_timeout: limits.connect_timeout,
        idle_timeout: limits.idle_timeout,
        buffer_max: limits.buffer_max,
        drain_deadline: None,
    }
}

fn no_manifests(error: &StartError) -> Failure {
    match error {
        // Each problem has its own lines.
        StartError::Manifests(problems) => problems.0.iter().fold(
            Failure::new(
                Exit::Found,
                "the manifests have problems; nothing was changed",
                "mend them and start again",
            ),
            Failure::and,
        ),
        StartError::Watch(_) => Failure::of(
            Exit::Cannot,
            error,
            "see the limits of inotify: sysctl fs.inotify.max_user_watches, max_user_instances",
        ),
    }
}

fn no_takeover(error: &TakeoverError) -> Failure {
    let next = match error {
        TakeoverError::Refused { next, .. } => next.clone(),
        TakeoverError::Silent(_) | TakeoverError::Answer(_) => {
            "see `culvert status` and its log; end it with SIGTERM and start this one again"
                .to_owned()
        }
    };
    Failure::of(Exit::Cannot, error, next)
}

fn no_listener(error: &ListenError) -> Failure {
    let next = match error {
        ListenError::Address { address, setting, source }
            if source.kind() == io::ErrorKind::AddrInUse =>
        {
            taken(setting, address.port())
        }
        ListenError::Address { setting, .. } => format!("change the setting {setting}"),
        ListenError::Socket { .. } => "see that /run/culvert can be written".to_owned(),
        ListenError::Copy(_) => "raise the limit of open files (ulimit -n)".to_owned(),
    };
    Failure::of(Exit::Cannot, error, next)
}

/// Not by an older Culvert of this instance: that one would have handed it over.
fn taken(setting: &Setting, port: u16) -> String {
    format!(
        "end whoever has it (`ss -ltnp sport = :{port}` tells), or change the setting {setting}"
    )
}

fn no_node(error: &NodeError) -> Failure {
    let next = match error {
        NodeError::CorruptPin { instance, .. } | NodeError::AttachedElsewhere { instance, .. } => {
            format!("run `culvert uninstall --instance {instance}`, then start again")
        }
        NodeError::NewerLayout { instance, .. } => format!(
            "start the newer version, or run `culvert uninstall --instance {instance}` first"
        ),
        NodeError::Bpffs(_) => {
            "mount it: mount -t bpf bpf /sys/fs/bpf; a container needs it from the host".to_owned()
        }
        NodeError::Exclusion(_) => "mend the setting `exclude`".to_owned(),
        NodeError::Instance(error) => return no_instance(error),
        NodeError::OutsideCgroup { .. } => {
            "see that nothing moves this process to another cgroup, such as a supervisor".to_owned()
        }
        NodeError::NotOwner => "look with `culvert status` who has it".to_owned(),
        NodeError::Io { .. } | NodeError::Record(_) => {
            "see that the path is there and can be written, also inside a container".to_owned()
        }
        NodeError::Load { .. }
        | NodeError::NoProgram { .. }
        | NodeError::Attach { .. }
        | NodeError::Map { .. }
        | NodeError::Netns(_)
        | NodeError::Cookie(_) => {
            "see `culvert version` for what the kernel can do, and dmesg for what it says"
                .to_owned()
        }
    };
    Failure::of(Exit::Cannot, error, next)
}

fn no_descriptor(error: &io::Error) -> Failure {
    Failure::new(Exit::Cannot, "cannot open the doors", "raise the limit of open files (ulimit -n)")
        .because(error)
}
