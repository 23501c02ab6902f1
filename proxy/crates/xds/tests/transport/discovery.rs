//! What there is comes to every node, and stays while nobody says anything.
use crate::mesh::{Control, Seen, address, follow, policy};
use culvert_runtime::drain::Drain;
use culvert_xds::{client::Mode, server::Lag, transport::nodes::Kind};
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};

#[tokio::test]
async fn a_node_is_told_and_what_it_accepts_is_known() {
    let (mut control, drain, seen) = (Control::new(), Drain::default(), Seen::new());
    control.set(&[address("a", 1)], &[policy("p")]);
    let mut follower = follow(control.upstream(), Mode::Everything, &seen, &drain.worker());
    follower.until(|status| status.ready).await.unwrap();
    seen.until(&["a", "ns/p"]).await;
    assert_eq!(*seen.log.lock(), ["1 policies", "1 addresses"]);
    let sequence = control.set(&[address("a", 1), address("b", 2)], &[]);
    seen.until(&["a", "b"]).await;
    control.until(|nodes, _| nodes.acked(Kind::Addresses).everybody(sequence, "b")).await;
    let worlds = control.view.pin();
    let listed = control.nodes.list(&worlds.value);
    assert_eq!((listed.len(), &*listed[0].node, listed[0].addresses.changes), (1, "a", 0));
    assert_eq!(&*listed[0].id, "ztunnel~1.1.1.1~culvert.ns~ns.svc.cluster.local");
    drain.drain(Duration::from_secs(2)).await;
    control.until(|nodes, worlds| nodes.list(worlds).is_empty()).await;
}

#[tokio::test]
async fn all_stays_while_the_control_plane_is_away_and_is_not_said_again() {
    let (mut control, drain, seen) = (Control::new(), Drain::default(), Seen::new());
    control.set(&[address("a", 1), address("b", 2)], &[policy("p")]);
    let mut follower = follow(control.upstream(), Mode::Everything, &seen, &drain.worker());
    seen.until(&["a", "b", "ns/p"]).await;
    control.stop().await;
    let status = follower.until(|status| !status.connected).await.unwrap();
    assert!(status.ready && status.error.is_some(), "{status:?}");
    seen.until(&["a", "b", "ns/p"]).await;
    control.set(&[address("a", 9)], &[policy("p")]);
    seen.log.lock().clear();
    control.start();
    seen.until(&["a", "ns/p"]).await;
    // One set and one removed; the policy is held already.
    assert_eq!(*seen.log.lock(), ["0 policies", "2 addresses"]);
    follower.until(|status| status.connected && status.error.is_none()).await.unwrap();
}

#[tokio::test]
async fn what_is_asked_for_by_address_comes() {
    let (mut control, drain, seen) = (Control::new(), Drain::default(), Seen::new());
    control.set(&[address("a", 1), address("b", 2)], &[]);
    let follower = follow(control.upstream(), Mode::OnDemand, &seen, &drain.worker());
    follower.want("/10.0.0.2".into()).await;
    seen.until(&["b"]).await;
    control.set(&[address("a", 1), address("c", 2)], &[]);
    seen.until(&["c"]).await;
    follower.forget("/10.0.0.2".into()).await;
    seen.until(&[]).await;
}

#[tokio::test]
async fn a_guest_is_told_and_speaks_for_nobody() {
    let (mut control, drain, seen) = (Control::new(), Drain::default(), Seen::new());
    *control.gate.guests.lock() = true;
    let _follower = follow(control.upstream(), Mode::Everything, &seen, &drain.worker());
    let sequence = control.set(&[address("a", 1)], &[]);
    seen.until(&["a"]).await;
    let current = |lag: &Lag| *lag == Lag { changes: 0, unanswered: 0 };
    control
        .until(|nodes, worlds| nodes.list(worlds).iter().any(|one| current(&one.addresses)))
        .await;
    let acked = control.nodes.acked(Kind::Addresses);
    assert!(!acked.everybody(sequence, "a") && !acked.node("a", sequence, "a"));
    // Nor is it waited for.
    let later = control.set(&[address("b", 2)], &[]);
    *control.gate.guests.lock() = false;
    let node = Seen::new();
    let _node = follow(control.upstream(), Mode::Everything, &node, &drain.worker());
    control.until(|nodes, _| nodes.acked(Kind::Addresses).everybody(later, "b")).await;
}

#[tokio::test]
async fn a_token_is_read_anew_for_each_stream() {
    let (mut control, drain, seen) = (Control::new(), Drain::default(), Seen::new());
    control.set(&[address("a", 1)], &[]);
    *control.gate.word.lock() = Some("open".to_owned());
    let token = Arc::new(Mutex::new(None));
    let shown = Arc::clone(&token);
    let shown = move || shown.lock().clone().map(Some).ok_or_else(|| "it is lost".into());
    let upstream = control.upstream().with_bearer(Arc::new(shown));
    let mut follower = follow(upstream, Mode::Everything, &seen, &drain.worker());
    let says = |text: &'static str| {
        move |status: &culvert_xds::transport::follow::Status| {
            status.error.as_deref().is_some_and(|error| error.contains(text))
        }
    };
    follower.until(says("there is no token to show: it is lost")).await.unwrap();
    *token.lock() = Some("shut".to_owned());
    follower.until(says("a has not the word")).await.unwrap();
    *token.lock() = Some("open".to_owned());
    seen.until(&["a"]).await;
}

#[tokio::test]
async fn ten_thousand_workloads_come_whole() {
    let (mut control, drain, seen) = (Control::new(), Drain::default(), Seen::new());
    let all: Vec<_> = (0..10_000).map(|i| address(&format!("{i:05}"), 1)).collect();
    control.set(&all, &[]);
    let mut follower = follow(control.upstream(), Mode::Everything, &seen, &drain.worker());
    follower.until(|status| status.ready).await.unwrap();
    assert_eq!(*seen.log.lock(), ["0 policies", "10000 addresses"]);
}
