//! Clusters over real sockets: what stays and what goes when snapshots change.
use crate::{
    support::{Server, Version},
    world::{World, assignment, cluster, eds},
};
use culvert_l7::{
    forward::Chosen as _,
    upstream::{Ask, Chosen},
};
use culvert_model::http::{
    cluster::{Cluster, Discovery},
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
