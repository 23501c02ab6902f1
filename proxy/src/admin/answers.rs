//! What the doors are answered from: handles on the running parts.
use super::{
    certificates, dump, manifests, mesh, policies, view,
    why::{self, Unanswered, Wanted},
};
use crate::{
    config::{
        Config,
        report::{Entry, Report},
        settings,
    },
    node::{
        Handles, Source,
        l7::{L7, engines::Here},
    },
};
use culvert_dataplane::{ConnState, ConnStatus, Dataplane, PodPhase, PodStatus};
use culvert_kernel::Capabilities;
use culvert_model::{
    member::{Member, Tunnel},
    service::Port,
    snapshot::Bound,
    workload::Workload,
};
use culvert_policy::why::Leg;
use culvert_runtime::ready::Readiness;
use culvert_telemetry::{
    log::LogHandle,
    metrics::{Format, Metrics},
};
use std::{
    process,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Handles on every part of a running node.
#[derive(Debug)]
pub(crate) struct Answers {
    pub(crate) config: Config,
    pub(crate) report: Report,
    pub(crate) capabilities: Capabilities,
    /// Changes when a take-over came to nothing.
    pub(crate) generation: Arc<AtomicU64>,
    pub(crate) readiness: Readiness,
    pub(crate) log: LogHandle,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) feed: Handles,
    pub(crate) dataplane: Dataplane,
    pub(crate) l7: L7,
}

impl Answers {
    pub(super) fn version(&self) -> view::Version {
        view::Version { version: VERSION.to_owned(), abi: culvert_common::ABI_VERSION }
    }

    pub(super) fn ready(&self) -> view::Ready {
        let waiting = self.readiness.waiting();
        view::Ready {
            ready: waiting.is_empty(),
            waiting: waiting.into_iter().map(str::to_owned).collect(),
            pid: process::id(),
            pod: self.config.pod_uid.clone(),
        }
    }

    pub(super) fn status(&self) -> view::Status {
        let waiting = self.readiness.waiting();
        view::Status {
            instance: self.config.instance.clone(),
            version: VERSION.to_owned(),
            abi: culvert_common::ABI_VERSION,
            pid: process::id(),
            generation: self.generation.load(Ordering::Relaxed),
            node: self.config.node_name.clone(),
            cluster: self.config.cluster.clone(),
            trust_domain: self.config.trust_domain.clone(),
            ready: waiting.is_empty(),
            waiting: waiting.into_iter().map(str::to_owned).collect(),
            configuration: manifests::of_node(&self.feed.source),
            mesh: mesh::of_node(&self.feed),
            control: match &self.feed.source {
                Source::Here { control, .. } => Some(mesh::of_control(control)),
                Source::Pods { .. } | Source::Cluster { .. } => None,
            },
            // Capabilities are plain fields.
            kernel: serde_json::to_value(&self.capabilities).unwrap_or_default(),
            ambient_namespaces: self.config.ambient.to_string(),
            cni: self.config.cni.conf_dir.as_deref().map(super::cni::look),
            pods: self.pods(),
        }
    }

    pub(super) fn pods(&self) -> Vec<view::Pod> {
        let mut pods: Vec<_> = self.dataplane.pods().iter().map(pod).collect();
        let wanted = self.feed.source.local().pin();
        // Those that wait for the mesh to be known.
        for (uid, local) in &wanted.value.pods {
            if !pods.iter().any(|pod| pod.uid == uid.as_str()) {
                pods.push(waiting(&local.workload));
            }
        }
        pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        pods
    }

    pub(super) fn connections(&self) -> Vec<view::Connection> {
        let mut connections: Vec<_> = self.dataplane.connections().iter().map(connection).collect();
        connections.sort_by(|a, b| a.pod.cmp(&b.pod).then(b.age_seconds.total_cmp(&a.age_seconds)));
        connections
    }

    pub(super) fn config(&self) -> view::Config {
        let snapshot = self.feed.snapshot.pin();
        let mut workloads: Vec<_> =
            snapshot.value.all_known().map(|known| workload(&known.member)).collect();
        workloads.sort_by(|a, b| a.uid.cmp(&b.uid));
        let mut services: Vec<_> = snapshot.value.services().map(|b| service(b)).collect();
        services.sort_by(|a, b| (&a.namespace, &a.host).cmp(&(&b.namespace, &b.host)));
        view::Config {
            settings: self.report.0.iter().map(|entry| self.setting(entry)).collect(),
            generation: snapshot.generation.number(),
            workloads,
            services,
        }
    }

    pub(super) fn certificates(&self) -> view::Certificates {
        certificates::all(&self.feed.identities)
    }

    pub(super) fn policies(&self) -> Vec<view::Policy> {
        policies::all(&self.feed.snapshot.pin().value)
    }

