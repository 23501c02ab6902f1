use super::*;
use crate::{
    balance::Idle,
    testing::mesh::{World, behind, by_ip, by_service, host, known, pod, port, service, uid},
};
use culvert_model::{
    close::CloseReason,
    locality::Balance,
    member::{Health, Member},
    network::{HBONE_PORT, NetworkRange},
    service::Visibility,
};

/// The route of `client` to `to`, with dice that always throw `dice`.
fn ask(snapshot: &Snapshot, to: &str, failed: &[WorkloadUid], dice: u64) -> Result<Route, NoRoute> {
    let asking = Asking {
        source: known(snapshot, "client"),
        destination: to.parse().unwrap(),
        failed,
        load: &Idle,
        dice: &mut || dice,
    };
    route(snapshot, asking)
}

/// `plain A`, `host H`, `hbone NEXT for AUTHORITY as IDENTITIES`, or why not.
fn shown(route: Result<Route, NoRoute>) -> String {
    match route.map(|route| route.to) {
        Ok(To::Plain(addr)) => format!("plain {addr}"),
        Ok(To::Host(host, port)) => format!("host {host}:{port}"),
        Ok(To::Hbone(Hop { next, expected, authority, is_waypoint, .. })) => {
            let names: Vec<_> = expected.iter().map(Identity::service_account).collect();
            let way = if is_waypoint { " by waypoint" } else { "" };
            format!("hbone {next} for {authority} as {}{way}", names.join("|"))
        }
        Err(error) => error.to_string(),
    }
}

#[track_caller]
fn check(world: World, to: &str, expect: &str) {
    assert_eq!(shown(ask(&world.snapshot(), to, &[], 0)), expect);
}

fn client() -> Member {
    pod("client", &["10.0.0.1", "fd00::1"])
}

fn cart() -> Member {
    behind(pod("cart", &["10.0.0.2"]), "cart", &[])
}

fn plain(member: Member) -> Member {
    Member { tunnel: Tunnel::None, ..member }
}

#[test]
fn the_ports_of_the_proxy_are_no_destination() {
    for own in [15001, 15006, 15008, 15080] {
        let world = World::of([client()], []);
        check(
            world,
            &format!("127.0.0.1:{own}"),
            &format!("127.0.0.1:{own} is a port of the proxy's own"),
        );
    }
    check(World::of([client()], []), "127.0.0.1:80", "plain 127.0.0.1:80");
    let world = World::of([client(), cart()], []);
    check(world, "10.0.0.2:15008", "hbone 10.0.0.2:15008 for 10.0.0.2:15008 as cart");
}

#[test]
fn what_is_unknown_is_plain_or_refused() {
    check(World::of([client()], []), "10.9.9.9:80", "plain 10.9.9.9:80");
    let world = World { outbound: OutboundPolicy::RegistryOnly, ..World::of([client()], []) };
    let snapshot = world.snapshot();
    let refused = ask(&snapshot, "10.9.9.9:80", &[], 0).unwrap_err();
    assert_eq!(refused.reason(), CloseReason::NoRoute);
    assert_eq!(
        refused.to_string(),
        "nothing known is at 10.9.9.9:80, and the mesh's outbound traffic policy is REGISTRY_ONLY"
    );
}

#[test]
fn what_is_not_understood_is_no_stranger() {
    let closed = vec![NetworkRange::new("", "10.1.0.0/24".parse().unwrap())];
    let world = || World { closed: closed.clone(), ..World::of([client(), cart()], []) };
    let refused = "the control plane's resource for 10.1.0.1:80 is not understood";
    check(world(), "10.1.0.1:80", refused);
    let known = World { services: vec![service("cart")], ..world() };
    check(known, "10.1.0.1:80", "hbone 10.0.0.2:15008 for 10.0.0.2:8080 as cart");
}

#[test]
fn a_workload_is_reached_as_it_says() {
    let world = || World::of([client(), cart(), plain(pod("old", &["10.0.0.3"]))], []);
    check(world(), "10.0.0.2:81", "hbone 10.0.0.2:15008 for 10.0.0.2:81 as cart");
    check(world(), "10.0.0.3:81", "plain 10.0.0.3:81");
    let snapshot = world().snapshot();
    let route = ask(&snapshot, "10.0.0.2:81", &[], 0).unwrap();
    assert!(Arc::ptr_eq(route.endpoint.as_ref().unwrap(), known(&snapshot, "cart")));
    assert_eq!(route.service, None);
    // There is nobody else to try.
    let again = ask(&snapshot, "10.0.0.2:81", &[uid("cart")], 0).unwrap_err();
    assert_eq!(again.to_string(), "a connect to shop/cart failed, and there is no other");
}

