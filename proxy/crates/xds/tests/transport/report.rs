//! What nodes say, and what they are told.
use crate::mesh::Password;
use culvert_model::name::{ObjectName, WorkloadUid};
use culvert_proto::culvert::node::v1::Hello;
use culvert_runtime::drain::Drain;
use culvert_xds::{
    report::{Order, Pod, PodState, Sheet},
    transport::{
        BoxIo,
        door::{Door, Peer},
        reporter::Reporter,
        reports::{Orders, Reports, What},
        upstream::{Connect, Upstream},
    },
};
use std::{io, sync::Arc, time::Duration};
use tonic::service::Routes;

fn upstream(door: Door) -> Upstream {
    let connect: Connect = Arc::new(move || {
        let door = door.clone();
        Box::pin(async move {
            let (here, there) = tokio::io::duplex(64 << 10);
            let peer = Peer { trusted: true, ..Peer::default() };
            let entered = door.enter(there, peer).await;
            let io = entered.map(|_| Box::new(here) as BoxIo);
            io.ok_or(io::ErrorKind::ConnectionReset.into())
        })
    });
    Upstream::try_new("http://control.test:15010", connect).unwrap()
}

fn pod(state: PodState) -> (WorkloadUid, Pod) {
    (WorkloadUid::new("u"), Pod { name: ObjectName::new("ns", "u"), state })
}

#[tokio::test]
async fn a_node_says_what_is_so_and_follows_orders() {
    let (drain, node) = (Drain::default(), Drain::default());
    let (reports, mut events) = Reports::new(Arc::<Password>::default(), drain.worker());
    let door = Door::open(Routes::new(reports.into_route()), &drain.worker());
    let hello = Hello { node: "a".into(), ..Hello::default() };
    let (reporter, mut followed) = Reporter::start(upstream(door), hello, &node.worker());
    reporter.change(|sheet| sheet.pods.extend([pod(PodState::Pending("no netns".into()))]));

    let came = events.recv().await.unwrap();
    let What::Came { orders, peer, .. } = came.what else { panic!("{came:?}") };
    assert_eq!((&*came.node, peer.trusted), ("a", true));
    assert!(orders.send(Order::Welcome { version: "1".into(), life: "x".into() }));
    assert!(matches!(followed.recv().await, Some(Order::Welcome { .. })));

    let mut heard = Sheet::default();
    reporter.change(|sheet| sheet.pods.extend([pod(PodState::Captured)]));
    while heard.pods.values().all(|pod| pod.state != PodState::Captured) {
        let What::Said(said) = events.recv().await.unwrap().what else { panic!("it left") };
        heard.hear(said).unwrap();
    }
    assert!(orders.send(Order::Release(vec![WorkloadUid::new("u")])));
    assert_eq!(followed.recv().await, Some(Order::Release(vec![WorkloadUid::new("u")])));

    // A stream that is ended is opened again, and all is said anew.
    Orders::end(&orders, "that makes no sense");
    let mut next = events.recv().await.unwrap();
    while !matches!(next.what, What::Came { .. }) {
        next = events.recv().await.unwrap();
    }
    assert_ne!(next.stream, came.stream);
    let mut again = Sheet::default();
    while again.pods.is_empty() {
        let event = events.recv().await.unwrap();
        if let (What::Said(said), true) = (event.what, event.stream == next.stream) {
            again.hear(said).unwrap();
        }
    }
    assert_eq!(again, heard);
    node.drain(Duration::from_secs(2)).await;
    while !matches!(events.recv().await.unwrap().what, What::Left) {}
    assert!(!orders.send(Order::Announced(vec![])), "nobody is there");
}

#[tokio::test]
async fn who_does_not_listen_is_ended_all_the_same() {
    let (drain, node) = (Drain::default(), Drain::default());
    let (reports, mut events) = Reports::new(Arc::<Password>::default(), drain.worker());
    let door = Door::open(Routes::new(reports.into_route()), &drain.worker());
    let hello = Hello { node: "a".into(), ..Hello::default() };
    let (_reporter, _followed) = Reporter::start(upstream(door), hello, &node.worker());
    let came = events.recv().await.unwrap();
    let What::Came { orders, .. } = came.what else { panic!("{came:?}") };
    while orders.send(Order::Announced(vec![])) {}
    orders.end("it did not get through");
    assert!(matches!(events.recv().await.unwrap().what, What::Left));
}
