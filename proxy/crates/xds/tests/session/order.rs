//! Policies come before the workloads that name them, and go after.
use culvert_model::authz::{Action, Authorization, Scope};
use culvert_model::name::ObjectName;
use culvert_proto::{
    envoy::service::discovery::v3::{
        DeltaDiscoveryRequest as Request, DeltaDiscoveryResponse as Response,
    },
    istio::workload,
};
use culvert_xds::{
    client::{Client, Mode},
    decode,
    resource::{Address, Resource},
    server::{Connection, UnknownType, Worlds},
};
use std::sync::Arc;

fn policy(name: &str) -> Arc<Authorization> {
    Arc::new(Authorization {
        name: ObjectName::new("ns", name),
        scope: Scope::Selector,
        action: Action::Deny,
        dry_run: false,
        rules: Box::default(),
        origin: None,
    })
}

fn address(policies: &[&str]) -> Address {
    let message = workload::Workload {
        uid: "u".into(),
        namespace: "ns".into(),
        authorization_policies: policies.iter().map(|name| format!("ns/{name}")).collect(),
        ..workload::Workload::default()
    };
    Address::Member(Arc::new(decode::workload::decode(message).unwrap()))
}

fn worlds(policies: &[&str]) -> Worlds {
    let mut worlds = Worlds::default();
    change(&mut worlds, policies);
    worlds
}

/// The workload names `policies`, and these are all there are.
fn change(worlds: &mut Worlds, policies: &[&str]) {
    worlds.addresses.replace(&[address(policies)]);
    worlds.policies.replace(&policies.iter().map(|name| policy(name)).collect::<Vec<_>>());
}

fn accepted(response: &Response) -> Request {
    Request {
        type_url: response.type_url.clone(),
        response_nonce: response.nonce.clone(),
        ..Request::default()
    }
}

/// What is said in which order, each response answered before the next push.
fn said(connection: &mut Connection, worlds: &Worlds, first: Vec<Response>) -> Vec<String> {
    let (mut said, mut next) = (Vec::new(), first);
    while !next.is_empty() {
        for response in std::mem::take(&mut next) {
            let kind = if response.type_url == Address::TYPE_URL { "" } else { "policy " };
            said.extend(response.resources.iter().map(|one| format!("{kind}{}", one.name)));
            let gone = response.removed_resources.iter();
            said.extend(gone.map(|name| format!("{kind}{name} gone")));
            assert_eq!(connection.request(&accepted(&response), worlds), Ok(None));
        }
        next = connection.push(worlds);
    }
    said
}

#[test]
fn a_policy_comes_before_and_goes_after_the_workload_that_names_it() {
    let mut there = worlds(&["old"]);
    let mut connection = Connection::default();
    let first = [
        Client::<Arc<Authorization>>::new(Mode::Everything).connect(),
        Client::<Address>::new(Mode::Everything).connect(),
    ];
    let first = first.map(|request| connection.request(&request, &there).unwrap().unwrap());
    assert_eq!(said(&mut connection, &there, first.into()), ["policy ns/old", "u"]);
    change(&mut there, &["new"]);
    let next = connection.push(&there);
    assert_eq!(said(&mut connection, &there, next), ["policy ns/new", "u", "policy ns/old gone"]);
    change(&mut there, &[]);
    let next = connection.push(&there);
    assert_eq!(said(&mut connection, &there, next), ["u", "policy ns/new gone"]);
}

#[test]
fn also_on_a_new_stream() {
    let (old, new) = (worlds(&["old"]), worlds(&["new"]));
    let (mut policies, mut addresses) = (
        Client::<Arc<Authorization>>::new(Mode::Everything),
        Client::<Address>::new(Mode::Everything),
    );
    let mut connection = Connection::default();
    let response = connection.request(&policies.connect(), &old).unwrap().unwrap();
    drop(policies.receive(response));
    let response = connection.request(&addresses.connect(), &old).unwrap().unwrap();
    drop(addresses.receive(response));
    let mut connection = Connection::default();
    let first = [policies.connect(), addresses.connect()];
    let first = first.map(|request| connection.request(&request, &new).unwrap().unwrap());
    assert_eq!(
        said(&mut connection, &new, first.into()),
        ["policy ns/new", "u", "policy ns/old gone"]
    );
}

#[test]
fn nothing_overtakes_what_is_not_answered() {
    let mut there = worlds(&[]);
    let mut connection = Connection::default();
    let first = [
        Client::<Arc<Authorization>>::new(Mode::Everything).connect(),
        Client::<Address>::new(Mode::Everything).connect(),
    ];
    let [policies, addresses] =
        first.map(|request| connection.request(&request, &there).unwrap().unwrap());
    change(&mut there, &["new"]);
    assert_eq!(connection.push(&there), [], "the policies are not answered");
    assert_eq!(connection.request(&accepted(&policies), &there), Ok(None));
    let sets = connection.push(&there);
    assert_eq!(sets.len(), 1, "the addresses are not answered");
    assert_eq!(connection.request(&accepted(&addresses), &there), Ok(None));
    assert_eq!(said(&mut connection, &there, sets), ["policy ns/new", "u"]);
}

#[test]
fn what_is_not_served_is_said() {
    let request = Request { type_url: "t".into(), ..Request::default() };
    let answer = Connection::default().request(&request, &Worlds::default());
    assert_eq!(answer, Err(UnknownType("t".into())));
}
