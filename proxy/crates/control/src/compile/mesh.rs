//! What a set of objects means for the whole mesh.
use crate::problem::Problem;
use culvert_model::{
    authz::Authorization,
    identity::Identity,
    member::{Member, Tunnel},
    name::{ObjectName, ServiceName, WorkloadUid},
    pod::LocalPods,
    service::Service,
    snapshot::{self, OutboundPolicy, Snapshot, build::Builder},
};
use std::{collections::BTreeMap, sync::Arc};

/// Everything the objects say; what is announced of it is decided elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mesh {
    pub config: Arc<MeshConfig>,
    pub members: BTreeMap<WorkloadUid, Arc<Wanted>>,
    /// Pods that are to be in the mesh and have no address yet: no workloads so far.
    pub expected: BTreeMap<WorkloadUid, Arc<Expected>>,
    pub services: BTreeMap<ServiceName, Arc<Offered>>,
    /// Each says itself where it was written.
    pub policies: BTreeMap<ObjectName, Arc<Authorization>>,
    /// The enrolled pods of this node.
    pub local: LocalPods,
    /// Policies that close more than they say, for L4 cannot see what they ask for.
    pub closing: BTreeMap<ObjectName, Arc<Closing>>,
    /// Warnings: the set is used, and may not mean what its author thinks.
    pub notes: Vec<Problem>,
}

impl Mesh {
    /// What every node knows of it once all that is to be in it is held.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut builder = Builder::new(snapshot::Mesh {
            network: Arc::clone(&self.config.network),
            outbound: self.config.outbound,
            node: "".into(),
        });
        for wanted in self.members.values() {
            builder.set_member(wanted.announced(true));
        }
        for offered in self.services.values() {
            builder.set_service(Arc::clone(&offered.service));
        }
        for policy in self.policies.values() {
            builder.set_policy(Arc::clone(policy));
        }
        builder.build()
    }
}

/// A workload as the objects want it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Reached in plain text, and without [`mtls`](Self::mtls), unless it speaks HBONE by itself:
    /// see [`announced`](Self::announced).
    pub member: Arc<Member>,
    /// It is to be in the mesh; its node (`member.node`) must hold it first.
    pub enrolled: bool,
    /// A node wrote on the pod that it holds it (`ambient.istio.io/redirection: enabled`).
    pub recorded: bool,
    /// Policies that refuse plain text: in force from the moment it is announced as held.
    pub mtls: Box<[ObjectName]>,
    /// Where it was written, as `file:line`; no part of any version.
    pub origin: Arc<str>,
}

/// A pod that is being made: its node is known, and who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    pub node: Arc<str>,
    pub name: ObjectName,
    pub identity: Identity,
}

/// A service, and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    pub service: Arc<Service>,
    /// As `file:line`; no part of any version.
    pub origin: Arc<str>,
}

/// Why a policy closes more than it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// `Kind/namespace/name` of the object.
    pub object: Arc<str>,
    /// For a person: what is not seen, and what follows.
    pub because: Arc<str>,
    /// As `file:line`.
    pub origin: Arc<str>,
}

/// What holds for the whole mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshConfig {
    pub root_namespace: Arc<str>,
    pub trust_domain: Arc<str>,
    /// The network of what this control plane speaks of; empty: the default network.
    pub network: Arc<str>,
    pub outbound: OutboundPolicy,
    pub certificates: Certificates,
}

/// What applications are told of their clients' certificates, where HTTP is looked at on the way in
/// (`x-forwarded-client-cert`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Certificates {
    /// Nothing, and what clients say of it is taken away.
    #[default]
    Sanitize,
    /// Who the tunnel proved its client to be, and nothing else.
    Set,
    /// The same, after what the client says.
    Append,
}

impl Default for MeshConfig {
    fn default() -> Self {
        Self {
            root_namespace: ROOT_NAMESPACE.into(),
            trust_domain: "cluster.local".into(),
            network: "".into(),
            outbound: OutboundPolicy::AllowAny,
            certificates: Certificates::default(),
        }
    }
}

/// Where policies for the whole mesh are when nothing else is said.
pub(super) const ROOT_NAMESPACE: &str = "culvert-system";

impl Wanted {
    /// The member as it is announced; `held`: its node holds it, so HBONE is spoken there.
    #[must_use]
    pub fn announced(&self, held: bool) -> Arc<Member> {
        if !held || !self.enrolled {
            return Arc::clone(&self.member);
        }
        let mut member = Member::clone(&self.member);
        member.tunnel = Tunnel::Hbone;
        member.policies = member.policies.iter().chain(&self.mtls).cloned().collect();
        Arc::new(member)
    }
}
