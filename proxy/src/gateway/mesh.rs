//! A gateway of the mesh: the control plane tells it what to serve and who is in the mesh, it has
//! an identity of its own, and reaches members by tunnel as that.
//!
//! Reading order: [`told`] (how it presents itself), [`own`] (its identity, for listeners), [`Plan`] (its way in, found before anything
//! starts), [`Mesh`] (what runs).
mod own;
mod told;

use super::options::{Of, Options};
use crate::{
    config::{Config, mesh::Upstream, settings},
    failure::{Exit, Failure},
    node::{
        advice,
        discovery::Discovery,
        l7::subscription::Server,
        ways::{Home, Ways},
    },
};
use culvert_dataplane::{Gateway, GatewayWires};
use culvert_identity::{
    clock::SystemClock,
    crl,
    issue::Issuer,
    keeper::{self, Parties},
    store::{Hold, Identities},
    trust::TrustStore,
};
use culvert_kernel::Node;
use culvert_model::{
    identity::Identity,
    locality::Locality,
    member::Member,
    name::{ObjectName, WorkloadUid},
    snapshot::{Mesh as Settings, OutboundPolicy, Snapshot},
};
use culvert_runtime::{
    doors::Dial,
    drain::Worker,
    publish::{self, Generation, View},
};
use culvert_telemetry::metrics::Metrics;
use culvert_xds::{
    client::Mode,
    envoy::{bootstrap::Bootstrap, discover::Reach},
    transport::follow::{Follower, Who},
};
use std::{
    future::pending,
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
};
use tokio::runtime::Handle;
use tracing::info;

/// What is found good before anything starts.
pub(super) struct Plan {
    config: Config,
    member: Member,
    ways: Ways,
    issuer: Arc<dyn Issuer>,
    ip: String,
}

/// What the process gives it.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) metrics: Arc<Metrics>,
    /// Of the node in it, if there is one.
    pub(crate) kernel: Option<Arc<Node>>,
    /// The runtime of connections.
    pub(crate) data: Handle,
}

/// The gateway's part in the mesh, as it runs.
#[derive(Debug)]
pub(super) struct Mesh {
    pub(super) name: ObjectName,
    /// Of the control plane, for people.
    pub(super) address: String,
    /// What the part counts that Envoy has no numbers for.
    pub(super) metrics: Arc<Metrics>,
    gateway: Gateway,
    around: own::Around,
    snapshot: View<Snapshot>,
    identities: Identities,
    own: Hold,
}

/// Finds the way to the control plane.
///
/// # Errors
///
/// When settings or token lead nowhere.
pub(super) fn ways(of: &Of) -> Result<Ways, Failure> {
    let Of { name, config } = of;
    let id = name.to_string();
    let home = Home { node: &id, cluster: &config.cluster, trust_domain: &config.trust_domain };
    Ways::open(upstream(config)?, None, home).map_err(|e| advice::no_way(&e))
}

/// Finds what is to be asked there.
///
/// # Errors
///
/// When the way does not lead to certificates.
pub(super) fn prepare(
    options: &Options,
    of: &Of,
    ways: Ways,
) -> Result<(Bootstrap, Plan), Failure> {
    let config = &of.config;
    let issuer = ways.issuer().ok_or_else(|| {
        Failure::new(
            Exit::Usage,
            "the control plane is reached in plain text, by which nobody asks for certificates",
            format!("set {}, or an https URL with {}", settings::CA_ADDRESS, settings::CONTROL),
        )
    })?;
    let (bootstrap, ip) = told::bootstrap(options, of, &ways.l7())?;
    let member = member(options, of, ways.trust_domain())?;
    Ok((bootstrap, Plan { config: config.clone(), member, ways, issuer, ip }))
}

/// A gateway is not in one process with its control plane; its settings see to it.
fn upstream(config: &Config) -> Result<&Upstream, Failure> {
    config.mesh.upstream.as_ref().ok_or_else(|| {
        let next = format!("set {}", settings::CONTROL);
        Failure::new(Exit::Usage, "nothing says where the control plane is", next)
    })
}