    /// Engines that have not begun do so, as with the connection that is asked about.
    pub(super) async fn why(
        &self,
        (from, to): (&str, &str),
        wanted: &Wanted,
    ) -> Result<view::Why, Unanswered> {
        /// The client's, then the server's.
        const SIDES: usize = 2;
        if !wanted.is_some() {
            return why::ask(&self.feed.snapshot.pin().value, from, to);
        }
        let mut asleep = SIDES;
        loop {
            let snapshot = self.feed.snapshot.pin();
            let (document, through) =
                why::ask_for(wanted, (from, to), &snapshot.value, &Here(&self.l7))?;
            let mut awake = false;
            let mut waited: Vec<&Leg> = Vec::new();
            for leg in through.legs().filter(|leg| asleep > 0 && leg.is_asleep()) {
                let is_same =
                    |one: &&Leg| one.namespace == leg.namespace && one.direction == leg.direction;
                if !waited.iter().any(is_same) {
                    waited.push(leg);
                    awake |= self.l7.awaken(leg).await;
                }
            }
            if !awake {
                return Ok(document);
            }
            asleep -= 1;
        }
    }

    pub(super) fn dump(&self) -> serde_json::Value {
        dump::dump(&self.feed.snapshot.pin().value, &self.feed.identities, &self.dataplane)
    }

    /// In force now: the log may have been changed since the start.
    fn setting(&self, entry: &Entry) -> view::Setting {
        let (name, current) = (entry.name.to_owned(), self.log.current());
        if entry.name == settings::LOG.name && entry.value != current {
            return view::Setting { name, value: current.into(), from: "culvert log".to_owned() };
        }
        view::Setting { name, value: entry.value.clone(), from: entry.from.clone() }
    }

    pub(super) fn log(&self) -> view::Log {
        view::Log { log: self.log.current() }
    }

    pub(super) fn exposition(&self, format: Format) -> String {
        self.metrics.set_pods(self.dataplane.samples());
        self.metrics.set_certificates(certificates::samples(&self.feed.identities));
        self.metrics.set_generations(self.l7.generations());
        self.metrics.encode(format)
    }
}

pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

fn workload(member: &Member) -> view::Workload {
    view::Workload {
        uid: member.uid.to_string(),
        namespace: member.name.namespace.to_string(),
        name: member.name.name.to_string(),
        ips: member.addresses.iter().map(ToString::to_string).collect(),
        node: member.node.to_string(),
        identity: member.identity.to_string(),
        enrolled: member.tunnel == Tunnel::Hbone,
    }
}

fn service(bound: &Bound) -> view::Service {
    let Bound { service, endpoints, .. } = bound;
    let port = |port: &Port| match port.target {
        Some(target) => format!("{}:{target}", port.port),
        None => port.port.to_string(),
    };
    view::Service {
        namespace: service.host.namespace.to_string(),
        host: service.host.hostname.to_string(),
        vips: service.vips.iter().map(|vip| vip.range.to_string()).collect(),
        ports: service.ports.iter().map(port).collect(),
        endpoints: endpoints.len(),
    }
}

fn pod(status: &PodStatus) -> view::Pod {
    let (state, reason) = match &status.state {
        PodPhase::Captured => ("captured", None),
        PodPhase::Pending { reason } => ("pending", Some(reason.clone())),
        PodPhase::Leaving => ("leaving", None),
    };
    view::Pod {
        uid: status.uid.clone(),
        namespace: status.namespace.clone(),
        name: status.name.clone(),
        ips: status.ips.iter().map(ToString::to_string).collect(),
        state: state.to_owned(),
        reason,
        connections: status.connections.into(),
        // Counters are plain fields.
        kernel: serde_json::to_value(status.kernel).unwrap_or_default(),
    }
}

fn waiting(workload: &Workload) -> view::Pod {
    view::Pod {
        uid: workload.uid.to_string(),
        namespace: workload.name.namespace.to_string(),
        name: workload.name.name.to_string(),
        ips: workload.ips.iter().map(|ip| ip.to_string()).collect(),
        state: "pending".to_owned(),
        reason: Some("the control plane has not said yet what there is".to_owned()),
        connections: 0,
        kernel: serde_json::Value::Null,
    }
}

fn connection(status: &ConnStatus) -> view::Connection {
    let state = match status.state {
        ConnState::Opening => "opening",
        ConnState::Open => "open",
    };
    // `<cluster>//Pod/<namespace>/<name>`
    let pod = status.pod.split_once("//Pod/").map_or(&*status.pod, |(_, name)| name).to_owned();
    view::Connection {
        pod,
        direction: status.direction.to_owned(),
        source: status.source.to_string(),
        destination: status.destination.to_string(),
        state: state.to_owned(),
        bytes_sent: status.bytes_sent,
        bytes_received: status.bytes_received,
        age_seconds: status.age,
        path: Some(status.path.to_owned()),
        source_identity: status.source_identity.clone(),
        destination_identity: status.destination_identity.clone(),
        service: status.service.clone(),
        hop: status.hop.map(|hop| hop.to_string()),
    }
}
