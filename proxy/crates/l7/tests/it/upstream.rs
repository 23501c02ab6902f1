//! Clusters over real sockets: what stays and what goes when snapshots change.
use crate::{
    support::{Server, Version},
    waiting::until,
    world::{World, assignment, cluster, eds},
};
use culvert_l7::{
    forward::Chosen as _,
    upstream::{Ask, Chosen, Downstream},
};
use culvert_model::http::{
    cluster::{Breakers, Cluster, Discovery, OriginalDst},
    endpoint::{Assignment, Drop},
    matcher::Fraction,
    outlier::Outlier,
};
use http::StatusCode;
use std::{sync::Arc, time::Duration};

fn connections(world: &World) -> Vec<usize> {
    world.upstream().view().hosts.iter().map(|host| host.connections).collect()
}

#[tokio::test]
async fn endpoints_that_stay_keep_their_connections_and_those_that_go_get_nothing() {
    let (one, two) = (Server::start(Version::One).await, Server::start(Version::One).await);
    let mut world = World::new(eds());
    assert!(world.upstream().choose(&Ask::default()).is_err());
    world.set_endpoints(&[one.addr]);
    assert_eq!(world.get().await, (StatusCode::OK, one.addr));
    let before = Arc::clone(world.choose().facts().host);
    world.set_endpoints(&[one.addr, two.addr]);
    assert_eq!(connections(&world), [1, 0]);
    let answered = [world.get().await.1, world.get().await.1];
    assert!(answered.contains(&one.addr) && answered.contains(&two.addr));
    world.set_endpoints(&[two.addr]);
    for _ in 0..4 {
        assert_eq!(world.get().await.1, two.addr);
    }
    assert!(before.requests.load(std::sync::atomic::Ordering::Relaxed) >= 2);
    let _ended = world.drain.drain(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn only_what_connections_are_made_by_makes_new_ones() {
    let one = Server::start(Version::One).await;
    let at = assignment(&[one.addr]);
    let mut world = World::new(cluster(Discovery::Static(Arc::clone(&at))));
    world.get().await;
    let outlier = Some(Arc::new(Outlier::default()));
    world.set(Cluster { outlier, ..cluster(Discovery::Static(Arc::clone(&at))) });
    assert_eq!(connections(&world), [1]);
    let connect_timeout = Duration::from_secs(1);
    world.set(Cluster { connect_timeout, ..cluster(Discovery::Static(at)) });
    assert_eq!(connections(&world), [0]);
    assert_eq!(world.get().await.0, StatusCode::OK);
}

#[tokio::test]
async fn an_endpoint_that_fails_is_left_out() {
    let outlier = Outlier { consecutive_5xx: 2, max_percent: 100, ..Outlier::default() };
    let (one, two) = ("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
    let at = assignment(&[one, two]);
    let outlier = Some(Arc::new(outlier));
    let world = World::new(Cluster { outlier, ..cluster(Discovery::Static(at)) });
    let of = |chosen: &Chosen| chosen.facts().host.address.as_socket().unwrap();
    for _ in 0..4 {
        let chosen = world.choose();
        if of(&chosen) == one {
            chosen.failed(None);
        }
    }
    for _ in 0..4 {
        assert_eq!(of(&world.choose()), two);
    }
    let view = world.upstream().view();
    assert_eq!(view.hosts[0].health_flags(), "/failed_outlier_check");
    assert_eq!(view.hosts[1].health_flags(), "healthy");
}

#[tokio::test]
async fn where_a_connection_was_bound_is_an_endpoint_while_somebody_goes_there() {
    let server = Server::start(Version::One).await;
    let world = World::new(Cluster {
        cleanup_interval: Duration::from_millis(20),
        ..cluster(Discovery::OriginalDst(OriginalDst::default()))
    });
    let upstream = world.upstream();
    assert!(upstream.choose(&Ask::default()).is_err(), "bound for nowhere");
    let downstream = Downstream { destination: Some(server.addr), ..Downstream::default() };
    let ask = Ask { downstream, ..Ask::default() };
    let chosen = upstream.choose(&ask).unwrap();
    let again = upstream.choose(&ask).unwrap();
    assert!(std::ptr::eq(chosen.pool(), again.pool()));
    assert_eq!(chosen.facts().host.destination(), Some(server.addr));
    // A change that connections do not depend on keeps them.
    assert_eq!(world.number("membership_total"), 1);
    drop((chosen, again));
    until(|| world.number("membership_total") == 0).await;
    assert!(upstream.view().hosts.is_empty());
    assert!(upstream.choose(&ask).is_ok(), "it comes back when it is asked for");
}

#[tokio::test]
async fn an_endpoint_may_have_a_limit_of_its_own_and_requests_wait() {
    let server = Server::start(Version::One).await;
    let at = assignment(&[server.addr]);
    let breakers = Breakers { max_connections_per_host: Some(1), ..Breakers::default() };
    let world = World::new(Cluster { breakers, ..cluster(Discovery::Static(at)) });
    let all = tokio::join!(world.get(), world.get(), world.get());
    assert_eq!([all.0.0, all.1.0, all.2.0], [StatusCode::OK; 3]);
    assert_eq!(connections(&world), [1]);
    assert!(world.number("upstream_cx_overflow") > 0);
    assert_eq!(world.number("upstream_rq_total"), 3);
}

#[tokio::test]
async fn the_control_plane_may_want_fewer_requests() {
    let mut world = World::new(eds());
    assert!(!world.upstream().refuses());
    let drop = Drop { category: "load".into(), fraction: Fraction::percent(100) };
    let assigned = assignment(&["127.0.0.1:1".parse().unwrap()]);
    world.assign(Arc::new(Assignment { drops: [drop].into(), ..Assignment::clone(&assigned) }));
    assert!(world.upstream().refuses());
    assert_eq!(world.number("upstream_rq_drop_overload"), 1);
}