#[test]
fn a_workload_goes_before_a_service_of_its_address() {
    let world = World::of([client(), pod("at", &["10.1.0.1"]), cart()], [service("cart")]);
    check(world, "10.1.0.1:80", "hbone 10.1.0.1:15008 for 10.1.0.1:80 as at");
}

#[test]
fn a_workload_of_another_network_is_not_known_by_its_address_here() {
    let far = Member { network: "far".into(), ..pod("far", &["10.0.0.9"]) };
    check(World::of([client(), far], []), "10.0.0.9:80", "plain 10.0.0.9:80");
}

#[test]
fn a_service_leads_to_the_port_of_its_endpoint() {
    let with = |own: &[_], of_service| {
        let named = Service { ports: [port(80, of_service)].into(), ..service("cart") };
        World::of([client(), behind(pod("cart", &["10.0.0.2"]), "cart", own)], [named])
    };
    let at = |port: u16| format!("hbone 10.0.0.2:15008 for 10.0.0.2:{port} as cart");
    check(with(&[], Some(8080)), "10.1.0.1:80", &at(8080));
    check(with(&[port(80, Some(9090))], Some(8080)), "10.1.0.1:80", &at(9090));
    // A named port is what the endpoint says it is.
    check(with(&[port(80, Some(9090))], None), "10.1.0.1:80", &at(9090));
    let portless = "service shop/cart has no endpoint for port 80: 1 without the port";
    check(with(&[port(81, Some(9090))], None), "10.1.0.1:80", portless);
    check(with(&[port(80, None)], Some(8080)), "10.1.0.1:80", portless);
    check(with(&[], Some(8080)), "10.1.0.1:81", "service shop/cart has no port 81");
}

#[test]
fn a_service_names_who_may_answer_beside_the_endpoint() {
    let other = Identity::try_new("td", "shop", "other").unwrap();
    let accepting = || {
        let own = Identity::try_new("td", "shop", "cart").unwrap();
        Service { accepted: [other.clone(), own].into(), ..service("cart") }
    };
    check(
        World::of([client(), cart()], [accepting()]),
        "10.1.0.1:80",
        "hbone 10.0.0.2:15008 for 10.0.0.2:8080 as cart|other",
    );
    let route =
        ask(&World::of([client(), cart()], [accepting()]).snapshot(), "10.1.0.1:80", &[], 0);
    assert_eq!(route.unwrap().service.unwrap().host, host("cart"));
}

#[test]
fn a_service_without_a_usable_endpoint_says_what_is_wrong_with_each() {
    let sick = || Member { health: Health::Unhealthy, ..cart() };
    check(
        World::of([client(), sick()], [service("cart")]),
        "10.1.0.1:80",
        "service shop/cart has no endpoint for port 80: 1 unhealthy",
    );
    check(
        World::of([client()], [service("cart")]),
        "10.1.0.1:80",
        "service shop/cart has no endpoint for port 80",
    );
    let far = Member { network: "far".into(), ..cart() };
    let network =
        "the way leads into network \"far\", and tunnels between networks are not supported";
    check(World::of([client(), far.clone()], [service("cart")]), "10.1.0.1:80", network);
    // It does not stand in the way of one that can be reached.
    let near = behind(pod("near", &["10.0.0.3"]), "cart", &[]);
    check(
        World::of([client(), far, near], [service("cart")]),
        "10.1.0.1:80",
        "hbone 10.0.0.3:15008 for 10.0.0.3:8080 as near",
    );
    let snapshot = World::of([client(), cart(), sick()], [service("cart")]).snapshot();
    let refused = ask(&snapshot, "10.1.0.1:80", &[uid("cart")], 0).unwrap_err();
    assert_eq!(refused.reason(), CloseReason::NoEndpoint);
}

#[test]
fn a_failed_endpoint_is_not_tried_again() {
    let second = behind(pod("second", &["10.0.0.3"]), "cart", &[]);
    let snapshot = World::of([client(), cart(), second], [service("cart")]).snapshot();
    for dice in [0, u64::MAX / 2, u64::MAX] {
        let to = shown(ask(&snapshot, "10.1.0.1:80", &[uid("cart")], dice));
        assert_eq!(to, "hbone 10.0.0.3:15008 for 10.0.0.3:8080 as second");
    }
    let both = ask(&snapshot, "10.1.0.1:80", &[uid("cart"), uid("second")], 0).unwrap_err();
    assert_eq!(
        both.to_string(),
        "service shop/cart has no endpoint for port 80: 2 could not be connected to"
    );
}

