//! What comes into force when, and what is forgotten.
use super::*;
use crate::envoy::{decode::Nothing, wanted::Asked};
use culvert_model::http::source::From;
use culvert_proto::{
    api::envoy::config::{
        cluster::v3::Cluster as ClusterPb, endpoint::v3::ClusterLoadAssignment,
        listener::v3::Listener as ListenerPb, route::v3::RouteConfiguration,
    },
    json,
};
use proptest::prelude::*;

const ADS: Asked = Asked::Source(From::Ads);

fn packed<M: culvert_proto::Message + culvert_proto::Name + Default>(yaml: &str) -> Any {
    let message: M = json::read(&json::yaml::read(yaml).unwrap()).unwrap();
    Any {
        type_url: format!("type.googleapis.com/{}", M::full_name()),
        value: message.encode_to_vec(),
    }
}

fn cluster(name: &str, more: &str) -> Incoming {
    incoming(
        name,
        packed::<ClusterPb>(&format!(
            "{{name: {name}, type: EDS, eds_cluster_config: {{eds_config: {{ads: {{}}}}}}{more}}}"
        )),
    )
}

fn endpoints(name: &str) -> Incoming {
    incoming(name, packed::<ClusterLoadAssignment>(&format!("{{cluster_name: {name}}}")))
}

fn listener(name: &str, routes: &str) -> Incoming {
    incoming(
        name,
        packed::<ListenerPb>(&format!(
            "
name: {name}
address: {{socket_address: {{address: 0.0.0.0, port_value: 80}}}}
filter_chains:
- filters:
  - name: h
    typed_config:
      '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
      stat_prefix: p
      rds: {{route_config_name: {routes}, config_source: {{ads: {{}}}}}}
      http_filters: [{{name: envoy.filters.http.router}}]
"
        )),
    )
}

fn routes(name: &str) -> Incoming {
    incoming(name, packed::<RouteConfiguration>(&format!("{{name: {name}}}")))
}

fn incoming(name: &str, any: Any) -> Incoming {
    Incoming { name: name.into(), version: "1".into(), any, ttl: None }
}

fn update(kind: Kind, set: Vec<Incoming>) -> Update {
    let is_whole = matches!(kind, Kind::Cluster | Kind::Listener);
    Update { kind, from: ADS, set, removed: Vec::new(), is_whole }
}

fn assembler() -> Assembler {
    Assembler::new(Arc::new(Nothing), Vec::new())
}

fn at(start: Instant, seconds: u64) -> Now {
    Now { instant: start + Duration::from_secs(seconds), wall: SystemTime::UNIX_EPOCH }
}

/// The names of what is in force.
fn names<T>(table: &culvert_model::http::snapshot::Table<T>) -> Vec<String> {
    let mut names: Vec<_> = table.iter().map(|(name, _)| name.to_string()).collect();
    names.sort();
    names
}

#[test]
fn a_cluster_is_used_once_its_endpoints_are_there_and_updated_without_waiting() {
    let (mut all, start) = (assembler(), Instant::now());
    assert!(all.apply(update(Kind::Cluster, vec![cluster("c", "")]), at(start, 0)).is_empty());
    let settled = all.settle(at(start, 0));
    assert!(settled.snapshot.is_none());
    assert_eq!(settled.next, Some(start + Duration::from_secs(15)));
    assert_eq!(all.states()[&(Kind::Cluster, "c".into())], State::Warming);
    assert_eq!(all.wants()[&ADS][&Kind::Endpoint], [Arc::from("c")].into());

    all.apply(update(Kind::Endpoint, vec![endpoints("c")]), at(start, 1));
    let first = all.settle(at(start, 1)).snapshot.unwrap();
    assert_eq!(names(first.clusters()), ["c"]);
    assert_eq!(names(first.assignments()), ["c"]);

    // Another version of the cluster: its endpoints are known, nothing is waited for.
    let changed = cluster("c", ", connect_timeout: 9s");
    all.apply(update(Kind::Cluster, vec![changed]), at(start, 2));
    let second = all.settle(at(start, 2)).snapshot.unwrap();
    assert!(second.assignments().is_same(first.assignments()));
    let timeout = second.clusters().value("c").unwrap().connect_timeout;
    assert_eq!(timeout, Duration::from_secs(9));

    // Gone and back before anybody looked: what it needs is still there.
    all.apply(update(Kind::Cluster, vec![]), at(start, 2));
    all.apply(update(Kind::Cluster, vec![cluster("c", "")]), at(start, 2));
    let back = all.settle(at(start, 2)).snapshot.unwrap();
    assert_eq!(names(back.clusters()), ["c"]);
    assert!(back.assignments().is_same(first.assignments()));

    // Gone, and with it what only it needed.
    all.apply(update(Kind::Cluster, vec![]), at(start, 3));
    let third = all.settle(at(start, 3)).snapshot.unwrap();
    assert!(third.clusters().is_empty() && third.assignments().is_empty());
    assert!(all.wants().is_empty());
}

