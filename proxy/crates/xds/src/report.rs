//! What a node says beside discovery, and what it may do thereafter.
//!
//! Pure. The node keeps a [`Sheet`] of what is so; what goes out is what differs from what was
//! said. Whoever listens keeps a sheet for each node, and it comes to be the same.
use culvert_model::name::{ObjectName, WorkloadUid};
use culvert_proto::culvert::node::v1 as pb;
use std::collections::BTreeMap;

/// All that a node has to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sheet {
    pub pods: BTreeMap<WorkloadUid, Pod>,
    /// By type of resource.
    pub applied: BTreeMap<String, Applied>,
    /// By type of resource.
    pub refusals: BTreeMap<String, Vec<Refusal>>,
}

/// One pod of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    pub name: ObjectName,
    pub state: PodState,
}

/// How far a pod is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodState {
    /// Wanted, and not captured: why.
    Pending(String),
    /// Every connection goes through the node.
    Captured,
    /// Still captured, and asks to be let go.
    Leaving,
}

/// How far the node is with one type of resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The control plane's number.
    pub version: String,
    /// The node's own.
    pub generation: u64,
}

/// One resource that the node does not understand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub resource: String,
    pub version: String,
    /// Empty when the resource as a whole is meant.
    pub field: String,
    pub problem: String,
    pub previous_stays: bool,
}

/// What the control plane tells one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// The first: the control plane's version, and what differs for each of its lives.
    Welcome { version: String, life: String },
    /// These may be let go.
    Release(Vec<WorkloadUid>),
    /// Those of the node's pods that everybody is told to reach by HBONE; all of them each time.
    Announced(Vec<WorkloadUid>),
    /// What holds for the whole mesh and no resource says.
    Mesh(MeshSettings),
}

/// What holds for the whole mesh and no resource says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MeshSettings {
    pub outbound: Outbound,
    /// The node's own; empty: the default one.
    pub network: String,
    pub trust_domain: String,
}

/// What becomes of connections to destinations that nobody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outbound {
    /// They pass.
    #[default]
    AllowAny,
    /// They are refused.
    RegistryOnly,
}

/// A report that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Senseless {
    #[error("a message without content")]
    Empty,
    #[error("a second hello")]
    Hello,
    #[error("pod {0} is in state {1}, which this version does not know")]
    State(String, i32),
    #[error("a pod without a uid")]
    Uid,
    #[error("an outbound traffic policy {0}, which this version does not know")]
    Outbound(i32),
}

impl Sheet {
    /// What to say so that whoever knows `told` knows this; `None`: whoever knows nothing.
    pub fn since(&self, told: Option<&Self>) -> Vec<pb::NodeReport> {
        use pb::node_report::Report;
        let nothing = Self::default();
        let before = told.unwrap_or(&nothing);
        let mut reports = Vec::new();
        let pods: Vec<_> = (self.pods.iter())
            .filter(|(uid, pod)| before.pods.get(*uid) != Some(pod))
            .map(|(uid, pod)| encode_pod(uid, pod))
            .collect();
        let gone = before.pods.keys().filter(|uid| !self.pods.contains_key(*uid));
        let gone: Vec<_> = gone.map(|uid| uid.as_str().to_owned()).collect();
        if told.is_none() || !pods.is_empty() || !gone.is_empty() {
            reports.push(Report::Pods(pb::Pods { whole: told.is_none(), pods, gone }));
        }
        for (type_url, applied) in &self.applied {
            if before.applied.get(type_url) != Some(applied) {
                reports.push(Report::Applied(pb::Applied {
                    type_url: type_url.clone(),
                    version: applied.version.clone(),
                    generation: applied.generation,
                }));
            }
        }
        for (type_url, refusals) in &self.refusals {
            if before.refusals.get(type_url) != Some(refusals) {
                let (type_url, refusals) = (type_url.clone(), refusals.iter());
                let refusals = refusals.map(encode_refusal).collect();
                reports.push(Report::Refusals(pb::Refusals { type_url, refusals }));
            }
        }
        reports.into_iter().map(|report| pb::NodeReport { report: Some(report) }).collect()
    }

