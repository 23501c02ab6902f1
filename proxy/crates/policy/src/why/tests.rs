use super::*;
use crate::{
    decide,
    route::route,
    testing::{
        any_policies, exact, is,
        mesh::{World, behind, by_service, pod, port, service},
        namespace, policy, rule,
    },
};
use culvert_model::{
    authz::{Action, Authorization, Match, Origin},
    member::Health,
    service::Service,
    snapshot::OutboundPolicy,
};
use insta::assert_snapshot;
use proptest::prelude::*;

fn ask(world: World, from: &str, to: &str) -> Result<Why, NoAnswer> {
    Question::parse(from, to).unwrap().ask(&world.snapshot())
}

fn shown(world: World, from: &str, to: &str) -> String {
    match ask(world, from, to) {
        Ok(why) => why.to_string(),
        Err(error) => error.to_string(),
    }
}

/// A client, two carts of which one is sick behind a service, and an old pod outside the mesh.
fn shop() -> World {
    let cart = |name: &str, ip: &str| behind(pod(name, &[ip]), "cart", &[]);
    let sick = Member { health: Health::Unhealthy, ..cart("cart-2", "10.0.0.3") };
    let old = Member { tunnel: Tunnel::None, ..pod("old", &["10.0.0.9"]) };
    let named = Service {
        host: culvert_model::name::ServiceName::new("shop", "cart.shop.svc.cluster.local"),
        ..service("cart")
    };
    let behind_named = |member: Member| {
        let services = [(named.host.clone(), Vec::new())].into_iter().collect();
        Member { services, ..member }
    };
    let members = [
        pod("client", &["10.0.0.1"]),
        behind_named(cart("cart-1", "10.0.0.2")),
        behind_named(sick),
        old,
    ];
    World::of(members, [named.clone()])
}

fn with(world: World, policies: impl IntoIterator<Item = Authorization>) -> World {
    World { policies: policies.into_iter().collect(), ..world }
}

fn origin(policy: Authorization, at: &str) -> Authorization {
    // Its rules are on the lines after it.
    let line: u32 = at.rsplit(':').next().unwrap().parse().unwrap();
    let rules = (1..).take(policy.rules.len()).map(|below| line + below).collect();
    Authorization { origin: Some(Origin { at: at.into(), rules }), ..policy }
}

