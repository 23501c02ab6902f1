//! Snapshots, built at once and step by step.
use super::{build::Builder, *};
use crate::{
    addr::PodIps,
    authz::{Action, Authorization, Scope},
    identity::Identity,
    name::ObjectName,
    network::NetworkRange,
    service::Visibility,
};
use proptest::prelude::*;

fn member(uid: &str, ips: &[&str]) -> Member {
    let name = uid.rsplit('/').next().unwrap();
    Member {
        addresses: ips.iter().map(|ip| ip.parse().unwrap()).collect(),
        ..Member::new(
            WorkloadUid::new(uid),
            ObjectName::new("shop", name),
            Identity::try_new("td", "shop", "sa").unwrap(),
        )
    }
}

fn pod(name: &str, ips: &[&str]) -> Member {
    member(&format!("c//Pod/shop/{name}"), ips)
}

fn policy(name: &str, scope: Scope, action: Action) -> Arc<Authorization> {
    let (namespace, name) = name.split_once('/').unwrap();
    let (name, rules) = (ObjectName::new(namespace, name), Box::default());
    Arc::new(Authorization { name, scope, action, dry_run: false, rules, origin: None })
}

/// `namespace/host` with the VIPs `ranges`.
fn service(name: &str, ranges: &[&str]) -> Service {
    let (namespace, host) = name.split_once('/').unwrap();
    let range = |text: &&str| NetworkRange::new("", text.parse().unwrap());
    Service {
        vips: ranges.iter().map(range).collect(),
        ..Service::new(ServiceName::new(namespace, host), host)
    }
}

fn behind(member: Member, services: &[&str]) -> Member {
    let name = |name: &&str| {
        let (namespace, host) = name.split_once('/').unwrap();
        (ServiceName::new(namespace, host), Vec::<Port>::new())
    };
    Member { services: services.iter().map(name).collect(), ..member }
}

fn built(
    members: impl IntoIterator<Item = Member>,
    services: impl IntoIterator<Item = Service>,
) -> Snapshot {
    let mut builder = Builder::default();
    members.into_iter().for_each(|member| builder.set_member(Arc::new(member)));
    services.into_iter().for_each(|service| builder.set_service(Arc::new(service)));
    builder.build()
}

fn who(snapshot: &Snapshot, ip: &str) -> Option<String> {
    snapshot.at(ip.parse().unwrap()).map(|workload| workload.name.name.to_string())
}

#[test]
fn finds_workloads_by_every_address_in_their_network() {
    let mut far = pod("far", &["10.0.0.1"]);
    far.network = "other".into();
    let mut host = pod("host", &["10.0.0.9"]);
    host.network_mode = crate::member::NetworkMode::Host;
    let snapshot = built([pod("a", &["10.0.0.1", "fd00::1", "10.0.0.2"]), far, host], []);
    for ip in ["10.0.0.1", "::ffff:10.0.0.1", "fd00::1", "10.0.0.2"] {
        assert_eq!(who(&snapshot, ip).as_deref(), Some("a"), "{ip}");
    }
    assert_eq!(who(&snapshot, "10.0.0.9"), None);
    let known = snapshot.known_in(&NetworkIp::new("other", [10, 0, 0, 1].into())).unwrap();
    assert_eq!(&*known.workload.name.name, "far");
    assert_eq!(known.workload.ips, PodIps::first_of([[10, 0, 0, 1].into()]));
    assert_eq!(snapshot.all_known().count(), 3);
}