/// The gateway to those who find ways, whatever the control plane knows of it.
fn member(options: &Options, of: &Of, trust_domain: &str) -> Result<Member, Failure> {
    let Of { name, config } = of;
    let identity = Identity::try_new(trust_domain, &name.namespace, &name.name);
    let identity = identity
        .map_err(|error| Failure::of(Exit::Usage, &error, "give the gateway as NAMESPACE/NAME"))?;
    let uid = WorkloadUid::new(format!("{}//Gateway/{name}", config.cluster));
    let zone = options.node.zone.as_deref().unwrap_or_default().into();
    let network = config.mesh.upstream.as_ref().map_or("", |upstream| &upstream.network);
    Ok(Member {
        // Of whichever family it is to go by.
        addresses: [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()].into(),
        network: network.into(),
        cluster: config.cluster.as_str().into(),
        locality: Arc::new(Locality { zone, ..Locality::default() }),
        canonical_name: Arc::clone(&name.name),
        owner: Arc::clone(&name.name),
        ..Member::new(uid, name.clone(), identity)
    })
}

impl Plan {
    /// Starts to follow the control plane, as tasks of `worker`; connections run on `data`.
    ///
    /// # Errors
    ///
    /// When files that the settings name are no good.
    pub(super) fn start(self, host: &Host, worker: &Worker) -> Result<Mesh, Failure> {
        let Host { metrics, kernel, data } = host.clone();
        let Self { config, member, ways, issuer, ip } = self;
        let trust = TrustStore::default();
        if let Some(path) = &config.mesh.crl {
            crl::watch(path, &trust, worker).map_err(|error| advice::no_crl(&error))?;
        }
        let ways = ways.with_mesh(&trust);
        let parties = Parties { issuer, trust, clock: Arc::new(SystemClock) };
        let validity = config.mesh.certificate_life;
        let settings = keeper::Settings { validity, ..keeper::Settings::default() };
        let identities = keeper::start(parties, settings, worker);
        let own = identities.hold(member.identity.clone());
        let (snapshots, snapshot) = publish::channel(Snapshot::default());
        let outbound = OutboundPolicy::AllowAny;
        let mesh = Settings { network: Arc::clone(&member.network), outbound, node: "".into() };
        // The mesh's settings are told to those who report.
        let (discovery, _progress) = Discovery::new(mesh, true, snapshots);
        let upstream = ways.discovery().map_err(|e| advice::no_way(&e))?;
        let name = member.name.clone();
        let who = Who {
            node: name.to_string(),
            cluster: config.cluster.clone(),
            ip,
            name: name.name.to_string(),
            namespace: name.namespace.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let applier = discovery.applier(Arc::clone(&metrics));
        Follower::start(upstream, &who, Mode::Everything, applier, worker);
        let wires = GatewayWires {
            member,
            snapshot: snapshot.clone(),
            identities: identities.clone(),
            metrics: Arc::clone(&metrics),
            kernel,
            data,
            connect_timeout: config.limits.connect_timeout,
            handshake_timeout: config.mesh.handshake_timeout,
        };
        let gateway = Gateway::start(wires, worker);
        let secrets = own::follow(identities.clone(), own.identity().clone(), worker);
        let around = own::Around { server: Server(ways.l7()), own: secrets };
        let address = ways.address();
        Ok(Mesh { name, address, metrics, gateway, around, snapshot, identities, own })
    }
}

impl Mesh {
    /// Who opens its connections.
    pub(super) fn dial(&self) -> Arc<dyn Dial> {
        Arc::new(self.gateway.clone())
    }

    /// The way to whoever tells it what to serve.
    pub(super) fn reach(&self) -> Arc<dyn Reach> {
        Arc::new(self.around.clone())
    }

    /// Waits until it is known who is in the mesh, and the gateway can prove who it is itself.
    pub(super) async fn known(&self) {
        let mut snapshot = self.snapshot.clone();
        // The publisher lives as long as the process.
        if let Some(first) = snapshot.newer_than(Generation::FIRST).await {
            let workloads = first.value.all_known().count();
            info!(address = self.address, workloads, "the mesh is known");
        }
        // Who has none is told of by the keeper, which asks again; it lives as long as the process.
        if self.identities.certified(self.own.identity()).await.is_none() {
            pending::<()>().await;
        }
    }
}