#[test]
fn a_service_may_let_pass_what_is_dialled() {
    let passing = || Service {
        balance: Balance { mode: BalanceMode::Passthrough, ..Balance::default() },
        ..service("cart")
    };
    check(World::of([client(), cart()], [passing()]), "10.1.0.1:80", "plain 10.1.0.1:80");
    check(World::of([client(), cart()], [passing()]), "10.1.0.1:81", "plain 10.1.0.1:81");
    let strict = |to, expect| {
        let world = World::of([client(), cart()], [passing()]);
        check(World { outbound: OutboundPolicy::RegistryOnly, ..world }, to, expect);
    };
    strict("10.1.0.1:80", "plain 10.1.0.1:80");
    strict("10.1.0.1:81", "service shop/cart has no port 81");
}

#[test]
fn a_service_that_is_hidden_is_not_there() {
    let hidden = Service {
        visibility: Visibility::Namespace,
        host: culvert_model::name::ServiceName::new("bank", "cart"),
        ..service("cart")
    };
    check(World::of([client()], [hidden]), "10.1.0.1:80", "plain 10.1.0.1:80");
}

#[test]
fn an_endpoint_is_reached_by_the_family_that_was_dialled_if_it_has_it() {
    let both = |ips: &[&str]| {
        let vips = ["10.1.0.1/32", "fd01::1/128"];
        let vips = vips.map(|range| NetworkRange::new("", range.parse().unwrap()));
        let dual = Service { vips: vips.into(), ..service("cart") };
        World::of([client(), behind(pod("cart", ips), "cart", &[])], [dual])
    };
    let v4 = "hbone 10.0.0.2:15008 for 10.0.0.2:8080 as cart";
    let v6 = "hbone [fd00::2]:15008 for [fd00::2]:8080 as cart";
    check(both(&["fd00::2", "10.0.0.2"]), "10.1.0.1:80", v4);
    check(both(&["10.0.0.2", "fd00::2"]), "[fd01::1]:80", v6);
    check(both(&["fd00::2"]), "10.1.0.1:80", v6);
    // Not by a family the source does not have.
    let mut world = both(&["fd00::2"]);
    world.members[0] = pod("client", &["10.0.0.1"]);
    check(
        world,
        "10.1.0.1:80",
        "service shop/cart has no endpoint for port 80: 1 without a usable address",
    );
}

#[test]
fn an_endpoint_with_only_a_host_name_is_reached_in_plain_text_or_not_at_all() {
    let named = || {
        let member = plain(behind(pod("cart", &[]), "cart", &[]));
        Member { hostname: "cart.example.com".into(), ..member }
    };
    let world = World::of([client(), named()], [service("cart")]);
    check(world, "10.1.0.1:80", "host cart.example.com:8080");
    let secret = Member { tunnel: Tunnel::Hbone, ..named() };
    check(
        World::of([client(), secret], [service("cart")]),
        "10.1.0.1:80",
        "service shop/cart has no endpoint for port 80: 1 without a usable address",
    );
}

fn waypoint() -> Member {
    behind(pod("way", &["10.0.0.7"]), "way", &[])
}

fn way() -> Service {
    Service {
        vips: [NetworkRange::new("", "10.1.0.7/32".parse().unwrap())].into(),
        ports: [port(15008, Some(15008))].into(),
        ..service("way")
    }
}

#[test]
fn a_service_goes_by_its_waypoint() {
    let with = |gateway| {
        let behind_way = Service { waypoint: Some(gateway), ..service("cart") };
        World::of([client(), cart(), waypoint()], [behind_way, way()])
    };
    let by = "hbone 10.0.0.7:15008 for 10.1.0.1:80 as way by waypoint";
    check(with(by_service("way")), "10.1.0.1:80", by);
    check(with(by_ip("", "10.0.0.7")), "10.1.0.1:80", by);
    check(with(by_ip("", "10.1.0.7")), "10.1.0.1:80", by);
    // Whatever port: the waypoint is asked.
    let other_port = "hbone 10.0.0.7:15008 for 10.1.0.1:81 as way by waypoint";
    check(with(by_service("way")), "10.1.0.1:81", other_port);
    let snapshot = with(by_service("way")).snapshot();
    let route = ask(&snapshot, "10.1.0.1:80", &[], 0).unwrap();
    assert_eq!((route.service.unwrap().host.clone(), route.endpoint), (host("cart"), None));
}