    /// Takes in what a node says after its hello.
    ///
    /// # Errors
    ///
    /// When it makes no sense; the sheet is then as it was.
    pub fn hear(&mut self, report: pb::NodeReport) -> Result<(), Senseless> {
        use pb::node_report::Report;
        match report.report.ok_or(Senseless::Empty)? {
            Report::Hello(_) => return Err(Senseless::Hello),
            Report::Pods(pb::Pods { whole, pods, gone }) => {
                let pods: Vec<_> = pods.into_iter().map(decode_pod).collect::<Result<_, _>>()?;
                if whole {
                    self.pods.clear();
                }
                for uid in gone {
                    self.pods.remove(&*uid);
                }
                self.pods.extend(pods);
            }
            Report::Applied(pb::Applied { type_url, version, generation }) => {
                self.applied.insert(type_url, Applied { version, generation });
            }
            Report::Refusals(pb::Refusals { type_url, refusals }) => {
                self.refusals.insert(type_url, refusals.into_iter().map(decode_refusal).collect());
            }
        }
        Ok(())
    }
}

impl Order {
    #[must_use]
    pub fn encode(self) -> pb::NodeOrder {
        use pb::node_order::Order as Message;
        let names = |uids: Vec<WorkloadUid>| {
            uids.iter().map(|uid| uid.as_str().to_owned()).collect::<Vec<_>>()
        };
        let order = match self {
            Self::Welcome { version, life } => Message::Welcome(pb::Welcome { version, life }),
            Self::Release(uids) => Message::Release(pb::Release { uids: names(uids) }),
            Self::Announced(uids) => Message::Announced(pb::Announced { hbone: names(uids) }),
            Self::Mesh(MeshSettings { outbound, network, trust_domain }) => {
                let outbound = match outbound {
                    Outbound::AllowAny => pb::Outbound::AllowAny,
                    Outbound::RegistryOnly => pb::Outbound::RegistryOnly,
                };
                Message::Mesh(pb::Mesh { outbound: outbound.into(), network, trust_domain })
            }
        };
        pb::NodeOrder { order: Some(order) }
    }

    /// # Errors
    ///
    /// When there is nothing in it that this version knows.
    pub fn decode(message: pb::NodeOrder) -> Result<Self, Senseless> {
        use pb::node_order::Order as Message;
        let uids = |names: Vec<String>| names.into_iter().map(WorkloadUid::new).collect();
        Ok(match message.order.ok_or(Senseless::Empty)? {
            Message::Welcome(pb::Welcome { version, life }) => Self::Welcome { version, life },
            Message::Release(pb::Release { uids: names }) => Self::Release(uids(names)),
            Message::Announced(pb::Announced { hbone }) => Self::Announced(uids(hbone)),
            Message::Mesh(pb::Mesh { outbound, network, trust_domain }) => {
                let outbound = match pb::Outbound::try_from(outbound) {
                    Ok(pb::Outbound::AllowAny) => Outbound::AllowAny,
                    Ok(pb::Outbound::RegistryOnly) => Outbound::RegistryOnly,
                    Ok(pb::Outbound::Unspecified) | Err(_) => {
                        return Err(Senseless::Outbound(outbound));
                    }
                };
                Self::Mesh(MeshSettings { outbound, network, trust_domain })
            }
        })
    }
}

fn encode_pod(uid: &WorkloadUid, Pod { name, state }: &Pod) -> pb::Pod {
    let (state, reason) = match state {
        PodState::Pending(why) => (pb::PodState::Pending, why.clone()),
        PodState::Captured => (pb::PodState::Captured, String::new()),
        PodState::Leaving => (pb::PodState::Leaving, String::new()),
    };
    pb::Pod {
        uid: uid.as_str().to_owned(),
        namespace: (*name.namespace).to_owned(),
        name: (*name.name).to_owned(),
        state: state.into(),
        reason,
    }
}

fn decode_pod(message: pb::Pod) -> Result<(WorkloadUid, Pod), Senseless> {
    let pb::Pod { uid, namespace, name, state, reason } = message;
    if uid.is_empty() {
        return Err(Senseless::Uid);
    }
    let state = match pb::PodState::try_from(state) {
        Ok(pb::PodState::Pending) => PodState::Pending(reason),
        Ok(pb::PodState::Captured) => PodState::Captured,
        Ok(pb::PodState::Leaving) => PodState::Leaving,
        Ok(pb::PodState::Unspecified) | Err(_) => return Err(Senseless::State(uid, state)),
    };
    Ok((WorkloadUid::new(uid), Pod { name: ObjectName::new(namespace, name), state }))
}

