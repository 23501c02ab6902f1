//! The dataplane as the process wires it.
use crate::{
    config::Config,
    connections::ConnStatus,
    copy::{self, Grade},
    direct::{self, Direct},
    dns,
    l7::dial,
    limits::{Bounds, Limits},
    loads::Loads,
    pods::{
        Pods,
        doors::Doors,
        status::{Capture, PodStatus},
    },
    recheck,
};
use culvert_identity::store::Identities;
use culvert_kernel::Node;
use culvert_model::{name::WorkloadUid, party::Party, pod::LocalPods, snapshot::Snapshot};
use culvert_runtime::{
    accept::Reserve,
    doors::{Answer, Dial, HandOver, NoWay, Opened},
    drain::Worker,
    publish::View,
};
use culvert_telemetry::{Telemetry, chain::Chain, metrics::PodSample};
use nix::sys::resource::{Resource, getrlimit};
use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tokio::{runtime::Handle, sync::watch, time};

/// How often copy buffers are looked at: one that nobody used for a turn rests.
const REST_EVERY: Duration = Duration::from_secs(2);

/// Every pod of the node and their connections; cheap to clone.
#[derive(Clone, Debug)]
pub struct Dataplane {
    pods: Arc<Pods>,
}

/// What pods and connections use.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) snapshot: View<Snapshot>,
    pub(crate) telemetry: Telemetry,
    pub(crate) limits: Arc<Limits>,
    pub(crate) reserve: Reserve,
    pub(crate) copy: copy::Bounds,
    pub(crate) connect_timeout: Duration,
    pub(crate) handshake_timeout: Duration,
    pub(crate) hold: Duration,
    pub(crate) encrypt_local: bool,
    pub(crate) drain_deadline: Option<Duration>,
    /// `None`: questions to name servers are not captured.
    pub(crate) dns: Option<Arc<dns::Node>>,
    pub(crate) identities: Identities,
    pub(crate) doors: Doors,
    pub(crate) loads: Loads,
    pub(crate) direct: Direct,
    /// Who takes what must pass L7; `None`: nobody.
    pub(crate) l7: Option<Arc<dyn HandOver>>,
    /// Where connections run.
    pub(crate) data: Handle,
    /// Told whenever a pod's phase changes.
    pub(crate) changed: watch::Sender<()>,
}

/// What the dataplane is wired to.
#[derive(Clone, Debug)]
pub struct Wires {
    pub kernel: Arc<Node>,
    /// Every workload, for who is at the ends of a connection.
    pub snapshot: View<Snapshot>,
    /// The pods to hold.
    pub pods: View<LocalPods>,
    /// Where the pods' certificates are; somebody else holds them.
    pub identities: Identities,
    pub telemetry: Telemetry,
    /// Who takes what must pass L7; `None`: nobody.
    pub l7: Option<Arc<dyn HandOver>>,
    /// The runtime of the connections.
    pub data: Handle,
}

