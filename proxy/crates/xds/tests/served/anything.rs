//! Whatever a client says, in any order: nothing is sent twice without reason, and nothing breaks.
use crate::client::{KINDS, made};
use culvert_proto::{
    envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest},
    google::rpc::Status,
};
use culvert_xds::envoy::{
    kind::Kind,
    serve::{
        channel::{Channel, Delta, Whole},
        offer::Offer,
        session::Session,
    },
};
use proptest::{collection, prelude::*};

/// A request of either protocol, and what has changed before it.
#[derive(Clone, Debug)]
struct Said {
    type_url: String,
    names: Vec<String>,
    others: Vec<String>,
    versions: Vec<(String, String)>,
    nonce: String,
    refuses: bool,
    change: Option<(usize, bool)>,
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-d]", 1 => Just("*".to_owned()), 1 => ".{0,8}"]
}

fn said() -> impl Strategy<Value = Said> {
    let kinds = prop::sample::select(Kind::ALL.map(Kind::type_url).to_vec());
    let kind = prop_oneof![9 => kinds.prop_map(str::to_owned), 1 => ".{0,20}"];
    let nonce = prop_oneof![3 => "[1-9]", 2 => Just(String::new()), 1 => ".{0,4}"];
    let names = || collection::vec(name(), 0..4);
    let versions = collection::vec((name(), prop_oneof![Just("v1".to_owned()), ".{0,3}"]), 0..3);
    let change = prop::option::of((0..4_usize, any::<bool>()));
    (kind, names(), names(), versions, nonce, any::<bool>(), change).prop_map(
        |(type_url, names, others, versions, nonce, refuses, change)| Said {
            type_url,
            names,
            others,
            versions,
            nonce,
            refuses,
            change,
        },
    )
}

fn refusal(said: &Said) -> Option<Status> {
    said.refuses.then(|| Status { message: "no".to_owned(), ..Status::default() })
}

fn delta(said: &Said) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: said.type_url.clone(),
        resource_names_subscribe: said.names.clone(),
        resource_names_unsubscribe: said.others.clone(),
        initial_resource_versions: said.versions.iter().cloned().collect(),
        response_nonce: said.nonce.clone(),
        error_detail: refusal(said),
        ..DeltaDiscoveryRequest::default()
    }
}

fn whole(said: &Said) -> DiscoveryRequest {
    DiscoveryRequest {
        version_info: said.versions.first().map(|(_, it)| it.clone()).unwrap_or_default(),
        type_url: said.type_url.clone(),
        resource_names: said.names.clone(),
        response_nonce: said.nonce.clone(),
        error_detail: refusal(said),
        ..DiscoveryRequest::default()
    }
}

fn holds_out<C: Channel>(all: &[Said], request: impl Fn(&Said) -> C::Request) {
    let (mut session, mut offer) = (Session::<C>::default(), Offer::default());
    for said in all {
        if let Some((name, is_there)) = said.change {
            let (kind, name) = (KINDS[name], ["a", "b", "c", "d"][name]);
            offer.generation += 1;
            match is_there {
                true => offer.change([made(kind, name, &offer.generation.to_string())], []),
                false => offer.change([], [(kind, name.into())]),
            };
        }
        drop(session.request(&request(said), &offer, "test"));
        drop(session.push(&offer, "test", said.refuses));
        // What was sent is not sent again while it is not answered.
        assert!(session.push(&offer, "test", false).is_empty());
    }
    let progress = session.progress(&offer);
    assert!(progress.unanswered <= 2 * all.len() + Kind::ALL.len());
}

proptest! {
    #[test]
    fn of_changes(all in collection::vec(said(), 0..20)) {
        holds_out::<Delta>(&all, delta);
    }

    #[test]
    fn of_states_of_the_world(all in collection::vec(said(), 0..20)) {
        holds_out::<Whole>(&all, whole);
    }
}