#[test]
fn a_permit_shows_the_way_and_the_rule() {
    let clients = Match { principals: is(vec![exact("td/ns/shop/sa/client")]), ..Match::default() };
    let allow = policy("clients", Action::Allow, vec![rule(vec![clients])]);
    let world = with(shop(), [origin(allow, "mesh.yaml:12")]);
    assert_snapshot!(shown(world, "pod/shop/client", "cart"), @r"
    permitted
    from shop/client at 10.0.0.1, spiffe://td/ns/shop/sa/client
    to 10.1.0.1:80
      is service shop/cart.shop.svc.cluster.local
      endpoints of shop/cart.shop.svc.cluster.local for port 80
        + shop/cart-1 at 10.0.0.2:8080
        - shop/cart-2: unhealthy
      by a tunnel to 10.0.0.2:15008 for 10.0.0.2:8080, which must be spiffe://td/ns/shop/sa/cart-1
    at shop/cart-1 (10.0.0.2:8080) from spiffe://td/ns/shop/sa/client
      permitted by shop/clients rule 0 (mesh.yaml:13): source.principal td/ns/shop/sa/client is td/ns/shop/sa/client
      + ALLOW shop/clients (mesh.yaml:12)
        + rule 0
          + any of
            + source.principal td/ns/shop/sa/client is td/ns/shop/sa/client
    ");
}

#[test]
fn a_miss_shows_the_nearest_rule_and_what_differs() {
    let port = Match { destination_ports: is(vec![9000_u16]), ..namespace("shop") };
    let allow =
        policy("carts", Action::Allow, vec![rule(vec![namespace("bank")]), rule(vec![port])]);
    let world = with(shop(), [origin(allow, "mesh.yaml:12")]);
    assert_snapshot!(shown(world, "sa/shop/client", "cart.shop:80"), @r"
    denied
    from shop/client at 10.0.0.1, spiffe://td/ns/shop/sa/client
    to 10.1.0.1:80
      is service shop/cart.shop.svc.cluster.local
      endpoints of shop/cart.shop.svc.cluster.local for port 80
        + shop/cart-1 at 10.0.0.2:8080
        - shop/cart-2: unhealthy
      by a tunnel to 10.0.0.2:15008 for 10.0.0.2:8080, which must be spiffe://td/ns/shop/sa/cart-1
    at shop/cart-1 (10.0.0.2:8080) from spiffe://td/ns/shop/sa/client
      none of the ALLOW policies that select the destination matched
      the nearest is shop/carts rule 0 (mesh.yaml:13): source.namespace shop is not bank
      - ALLOW shop/carts (mesh.yaml:12)
        - rule 0
          - any of
            - source.namespace shop is not bank
        - rule 1
          - any of
            - destination.port 8080 is not 9000, source.namespace shop is shop
    ");
}

#[test]
fn a_source_outside_the_mesh_comes_in_plain_text() {
    let everybody = Match { principals: is(vec![]), ..Match::default() };
    let strict = Match {
        principals: crate::testing::is_not(vec![culvert_model::authz::set::StringMatch::Presence]),
        ..everybody
    };
    let strict = policy("strict", Action::Deny, vec![rule(vec![strict])]);
    let trial = Authorization {
        dry_run: true,
        ..policy("trial", Action::Deny, vec![rule(vec![namespace("shop")])])
    };
    let world = || with(shop(), [origin(strict.clone(), "strict.yaml:3"), trial.clone()]);
    assert_snapshot!(shown(world(), "192.0.2.1", "10.0.0.2:8080"), @r"
    denied
    from 192.0.2.1, which the mesh does not know
    to 10.0.0.2:8080
      in plain text, past the mesh
    at shop/cart-1 (10.0.0.2:8080) in plain text
      denied by shop/strict rule 0 (strict.yaml:4): source.principal nobody (plain text) is not *
      with the dry-run policies in force: denied by shop/strict rule 0 (strict.yaml:4): source.principal nobody (plain text) is not *
      + DENY shop/strict (strict.yaml:3)
        + rule 0
          + any of
            + source.principal nobody (plain text) is not *
      - DENY shop/trial (dry run)
        - rule 0
          - any of
            - source.namespace nobody (plain text) is not shop
    ");
    assert_snapshot!(shown(world(), "pod/shop/client", "pod/shop/cart-1:8080"), @r"
    permitted
    from shop/client at 10.0.0.1, spiffe://td/ns/shop/sa/client
    to 10.0.0.2:8080
      is workload shop/cart-1
      by a tunnel to 10.0.0.2:15008 for 10.0.0.2:8080, which must be spiffe://td/ns/shop/sa/cart-1
    at shop/cart-1 (10.0.0.2:8080) from spiffe://td/ns/shop/sa/client
      permitted: no ALLOW policy selects the destination
      with the dry-run policies in force: denied by shop/trial rule 0: source.namespace shop is shop
      - DENY shop/strict (strict.yaml:3)
        - rule 0
          - any of
            - source.principal td/ns/shop/sa/client may not be *
      + DENY shop/trial (dry run)
        + rule 0
          + any of
            + source.namespace shop is shop
    ");
    assert_eq!(ask(world(), "pod/shop/old", "cart").unwrap().answer(), Answer::Denied);
    assert_eq!(ask(world(), "sa/shop/nobody", "cart").unwrap().answer(), Answer::Permitted);
}

#[test]
fn where_there_is_no_way_it_says_why() {
    let strict = World { outbound: OutboundPolicy::RegistryOnly, ..shop() };
    assert_snapshot!(shown(strict, "pod/shop/client", "192.0.2.1:443"), @r"
    denied
    from shop/client at 10.0.0.1, spiffe://td/ns/shop/sa/client
    to 192.0.2.1:443
      is not known to the mesh
      refused: nothing known is at 192.0.2.1:443, and the mesh's outbound traffic policy is REGISTRY_ONLY
    ");
    let mut behind_way = shop();
    behind_way.services[0].waypoint = Some(by_service("way"));
    assert_snapshot!(shown(behind_way, "pod/shop/client", "cart"), @r"
    denied
    from shop/client at 10.0.0.1, spiffe://td/ns/shop/sa/client
    to 10.1.0.1:80
      is service shop/cart.shop.svc.cluster.local
      goes by the waypoint shop/way:15008
      refused: shop/cart.shop.svc.cluster.local is behind the waypoint shop/way:15008: nobody knows it
    ");
}

#[test]
fn past_a_waypoint_nothing_is_said() {
    let mut world = shop();
    world.services[0].waypoint = Some(by_service("way"));
    let way = Service { vips: [].into(), ports: [port(15008, None)].into(), ..service("way") };
    world.services.push(way);
    let ports = [port(15008, Some(15008))];
    world.members.push(behind(pod("way", &["10.0.0.7"]), "way", &ports));
    assert_snapshot!(shown(world, "pod/shop/client", "cart"), @r"
    depends
    from shop/client at 10.0.0.1, spiffe://td/ns/shop/sa/client
    to 10.1.0.1:80
      is service shop/cart.shop.svc.cluster.local
      goes by the waypoint shop/way:15008
      endpoints of shop/way for port 15008
        + shop/way at 10.0.0.7:15008
      by a tunnel to the waypoint 10.0.0.7:15008 for 10.1.0.1:80, which must be spiffe://td/ns/shop/sa/way
    ");
}

#[test]
fn what_is_not_in_the_mesh_is_not_asked() {
    assert_snapshot!(shown(shop(), "pod/shop/client", "pod/shop/old:80"), @r"
    permitted
    from shop/client at 10.0.0.1, spiffe://td/ns/shop/sa/client
    to 10.0.0.9:80
      is workload shop/old
      in plain text to 10.0.0.9:80
    at shop/old (10.0.0.9:80) in plain text
      permitted: it is not in the mesh, nobody asks
    ");
    assert_eq!(ask(shop(), "pod/shop/client", "192.0.2.1:80").unwrap().answer(), Answer::Permitted);
    let own = ask(shop(), "pod/shop/client", "pod/shop/cart-1:15006").unwrap();
    assert_eq!(own.ways[0].arrivals[0].said, Said::OwnPort);
    assert_eq!(own.answer(), Answer::Denied);
}

#[test]
fn endpoints_that_answer_differently_are_told_apart() {
    let mut world = shop();
    world.members[2].health = Health::Healthy;
    let to_first =
        Match { destination_ips: is(vec!["10.0.0.2/32".parse().unwrap()]), ..Match::default() };
    let world = with(world, [policy("first", Action::Allow, vec![rule(vec![to_first])])]);
    let why = ask(world, "pod/shop/client", "cart").unwrap();
    let arrivals = &why.ways[0].arrivals;
    let answers: Vec<_> = arrivals.iter().map(Arrival::answer).collect();
    assert_eq!(answers, [Answer::Permitted, Answer::Denied]);
    assert_eq!(why.answer(), Answer::Depends);
}

#[test]
fn a_headless_service_is_each_of_its_workloads() {
    let mut world = shop();
    world.services[0].vips = [].into();
    world.members[2].health = Health::Healthy;
    let why = ask(world, "pod/shop/client", "cart.shop.svc.cluster.local").unwrap();
    let to: Vec<_> = why.ways.iter().map(|way| way.destination.to_string()).collect();
    assert_eq!(to, ["10.0.0.2:80", "10.0.0.3:80"]);
}

#[test]
fn a_question_may_have_no_answer() {
    let no = |from: &str, to: &str| ask(shop(), from, to).unwrap_err().to_string();
    assert_eq!(no("pod/shop/x", "cart"), "there is no pod/shop/x");
    assert_eq!(no("pod/shop/client", "pod/shop/x:80"), "there is no pod/shop/x");
    assert_eq!(no("pod/shop/client", "stock"), "there is no stock");
    assert_eq!(no("pod/shop/client", "sa/shop/x:80"), "no workload of the mesh runs as sa/shop/x");
    assert_eq!(
        no("cart", "cart"),
        "cart opens no connections: a source is a pod, a service account or an address"
    );
    assert_eq!(
        no("pod/shop/client", "pod/shop/cart-1"),
        "write the port of pod/shop/cart-1, as pod/shop/cart-1:80"
    );
}

proptest! {
    #[test]
    fn says_what_the_data_path_says(
        policies in any_policies(),
        from in proptest::sample::select(vec!["pod/shop/client", "pod/shop/cart-1", "pod/shop/old"]),
        to in proptest::sample::select(vec!["cart", "10.0.0.2:81", "10.0.0.9:80", "pod/shop/cart-2:80"]),
    ) {
        let snapshot = with(shop(), policies).snapshot();
        let why = Question::parse(from, to).unwrap().ask(&snapshot).unwrap();
        let destination = why.ways[0].destination;
        let source = why.source.known().unwrap();
        let asking =
            Asking { source, destination, failed: &[], load: &Idle, dice: &mut || u64::MAX };
        let is_enrolled = source.member.tunnel == Tunnel::Hbone;
        let to = route(&snapshot, asking).unwrap();
        let endpoint = to.endpoint.unwrap();
        let (at, peer) = match to.to {
            To::Hbone(Hop { authority: Authority::Addr(at), .. }) => {
                (at, is_enrolled.then_some(&source.member.identity))
            }
            To::Plain(at) => (at, None),
            other @ (To::Host(..) | To::Hbone(_)) => panic!("{other:?}"),
        };
        let passes = endpoint.member.tunnel == Tunnel::None || {
            let facts = Facts::new(peer, source.member.addresses[0], at);
            decide(&endpoint.authz, &facts).verdict.is_ok()
        };
        let answer = if passes { Answer::Permitted } else { Answer::Denied };
        prop_assert_eq!(why.answer(), answer);
    }
}