/// Why the dataplane does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot find out how many descriptors the process may open")]
    Limit(#[source] io::Error),
    #[error("cannot open a spare descriptor")]
    Reserve(#[source] io::Error),
}

impl Dataplane {
    /// Starts to hold the pods that are wanted, on the current runtime.
    ///
    /// # Errors
    ///
    /// When the process's descriptors are used up already.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start(wires: Wires, config: &Config, worker: &Worker) -> Result<Self, StartError> {
        let Wires { kernel, snapshot, pods, identities, telemetry, l7, data } = wires;
        let Config { connect_timeout, idle_timeout, buffer_max, drain_deadline, .. } = *config;
        let Config { handshake_timeout, hold, encrypt_local, .. } = *config;
        let dns = config.dns.clone().map(dns::Node::new);
        let shared = Shared {
            snapshot,
            telemetry,
            limits: Arc::new(Limits::new(bounds(config)?)),
            reserve: Reserve::new().map_err(StartError::Reserve)?,
            copy: copy::Bounds { buffer: Grade::at_most(buffer_max), idle: idle_timeout },
            connect_timeout,
            handshake_timeout,
            hold,
            encrypt_local,
            drain_deadline,
            dns: dns.transpose().map_err(StartError::Reserve)?,
            identities,
            doors: Doors::default(),
            loads: Loads::default(),
            l7,
            direct: Direct::new((!encrypt_local).then(|| Arc::clone(&kernel))),
            data,
            changed: watch::Sender::default(),
        };
        let shared = Arc::new(shared);
        let beat = direct::beat(Arc::clone(&shared), Arc::clone(&kernel), worker.clone());
        worker.spawn(beat);
        let follow = direct::follow(Arc::clone(&shared), Arc::clone(&kernel), worker.clone());
        worker.spawn(follow);
        let events = direct::events(Arc::clone(&shared), Arc::clone(&kernel), worker.clone());
        worker.spawn(events);
        let pods = Arc::new(Pods::new(shared, kernel, pods, worker));
        worker.spawn(Arc::clone(&pods).run(worker.clone()));
        worker.spawn(recheck::run(Arc::clone(&pods), worker.clone()));
        worker.spawn(rest_buffers(worker.clone()));
        Ok(Self { pods })
    }

    /// Every pod that is wanted or not yet let go.
    ///
    /// Reads the kernel's counters: some microseconds per pod.
    pub fn pods(&self) -> Vec<PodStatus> {
        self.pods.status()
    }

    /// The same for [`Metrics::set_pods`](culvert_telemetry::metrics::Metrics::set_pods), to be
    /// called for each scrape.
    pub fn samples(&self) -> Vec<PodSample> {
        self.pods.samples()
    }

    /// Every connection, pod by pod.
    pub fn connections(&self) -> Vec<ConnStatus> {
        self.pods.connections()
    }

    /// Waits until every pod that is wanted now is captured, or pending for a reason; and until
    /// something was published.
    pub async fn captured(&self) {
        self.pods.captured().await;
    }

    /// Whether the pod is captured in the namespace that is mounted at `netns`.
    pub fn capture(&self, uid: &WorkloadUid, netns: &Path) -> Capture {
        self.pods.capture(uid, netns)
    }

    /// Changes with every change of a pod's phase.
    pub fn pods_changed(&self) -> watch::Receiver<()> {
        self.pods.changed()
    }

    /// Stops changing anything in the kernel, so that a newer process can take over; what is under
    /// way is done when this returns. Connections are served as before.
    pub async fn freeze(&self) {
        self.pods.freeze().await;
    }

    /// Goes on after a take-over that did not come about.
    pub fn thaw(&self) {
        self.pods.thaw();
    }

    /// Says that no earlier process serves connections any more, so that what it left of pods that
    /// nobody wants can be undone. To be called at once after a start without a take-over, after
    /// one when the older process has ended.
    pub async fn predecessor_ended(&self) {
        self.pods.predecessor_ended().await;
    }
}

impl Dial for Dataplane {
    fn dial(&self, party: Option<&Party>, to: SocketAddr) -> Answer<Result<Opened, NoWay>> {
        let (shared, party) = (Arc::clone(&self.pods.shared), party.cloned());
        Box::pin(async move {
            let party = party.ok_or_else(|| NoWay("nobody to do it as".to_owned()))?;
            let door = shared.doors.enter(party.pod(), Arc::clone);
            let left = || NoWay(format!("the pod {} has left this node", party.pod()));
            let door = door.ok_or_else(left)?;
            let opened = match party {
                Party::Source(_) => dial::from_source(&door, to).await,
                Party::Destination { client, .. } => dial::to_application(&door, client, to).await,
            };
            opened.map_err(|error| NoWay(Chain(&error).to_string()))
        })
    }
}

/// Gives back the memory of copy buffers that nobody needs, until the drain begins.
async fn rest_buffers(worker: Worker) {
    let mut turns = time::interval(REST_EVERY);
    loop {
        tokio::select! {
            () = worker.finishing() => return,
            _ = turns.tick() => copy::rest(),
        }
    }
}

fn bounds(config: &Config) -> Result<Bounds, StartError> {
    let Config { max_connections_per_pod, descriptor_share, descriptor_reserve, .. } = *config;
    let (descriptors, _) =
        getrlimit(Resource::RLIMIT_NOFILE).map_err(|errno| StartError::Limit(errno.into()))?;
    Ok(Bounds::new(max_connections_per_pod, descriptors, descriptor_reserve, descriptor_share))
}