#[test]
fn patience_ends_and_what_is_said_not_to_exist_is_not_waited_for() {
    let (mut all, start) = (assembler(), Instant::now());
    all.apply(update(Kind::Cluster, vec![cluster("a", ""), cluster("b", "")]), at(start, 0));
    assert!(all.settle(at(start, 0)).snapshot.is_none());
    let removed = Update {
        kind: Kind::Endpoint,
        from: ADS,
        set: Vec::new(),
        removed: vec!["a".into()],
        is_whole: false,
    };
    all.apply(removed, at(start, 1));
    assert_eq!(names(all.settle(at(start, 1)).snapshot.unwrap().clusters()), ["a"]);
    assert!(all.settle(at(start, 14)).snapshot.is_none());
    assert_eq!(names(all.settle(at(start, 15)).snapshot.unwrap().clusters()), ["a", "b"]);
    // They come all the same, later.
    all.apply(update(Kind::Endpoint, vec![endpoints("b")]), at(start, 20));
    assert_eq!(names(all.settle(at(start, 20)).snapshot.unwrap().assignments()), ["b"]);
}

#[test]
fn a_listener_serves_its_old_routes_until_its_new_ones_are_there() {
    let (mut all, start) = (assembler(), Instant::now());
    all.apply(update(Kind::Listener, vec![listener("l", "r1")]), at(start, 0));
    all.apply(update(Kind::Route, vec![routes("r1")]), at(start, 0));
    assert_eq!(names(all.settle(at(start, 0)).snapshot.unwrap().listeners()), ["l"]);

    all.apply(update(Kind::Listener, vec![listener("l", "r2")]), at(start, 1));
    assert!(all.settle(at(start, 1)).snapshot.is_none());
    let wanted = &all.wants()[&ADS][&Kind::Route];
    assert_eq!(*wanted, [Arc::from("r2")].into());
    assert_eq!(names(all.snapshot().routes()), ["r1"]);

    all.apply(update(Kind::Route, vec![routes("r2")]), at(start, 2));
    let after = all.settle(at(start, 2)).snapshot.unwrap();
    assert_eq!(names(after.routes()), ["r2"]);
}

#[test]
fn what_is_refused_is_named_and_its_earlier_version_stays() {
    let (mut all, start) = (assembler(), Instant::now());
    all.apply(update(Kind::Cluster, vec![cluster("a", ""), cluster("b", "")]), at(start, 0));
    all.apply(update(Kind::Endpoint, vec![endpoints("a"), endpoints("b")]), at(start, 0));
    all.settle(at(start, 0));
    let bad = cluster("a", ", connect_timeout: 0s");
    let good = cluster("b", ", connect_timeout: 2s");
    let errors = all.apply(update(Kind::Cluster, vec![bad, good]), at(start, 1));
    assert_eq!(errors.len(), 1);
    assert_eq!(&*errors[0].0, "a");
    assert_eq!(errors[0].1.path, "connect_timeout");
    let snapshot = all.settle(at(start, 1)).snapshot.unwrap();
    assert_eq!(names(snapshot.clusters()), ["a", "b"]);
    let timeout = |name| snapshot.clusters().value(name).unwrap().connect_timeout;
    assert_eq!((timeout("a"), timeout("b")), (Duration::from_secs(5), Duration::from_secs(2)));
    assert_eq!(all.states()[&(Kind::Cluster, "a".into())], State::Nacked);

    let twice = vec![cluster("a", ""), cluster("a", "")];
    let errors = all.apply(update(Kind::Cluster, twice), at(start, 2));
    assert_eq!(errors[0].1.what, "named twice in one response");
}

#[test]
fn a_resource_lives_as_long_as_it_is_said_to() {
    let (mut all, start) = (assembler(), Instant::now());
    all.apply(update(Kind::Listener, vec![listener("l", "r")]), at(start, 0));
    let mut mortal = routes("r");
    mortal.ttl = Some(Duration::from_secs(5));
    all.apply(update(Kind::Route, vec![mortal.clone()]), at(start, 0));
    let settled = all.settle(at(start, 0));
    assert_eq!(settled.next, Some(start + Duration::from_secs(5)));
    // A sign of life.
    mortal.any = Any::default();
    assert!(all.apply(update(Kind::Route, vec![mortal]), at(start, 3)).is_empty());
    assert!(all.settle(at(start, 5)).snapshot.is_none());
    let snapshot = all.settle(at(start, 8)).snapshot.unwrap();
    assert!(snapshot.routes().is_empty());
    assert_eq!(names(snapshot.listeners()), ["l"]);
}