#[test]
fn of_two_with_one_address_a_pod_has_it_and_of_two_pods_the_last() {
    let entry = || member("c/networking.istio.io/WorkloadEntry/shop/entry", &["10.0.0.1"]);
    for order in [[entry(), pod("a", &["10.0.0.1"])], [pod("a", &["10.0.0.1"]), entry()]] {
        assert_eq!(who(&built(order, []), "10.0.0.1").as_deref(), Some("a"));
    }
    let mut builder = Builder::default();
    for one in [pod("old", &["10.0.0.1"]), entry(), pod("new", &["10.0.0.1"])] {
        builder.set_member(Arc::new(one));
    }
    let mut at = |change: &dyn Fn(&mut Builder)| {
        change(&mut builder);
        who(&builder.build(), "10.0.0.1")
    };
    assert_eq!(at(&|_| {}).as_deref(), Some("new"));
    // Telling of it again gives it nothing.
    let sick = Member { capacity: 7, ..pod("old", &["10.0.0.1"]) };
    assert_eq!(at(&|b| b.set_member(Arc::new(sick.clone()))).as_deref(), Some("new"));
    let gone = |name: &str| WorkloadUid::new(format!("c//Pod/shop/{name}"));
    assert_eq!(at(&|b| b.remove_member(&gone("new"))).as_deref(), Some("old"));
    let moved = pod("old", &["10.0.0.2"]);
    assert_eq!(at(&|b| b.set_member(Arc::new(moved.clone()))).as_deref(), Some("entry"));
    assert_eq!(at(&|b| b.remove_member(&entry().uid)), None);
}

#[test]
fn a_service_is_found_by_the_smallest_range_its_client_may_see() {
    let hidden =
        Service { visibility: Visibility::Namespace, ..service("bank/h", &["10.1.0.1/32"]) };
    let canonical = Service { canonical: true, ..service("z/c", &["10.1.0.1/32"]) };
    let all = [
        service("a/wide", &["10.0.0.0/8"]),
        service("a/one", &["10.1.0.1/32", "fd00::1/128"]),
        service("own/one", &["10.1.0.1/32"]),
        hidden.clone(),
        canonical,
    ];
    let snapshot = built([], all);
    let at = |ip: &str, namespace: &str| {
        let bound = snapshot.service_at(ip.parse().unwrap(), namespace)?;
        Some(bound.service.host.to_string())
    };
    assert_eq!(at("10.1.0.1", "own").as_deref(), Some("own/one"));
    assert_eq!(at("10.1.0.1", "bank").as_deref(), Some("bank/h"));
    assert_eq!(at("10.1.0.1", "other").as_deref(), Some("z/c"));
    assert_eq!(at("10.1.0.2", "other").as_deref(), Some("a/wide"));
    assert_eq!(at("fd00::1", "other").as_deref(), Some("a/one"));
    assert_eq!(at("11.0.0.1", "other"), None);
    // What the client may not see does not hide what it may.
    let snapshot = built([], [hidden, service("a/wide", &["10.0.0.0/8"])]);
    let seen = snapshot.service_at([10, 1, 0, 1].into(), "shop").unwrap();
    assert_eq!(seen.service.host.to_string(), "a/wide");
}