#[test]
fn a_waypoint_is_never_gone_round() {
    let with = |gateway| {
        let behind_way = Service { waypoint: Some(gateway), ..service("cart") };
        World::of([client(), cart()], [behind_way, way()])
    };
    check(
        with(by_service("gone")),
        "10.1.0.1:80",
        "shop/cart is behind the waypoint shop/gone:15008: nobody knows it",
    );
    check(
        with(by_service("way")),
        "10.1.0.1:80",
        "shop/cart is behind the waypoint shop/way:15008: \
         service shop/way has no endpoint for port 15008",
    );
    check(
        with(by_ip("", "10.3.3.3")),
        "10.1.0.1:80",
        "shop/cart is behind the waypoint /10.3.3.3:15008: nobody knows it",
    );
    check(
        with(by_ip("far", "10.0.0.7")),
        "10.1.0.1:80",
        "shop/cart is behind the waypoint far/10.0.0.7:15008: the way leads into network \"far\", \
         and tunnels between networks are not supported",
    );
    let snapshot = with(by_service("gone")).snapshot();
    let refused = ask(&snapshot, "10.1.0.1:80", &[], 0).unwrap_err();
    assert_eq!(refused.reason(), CloseReason::NoRoute);
    let snapshot = with(by_service("way")).snapshot();
    let refused = ask(&snapshot, "10.1.0.1:80", &[], 0).unwrap_err();
    assert_eq!(refused.reason(), CloseReason::NoEndpoint);
}

#[test]
fn a_workload_goes_by_its_waypoint_only_when_it_is_dialled_itself() {
    let world = || {
        let behind_way = Member { waypoint: Some(Arc::new(by_service("way"))), ..cart() };
        World::of([client(), behind_way, waypoint()], [service("cart"), way()])
    };
    check(world(), "10.0.0.2:80", "hbone 10.0.0.7:15008 for 10.0.0.2:80 as way by waypoint");
    check(world(), "10.1.0.1:80", "hbone 10.0.0.2:15008 for 10.0.0.2:8080 as cart");
}

#[test]
fn a_waypoint_itself_goes_to_what_is_behind_it() {
    for gateway in [by_service("way"), by_ip("", "10.0.0.1"), by_ip("", "10.1.0.7")] {
        let way_client = behind(client(), "way", &[]);
        let behind_way = Member { waypoint: Some(Arc::new(gateway.clone())), ..cart() };
        let also = Service { waypoint: Some(gateway), ..service("cart") };
        let world = || World::of([way_client.clone(), behind_way.clone()], [also.clone(), way()]);
        check(world(), "10.0.0.2:80", "hbone 10.0.0.2:15008 for 10.0.0.2:80 as cart");
        check(world(), "10.1.0.1:80", "hbone 10.0.0.2:15008 for 10.0.0.2:8080 as cart");
    }
}

#[test]
fn of_weighted_waypoints_one_is_thrown() {
    let second = behind(pod("second", &["10.0.0.8"]), "second", &[]);
    let world = |weights: [u32; 2]| {
        let weighted = [(by_service("way"), weights[0]), (by_service("second"), weights[1])];
        let both = Service {
            weighted_waypoints: weighted.into(),
            waypoint: Some(by_service("third")),
            ..service("cart")
        };
        let services = [both, way(), Service { vips: [].into(), ..service("second") }];
        World::of([client(), waypoint(), second.clone()], services).snapshot()
    };
    let to = |snapshot: &Snapshot, dice| shown(ask(snapshot, "10.1.0.1:80", &[], dice));
    let way = "hbone 10.0.0.7:15008 for 10.1.0.1:80 as way by waypoint";
    let second = "hbone 10.0.0.8:15008 for 10.1.0.1:80 as second by waypoint";
    let snapshot = world([1, 3]);
    assert_eq!(to(&snapshot, u64::MAX / 4 - 1), way);
    assert_eq!(to(&snapshot, u64::MAX / 4 + 1), second);
    assert_eq!(to(&world([0, 1]), 0), second);
    // Without weights it is the one waypoint.
    let third = "shop/cart is behind the waypoint shop/third:15008: nobody knows it";
    assert_eq!(to(&world([0, 0]), 0), third);
}

#[test]
fn a_gateway_names_its_port() {
    let gateway =
        Gateway { hbone_port: std::num::NonZeroU16::new(15088).unwrap(), ..by_service("way") };
    assert_ne!(gateway.hbone_port, HBONE_PORT);
    let behind_way = Service { waypoint: Some(gateway), ..service("cart") };
    check(
        World::of([client(), waypoint()], [behind_way, way()]),
        "10.1.0.1:80",
        "hbone 10.0.0.7:15088 for 10.1.0.1:80 as way by waypoint",
    );
}

#[test]
fn what_must_pass_l7_is_asked_for_by_a_service_alone() {
    let l7 = std::num::NonZeroU16::new(80).into_iter().collect();
    let services = vec![Service { l7, ..service("cart") }];
    let snapshot = World { services, ..World::of([client(), cart()], []) }.snapshot();
    let must = |to: &str| must_pass(&snapshot, known(&snapshot, "client"), to.parse().unwrap());
    assert!(must("10.1.0.1:80").is_some());
    for not in ["10.1.0.1:81", "10.0.0.2:80", "10.9.9.9:80"] {
        assert!(must(not).is_none(), "{not}");
    }
}
