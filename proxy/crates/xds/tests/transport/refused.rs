//! One resource that a node does not understand closes that one, and nothing else.
use crate::mesh::{Control, Seen, address, follow, policy};
use culvert_model::authz::{Authorization, Origin};
use culvert_proto::{
    envoy::service::discovery::v3 as ads,
    istio::{security, workload},
};
use culvert_runtime::drain::Drain;
use culvert_xds::{
    client::Mode,
    decode::{DecodeError, Problem},
    resource::{Address, Name, Resource},
    transport::{
        follow::{Apply, Changed, Holdings},
        nodes::Kind,
    },
};
use parking_lot::Mutex;
use std::sync::Arc;

/// A message that says what no word of the model can.
#[derive(Clone, Debug, PartialEq)]
struct Raw<M>(&'static str, M);

/// What is refused, and what stands in for it.
#[derive(Clone, Default)]
struct Refused(Arc<Mutex<Vec<String>>>);

macro_rules! raw {
    ($message:ty, $stands_for:ty) => {
        impl Resource for Raw<$message> {
            const TYPE_URL: &'static str = <$stands_for>::TYPE_URL;
            const FOLLOWS_ORIGIN: bool = true;
            type Message = $message;
            type StandIn = ();

            fn name(&self) -> Name {
                self.0.into()
            }

            fn aliases(&self) -> Vec<Name> {
                Vec::new()
            }

            fn origin(&self) -> Option<&Origin> {
                None
            }

            fn encode(&self) -> $message {
                self.1.clone()
            }

            fn decode(_: $message, _: Option<Origin>) -> Result<Self, DecodeError> {
                Err(DecodeError::whole(Problem::Unsupported))
            }

            fn stand_in(_: &ads::Resource, _: Option<&$message>) {}
        }
    };
}

raw!(workload::Address, Address);
raw!(security::Authorization, Arc<Authorization>);

impl Apply for Refused {
    fn apply(&mut self, holdings: &Holdings, _: Changed) {
        let addresses = holdings.addresses.refused();
        let addresses = addresses.map(|(name, refused)| {
            format!("{name}: {}, closed: {:?}", refused.error, refused.stand_in)
        });
        let policies = holdings.policies.refused();
        let policies = policies.map(|(name, refused)| {
            let denies = refused.stand_in.as_ref().map(|policy| policy.action);
            format!("{name}: {}, in its place: {denies:?}", refused.error)
        });
        *self.0.lock() = addresses.chain(policies).collect();
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one stream, from the first state to the last")]
async fn a_bad_resource_is_refused_by_name_and_field_and_closes_only_what_it_must() {
    let (mut control, drain, seen) = (Control::new(), Drain::default(), Seen::new());
    control.set(&[address("a", 1), address("bad", 2)], &[policy("p")]);
    let mut follower = follow(control.upstream(), Mode::Everything, &seen, &drain.worker());
    follower.until(|status| status.ready).await.unwrap();
    seen.until(&["a", "bad", "ns/p"]).await;
    let refused = Refused::default();
    let who = culvert_xds::transport::follow::Who {
        node: "b".into(),
        cluster: "c".into(),
        ip: "1.1.1.2".into(),
        name: "culvert".into(),
        namespace: "ns".into(),
        version: "0".into(),
    };
    // Two of three are not understood: one was held before, the others never were.
    let service_account = workload::Workload {
        uid: "bad".into(),
        namespace: "ns".into(),
        addresses: vec![vec![10, 0, 0, 2].into()],
        tunnel_protocol: 2,
        ..workload::Workload::default()
    };
    let lengths = workload::Workload {
        uid: "worse".into(),
        addresses: vec![vec![10, 0, 0, 3].into(), vec![10, 0, 0].into()],
        ..service_account.clone()
    };
    let message =
        |workload| workload::Address { r#type: Some(workload::address::Type::Workload(workload)) };
    let all = [Raw("bad", message(service_account)), Raw("worse", message(lengths))];
    let deny = security::Authorization {
        name: "deny".into(),
        namespace: "ns".into(),
        scope: 9,
        action: 1,
        ..security::Authorization::default()
    };
    let mut worlds = control.view.pin().value.clone();
    worlds.addresses.change(&all, []);
    worlds.addresses.change(&[address("c", 4)], []);
    worlds.policies.change(&[Raw("ns/deny", deny)], []);
    let sequence = worlds.addresses.sequence();
    control.publisher.publish(worlds);
    // What was held stays, what is good comes.
    seen.until(&["a", "bad", "c", "ns/p"]).await;
    let worker = drain.worker();
    let upstream = control.upstream();
    let mode = Mode::Everything;
    let mut late = culvert_xds::transport::follow::Follower::start(
        upstream,
        &who,
        mode,
        refused.clone(),
        &worker,
    );
    late.until(|status| status.ready).await.unwrap();
    let told = refused.0.lock().clone();
    let [bad, worse, policy] = &*told else { panic!("{told:#?}") };
    assert!(bad.contains("bad: workload.tunnel_protocol: ") && bad.contains("10.0.0.2"), "{bad}");
    assert!(worse.contains("addresses[1]: address has 3 bytes"), "{worse}");
    assert!(worse.contains("10.0.0.3"), "{worse}");
    assert_eq!(
        policy,
        "ns/deny: scope: 9 is no value that this version knows, in its place: Some(Deny)"
    );
    // The control plane knows who refused what.
    let mut changes = control.nodes.changes();
    loop {
        let listed = control.nodes.list(&control.view.pin().value);
        if listed.len() == 2 && listed.iter().all(|node| node.refusals.len() == 2) {
            assert!(listed[0].refusals.iter().any(|said| said.contains("ns/deny: scope")));
            break;
        }
        changes.changed().await.unwrap();
    }
    let acked = control.nodes.acked(Kind::Addresses);
    assert!(!acked.everybody(sequence, "bad") && !acked.node("a", sequence, "worse"));
    // Of a response that was refused in part nobody knows what was accepted.
    assert!(acked.node("a", sequence, "a") && !acked.node("b", sequence, "a"));
}