#[test]
fn finds_services_by_host_and_their_endpoints_whichever_came_first() {
    let mut builder = Builder::default();
    builder.set_member(Arc::new(behind(pod("b", &["10.0.0.2"]), &["shop/Cart"])));
    drop(builder.build());
    builder.set_service(Arc::new(service("shop/Cart", &[])));
    builder.set_service(Arc::new(service("bank/cart", &[])));
    builder.set_member(Arc::new(behind(pod("a", &["10.0.0.1"]), &["shop/Cart"])));
    let snapshot = builder.build();
    let found: Vec<_> =
        snapshot.services_named("cart").map(|bound| bound.service.host.to_string()).collect();
    assert_eq!(found, ["bank/cart", "shop/Cart"]);
    let bound = snapshot.service(&ServiceName::new("shop", "Cart")).unwrap();
    let names: Vec<_> = bound.endpoints.iter().map(|e| &*e.known.workload.name.name).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn a_policy_reaches_whom_it_speaks_of_and_leaves_the_others_as_they_were() {
    let mut builder = Builder::default();
    let named = Member { policies: [ObjectName::new("root", "strict")].into(), ..pod("a", &[]) };
    builder.set_member(Arc::new(behind(named, &["shop/cart"])));
    builder.set_member(Arc::new(pod("b", &[])));
    builder.set_service(Arc::new(service("shop/cart", &[])));
    let uid = |name: &str| WorkloadUid::new(format!("c//Pod/shop/{name}"));
    let before = builder.build();
    assert_eq!(before.authz(&uid("a")).unwrap().missing.len(), 1);
    builder.set_policy(policy("root/strict", Scope::Selector, Action::Deny));
    let after = builder.build();
    let authz = after.authz(&uid("a")).unwrap();
    assert_eq!((authz.deny.len(), authz.missing.len()), (1, 0));
    assert!(Arc::ptr_eq(before.known(&uid("b")).unwrap(), after.known(&uid("b")).unwrap()));
    // Who is reached through a service is the same.
    let bound = after.service(&ServiceName::new("shop", "cart")).unwrap();
    assert!(Arc::ptr_eq(&bound.endpoints[0].known, after.known(&uid("a")).unwrap()));
    builder.remove_policy(&ObjectName::new("root", "strict"));
    assert_eq!(builder.build(), before);
    assert_eq!(after.authz(&WorkloadUid::new("unknown")), None);
}

#[test]
fn what_is_told_again_changes_nothing() {
    let mut builder = Builder::default();
    let uid = pod("a", &["10.0.0.1"]).uid;
    builder.set_member(Arc::new(pod("a", &["10.0.0.1"])));
    let before = builder.build();
    builder.set_member(Arc::new(pod("a", &["10.0.0.1"])));
    assert!(Arc::ptr_eq(before.known(&uid).unwrap(), builder.build().known(&uid).unwrap()));
    // A change that telemetry does not see keeps what telemetry holds.
    let held = Arc::clone(before.workload(&uid).unwrap());
    builder.set_member(Arc::new(Member { capacity: 2, ..pod("a", &["10.0.0.1"]) }));
    let after = builder.build();
    assert!(Arc::ptr_eq(&held, after.workload(&uid).unwrap()));
}

#[test]
fn our_network_may_change() {
    let mut far = pod("far", &["10.0.0.1"]);
    far.network = "other".into();
    let vip = Service {
        vips: [NetworkRange::new("other", "10.1.0.1/32".parse().unwrap())].into(),
        ..service("shop/cart", &[])
    };
    let mut builder = Builder::default();
    builder.set_member(Arc::new(far));
    builder.set_service(Arc::new(vip));
    let found = |snapshot: &Snapshot| {
        let service = snapshot.service_at([10, 1, 0, 1].into(), "shop").is_some();
        (who(snapshot, "10.0.0.1").is_some(), service)
    };
    assert_eq!(found(&builder.build()), (false, false));
    builder.set_mesh(Mesh { network: "other".into(), ..Mesh::default() });
    assert_eq!(found(&builder.build()), (true, true));
}

#[test]
fn what_is_closed_is_so_unless_something_smaller_is_known() {
    let mut builder = Builder::default();
    builder.set_member(Arc::new(pod("a", &["10.0.0.1"])));
    builder.set_service(Arc::new(service("a/one", &["10.1.0.1/32"])));
    builder.set_service(Arc::new(service("a/wide", &["10.2.0.0/16"])));
    let range = |network, text: &str| NetworkRange::new(network, text.parse().unwrap());
    builder.set_closed([
        range("", "10.0.0.0/24"),
        range("", "10.1.0.0/24"),
        range("", "10.2.0.1/32"),
        range("other", "10.3.0.1/32"),
    ]);
    let snapshot = builder.build();
    let closed = |ip: &str| snapshot.is_closed(ip.parse().unwrap(), "shop");
    for ip in ["10.0.0.2", "10.1.0.2", "10.2.0.1", "::ffff:10.2.0.1"] {
        assert!(closed(ip), "{ip}");
    }
    for ip in ["10.0.0.1", "10.1.0.1", "10.2.0.2", "10.3.0.1", "fd00::1"] {
        assert!(!closed(ip), "{ip}");
    }
    builder.set_closed([]);
    assert!(!builder.build().is_closed([10, 0, 0, 2].into(), "shop"));
}

/// One thing told to a builder.
#[derive(Clone, Debug)]
enum Told {
    Member(Arc<Member>),
    MemberGone(WorkloadUid),
    Service(Service),
    ServiceGone(ServiceName),
    Policy(Arc<Authorization>),
    PolicyGone(ObjectName),
    Built,
}

fn any_told() -> impl Strategy<Value = Told> {
    let services = proptest::collection::vec(prop_oneof![Just("shop/x"), Just("bank/x")], 0..3);
    let policies = proptest::collection::vec(prop_oneof![Just("p"), Just("q")], 0..2);
    // No address is claimed twice, for then the order counts.
    let any_member = (0..6_u8, 0..3_u8, services, policies, 1..3_u32, any::<bool>());
    let any_member = any_member.prop_map(|(at, ip, services, policies, capacity, is_here)| {
        let one = pod(&at.to_string(), &[&format!("10.0.{at}.{ip}")]);
        Member {
            capacity,
            network: if is_here { "" } else { "other" }.into(),
            policies: policies.iter().map(|name| ObjectName::new("shop", *name)).collect(),
            ..behind(one, &services)
        }
    });
    let any_service = (any::<bool>(), 0..3_u8, any::<bool>()).prop_map(|(is_shop, vip, wide)| {
        let vip = format!("10.1.0.{vip}/{}", if wide { 24 } else { 32 });
        service(if is_shop { "shop/x" } else { "bank/x" }, &[&vip])
    });
    let scope = prop_oneof![Just(Scope::Global), Just(Scope::Namespace), Just(Scope::Selector)];
    let any_policy = (prop_oneof![Just("shop/p"), Just("shop/q"), Just("bank/p")], scope)
        .prop_map(|(name, scope)| policy(name, scope, Action::Deny));
    prop_oneof![
        6 => any_member.clone().prop_map(|member| Told::Member(Arc::new(member))),
        2 => any_member.prop_map(|member| Told::MemberGone(member.uid)),
        2 => any_service.clone().prop_map(Told::Service),
        1 => any_service.prop_map(|service| Told::ServiceGone(service.host)),
        2 => any_policy.clone().prop_map(Told::Policy),
        1 => any_policy.prop_map(|policy| Told::PolicyGone(policy.name.clone())),
        3 => Just(Told::Built),
    ]
}

proptest! {
    #[test]
    fn step_by_step_is_as_at_once(told in proptest::collection::vec(any_told(), 0..40)) {
        let (mut by_steps, mut left) = (Builder::default(), Vec::<Told>::new());
        for one in told {
            match &one {
                Told::Member(member) => by_steps.set_member(Arc::clone(member)),
                Told::MemberGone(uid) => by_steps.remove_member(uid),
                Told::Service(service) => by_steps.set_service(Arc::new(service.clone())),
                Told::ServiceGone(name) => by_steps.remove_service(name),
                Told::Policy(policy) => by_steps.set_policy(Arc::clone(policy)),
                Told::PolicyGone(name) => by_steps.remove_policy(name),
                Told::Built => drop(by_steps.build()),
            }
            left.retain(|before| match (before, &one) {
                (Told::Member(a), Told::Member(b)) => a.uid != b.uid,
                (Told::Member(a), Told::MemberGone(uid)) => a.uid != *uid,
                (Told::Service(a), Told::Service(b)) => a.host != b.host,
                (Told::Service(a), Told::ServiceGone(name)) => a.host != *name,
                (Told::Policy(a), Told::Policy(b)) => a.name != b.name,
                (Told::Policy(a), Told::PolicyGone(name)) => a.name != *name,
                _ => true,
            });
            if matches!(one, Told::Member(_) | Told::Service(_) | Told::Policy(_)) {
                left.push(one);
            }
        }
        let mut at_once = Builder::default();
        for one in left {
            match one {
                Told::Member(member) => at_once.set_member(member),
                Told::Service(service) => at_once.set_service(Arc::new(service)),
                Told::Policy(policy) => at_once.set_policy(policy),
                Told::MemberGone(_) | Told::ServiceGone(_) | Told::PolicyGone(_) | Told::Built => {}
            }
        }
        let (by_steps, at_once) = (by_steps.build(), at_once.build());
        prop_assert_eq!(&by_steps, &at_once);
        // Every road leads to one and the same.
        for bound in by_steps.services() {
            for endpoint in &*bound.endpoints {
                let known = by_steps.known(&endpoint.known.member.uid);
                prop_assert!(known.is_some_and(|known| Arc::ptr_eq(known, &endpoint.known)));
            }
        }
        for known in by_steps.all_known() {
            for ip in known.member.network_ips() {
                let at = by_steps.known_in(&ip);
                prop_assert!(at.is_some_and(|at| Arc::ptr_eq(at, known)));
            }
        }
    }
}