fn encode_refusal(refusal: &Refusal) -> pb::Refusal {
    let Refusal { resource, version, field, problem, previous_stays } = refusal.clone();
    pb::Refusal { resource, version, field, problem, previous_stays }
}

fn decode_refusal(message: pb::Refusal) -> Refusal {
    let pb::Refusal { resource, version, field, problem, previous_stays } = message;
    Refusal { resource, version, field, problem, previous_stays }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection, prelude::*};

    fn sheet() -> impl Strategy<Value = Sheet> {
        let state = prop_oneof![
            "[a-z]{0,3}".prop_map(PodState::Pending),
            Just(PodState::Captured),
            Just(PodState::Leaving),
        ];
        let pods = collection::btree_map("[a-d]", state, 0..4).prop_map(|pods| {
            let pod = |name: &str, state| Pod { name: ObjectName::new("ns", name), state };
            let pods = pods.into_iter();
            pods.map(|(uid, state)| (WorkloadUid::new(&*uid), pod(&uid, state))).collect()
        });
        // A type that was spoken of once is spoken of always.
        let applied = any::<(u8, u64)>().prop_map(|(version, generation)| {
            [("t".to_owned(), Applied { version: version.to_string(), generation })].into()
        });
        let refusal = any::<(u8, bool)>().prop_map(|(version, previous_stays)| Refusal {
            resource: "r".into(),
            version: version.to_string(),
            field: "f".into(),
            problem: "p".into(),
            previous_stays,
        });
        let refusals =
            collection::vec(refusal, 0..3).prop_map(|refusals| [("t".to_owned(), refusals)].into());
        (pods, applied, refusals).prop_map(|(pods, applied, refusals)| Sheet {
            pods,
            applied,
            refusals,
        })
    }

    proptest! {
        #[test]
        fn whoever_hears_all_of_it_knows_what_is_so(sheets in collection::vec(sheet(), 1..5)) {
            let (mut told, mut heard) = (None, Sheet::default());
            // Of an earlier stream.
            heard.pods.insert(
                WorkloadUid::new("stale"),
                Pod { name: ObjectName::new("ns", "stale"), state: PodState::Captured },
            );
            for sheet in sheets {
                for report in sheet.since(told.as_ref()) {
                    prop_assert_eq!(heard.hear(report), Ok(()));
                }
                prop_assert_eq!(&heard, &sheet);
                prop_assert_eq!(sheet.since(Some(&sheet)), vec![]);
                told = Some(sheet);
            }
        }
    }

    #[test]
    fn an_order_is_read_as_it_was_written() {
        for order in [
            Order::Welcome { version: "1".into(), life: "x".into() },
            Order::Release(vec![WorkloadUid::new("a")]),
            Order::Announced(vec![]),
            Order::Mesh(MeshSettings::default()),
            Order::Mesh(MeshSettings {
                outbound: Outbound::RegistryOnly,
                network: "n".into(),
                trust_domain: "td".into(),
            }),
        ] {
            assert_eq!(Order::decode(order.clone().encode()), Ok(order));
        }
        assert_eq!(Order::decode(pb::NodeOrder::default()), Err(Senseless::Empty));
    }

    #[test]
    fn what_makes_no_sense_changes_nothing() {
        use pb::node_report::Report;
        let mut heard = Sheet::default();
        let pods = vec![
            pb::Pod { uid: "a".into(), state: 2, ..pb::Pod::default() },
            pb::Pod { uid: "b".into(), ..pb::Pod::default() },
        ];
        let report = Report::Pods(pb::Pods { whole: true, pods, gone: vec![] });
        let said = heard.hear(pb::NodeReport { report: Some(report) });
        assert_eq!(said, Err(Senseless::State("b".into(), 0)));
        assert_eq!(heard, Sheet::default());
        let hello = Report::Hello(pb::Hello::default());
        assert_eq!(heard.hear(pb::NodeReport { report: Some(hello) }), Err(Senseless::Hello));
    }
}