#[test]
fn what_the_bootstrap_has_is_not_changed_by_others() {
    let (mut all, start) = (assembler(), Instant::now());
    let own = Update { from: Asked::Static, ..update(Kind::Cluster, vec![cluster("c", "")]) };
    all.apply(own, at(start, 0));
    let errors =
        all.apply(update(Kind::Cluster, vec![cluster("c", ", connect_timeout: 9s")]), at(start, 0));
    assert_eq!(errors[0].1.what, "the bootstrap has a cluster of this name");
    all.apply(update(Kind::Cluster, vec![]), at(start, 1));
    assert_eq!(all.held().count(), 1);
}

#[test]
fn what_has_the_same_bytes_is_decoded_once_for_all_and_gone_with_the_last() {
    let (common, start) = (Common::default(), Instant::now());
    let told = |more: &str| {
        let mut all = assembler();
        all.share(common.clone());
        let set = vec![cluster("c", ""), cluster("d", more)];
        assert!(all.apply(update(Kind::Cluster, set), at(start, 0)).is_empty());
        all.apply(update(Kind::Endpoint, vec![endpoints("c"), endpoints("d")]), at(start, 0));
        all.settle(at(start, 0));
        all
    };
    let (one, other) = (told(""), told(", connect_timeout: 9s"));
    let value =
        |all: &Assembler, name: &str| Arc::clone(all.snapshot().clusters().value(name).unwrap());
    assert!(Arc::ptr_eq(&value(&one, "c"), &value(&other, "c")));
    assert!(!Arc::ptr_eq(&value(&one, "d"), &value(&other, "d")));
    let assignment = |all: &Assembler| Arc::clone(all.snapshot().assignments().value("c").unwrap());
    assert!(Arc::ptr_eq(&assignment(&one), &assignment(&other)));

    let held = Arc::downgrade(&value(&one, "c"));
    drop(one);
    assert!(held.upgrade().is_some(), "the other has it");
    drop(other);
    assert!(held.upgrade().is_none(), "nobody has it");
    // And it can be had again.
    assert_eq!(*value(&told(""), "c").name, *"c");
}

#[test]
fn what_only_some_can_have_is_refused_by_the_others() {
    let (common, start) = (Common::default(), Instant::now());
    let [mut one, mut other] = [assembler(), assembler()];
    one.share(common.clone());
    other.share(common);
    one.apply(update(Kind::Cluster, vec![cluster("c", "")]), at(start, 0));
    let table = packed::<RouteConfiguration>(
        "{name: r, validate_clusters: true, virtual_hosts: [{name: v, domains: ['*'], routes: \
         [{match: {prefix: /}, route: {cluster: c}}]}]}",
    );
    let set = || update(Kind::Route, vec![incoming("r", table.clone())]);
    assert!(one.apply(set(), at(start, 0)).is_empty());
    let refused = other.apply(set(), at(start, 0));
    assert!(refused[0].1.what.contains("no cluster \"c\" is known"), "{refused:?}");
}

proptest! {
    /// Whatever comes in whatever order: once all that is wanted is known, all that is held is in
    /// force, and nothing is held that nobody needs.
    #[test]
    fn what_is_held_comes_into_force(
        steps in proptest::collection::vec((0_u8..4, 0_u8..4, any::<bool>()), 0..60),
    ) {
        let (mut all, start) = (assembler(), Instant::now());
        let mut clusters = BTreeSet::new();
        for (i, (kind, name, present)) in steps.into_iter().enumerate() {
            let now = at(start, i as u64 / 8);
            let called = format!("n{name}");
            match (kind, present) {
                (0, true) => { clusters.insert(called); }
                (0, false) => { clusters.remove(&called); }
                (1, _) => {
                    all.apply(update(Kind::Endpoint, vec![endpoints(&called)]), now);
                }
                _ => { all.settle(now); }
            }
            if kind == 0 {
                let set = clusters.iter().map(|name| cluster(name, "")).collect();
                all.apply(update(Kind::Cluster, set), now);
            }
        }
        let now = at(start, 20);
        all.settle(now);
        let wanted: Vec<_> = all.wants().remove(&ADS)
            .and_then(|mut kinds| kinds.remove(&Kind::Endpoint)).unwrap_or_default()
            .into_iter().collect();
        let set = wanted.iter().map(|name| endpoints(name)).collect();
        all.apply(update(Kind::Endpoint, set), now);
        all.settle(now);
        let expected: Vec<_> = clusters.into_iter().collect();
        let has: BTreeSet<_> = names(all.snapshot().assignments()).into_iter().collect();
        prop_assert!(expected.iter().all(|name| has.contains(name)));
        prop_assert_eq!(names(all.snapshot().clusters()), expected);
        prop_assert_eq!(all.waiting().count(), 0);
    }
}
