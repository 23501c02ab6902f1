//! Another root takes over while nodes are connected, and other names for the control plane.
use crate::plane::{NAMESPACE, Plane, id, now, pod};
use culvert_control::control::Ca;
use culvert_identity::{
    ca::Authority,
    clock::{Clock as _, SystemClock},
    istio::{self, IstioCa},
    keeper::{self, Parties},
    trust::TrustStore,
    upstream::{Anchors, Server, Way},
};
use culvert_runtime::{drain::Drain, publish};
use std::{fs, sync::Arc, time::Duration};

#[tokio::test(flavor = "multi_thread")]
async fn nodes_go_along_when_one_root_replaces_another() {
    let [old, new] = [(); 2].map(|()| Authority::new_root("cluster.local", SystemClock.now()));
    let [old, new] = [old.unwrap(), new.unwrap()];
    let (both, last) = ([new.roots(), old.roots()].concat(), new.roots().to_vec());
    let (mut publisher, view) = publish::channel(Arc::new(old));
    let pods = [pod("a", "one", 1, ""), pod("b", "one", 2, ""), pod("c", "one", 3, "")];
    let [a, b, c] = &pods;
    let plane = Plane::start_with(&[NAMESPACE, a, b, c], |_| Ca::Authority(view)).await;
    let mut node = plane.node("one");
    node.follows().await;
    let before = node.identities.certificate(&id("a")).await.unwrap();
    let own = plane.control.mesh_status().authority.own_serial;
    // The new one signs, both are believed.
    publisher.publish(Arc::new(new.believing(&both).unwrap()));
    let status = plane.until(|status| status.authority.own_serial != own).await;
    assert_eq!(status.authority.roots, 2);
    // The certificate of the old root, still shown by some, is good; so is a token of before.
    node.identities.certificate(&id("b")).await.unwrap();
    assert_eq!(now(&node.trust.view()).roots(), both);
    let mut another = plane.node("one");
    another.follows().await;
    // The old one is believed no more: whoever learnt of the new one in time goes on.
    let own = status.authority.own_serial;
    publisher.publish(Arc::new(new.believing(&last).unwrap()));
    plane.until(|status| status.authority.own_serial != own).await;
    node.identities.certificate(&id("c")).await.unwrap();
    assert_eq!(now(&node.trust.view()).roots(), last);
    assert!(before.identity() == &id("a") && node.follower.status().connected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_goes_by_the_names_it_is_dialled_by() {
    let plane = Plane::start(&[NAMESPACE, &pod("a", "one", 1, "")]).await;
    let folder = tempfile::tempdir().unwrap();
    let [roots, token] = ["roots.pem", "token"].map(|name| folder.path().join(name));
    let certificates = now(&plane.control.authority()).roots().to_vec();
    fs::write(&roots, culvert_identity::armor::write(&certificates)).unwrap();
    // Not there yet when the first certificate is asked for.
    let settings = istio::Settings {
        token: Some(token.clone()),
        cluster: "Kubernetes".into(),
        headers: vec![("x-more".into(), "said".into())],
    };
    let ask = |name: &str| {
        let server = Server::Name(name.into());
        let way = Way::new(&plane.tls.to_string(), server, Anchors::File(roots.clone()));
        let (drain, clock) = (Drain::default(), Arc::new(SystemClock));
        let issuer = Arc::new(IstioCa::new(way, settings.clone()));
        let parties = Parties { issuer, trust: TrustStore::default(), clock };
        let identities = keeper::start(parties, keeper::Settings::default(), &drain.worker());
        async move {
            let _drain = drain;
            let asked = identities.certificate(&id("a")).await;
            asked.map(|_| ()).map_err(|error| chain(&error))
        }
    };
    let refused = ask("localhost").await.unwrap_err();
    assert!(refused.contains("cannot read the token"), "{refused}");
    let hour = Duration::from_secs(60 * 60);
    fs::write(&token, plane.control.join_token("one", hour).unwrap()).unwrap();
    for name in ["localhost", "127.0.0.1", "istiod.istio-system.svc"] {
        ask(name).await.unwrap();
    }
    let refused = ask("control.example").await.unwrap_err();
    assert!(refused.contains("the certificate is not for control.example"), "{refused}");
}

/// An error and its causes.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", chain(cause)),
        None => error.to_string(),
    }
}
