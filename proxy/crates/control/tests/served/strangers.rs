//! Who is turned away, and that it harms nobody.
use crate::plane::{NAMESPACE, PATIENCE, Plane, STRICT, Seen, id, now, pod, upstream, who};
use culvert_identity::{
    clock::{Clock as _, SystemClock},
    csr::Csr,
    issue::{Issuer as _, Request},
    istio::{self, IstioCa},
    join::Claims,
    node,
    upstream::{Anchors, Server, Way},
};
use culvert_proto::culvert::node::v1::Hello;
use culvert_runtime::drain::Drain;
use culvert_xds::{
    client::Mode,
    report::PodState,
    transport::{
        follow::Follower,
        reporter::Reporter,
        upstream::{Upstream, plain},
    },
};
use rustls_pki_types::UnixTime;
use std::{
    net::SocketAddr,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Follows by `upstream`, and says why that was refused.
async fn refusal(upstream: Upstream) -> String {
    let drain = Drain::default();
    let mode = Mode::Everything;
    let mut follower = Follower::start(upstream, &who("one"), mode, Seen::new(), &drain.worker());
    let status = follower.until(|status| status.error.is_some());
    let status = tokio::time::timeout(PATIENCE, status).await.unwrap().unwrap();
    status.error.unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_for_one_node_of_one_control_plane_and_for_its_time() {
    let plane = Plane::start(&[NAMESPACE, &pod("a", "one", 1, "")]).await;
    let key = plane.state().join("join-key");
    let mint = |key, claims| plane.token_with(key, &claims);
    let for_other = plane.control.join_token("two", HOUR).unwrap();
    let now = SystemClock.now().as_secs();
    let past = UnixTime::since_unix_epoch(Duration::from_secs(now - 7200));
    let expired = mint(&key, Claims::new("cluster.local", "one", past, HOUR));
    let other_key = plane.state().join("other-key");
    let forged = mint(&other_key, Claims::new("cluster.local", "one", SystemClock.now(), HOUR));
    let elsewhere = mint(&key, Claims::new("elsewhere", "one", SystemClock.now(), HOUR));
    for (token, why) in [
        (for_other, "the caller is node two by its join token, not one"),
        (expired, "the join token for node one expired 36"),
        (forged, "the join token was not made by this control plane"),
        (elsewhere, "the join token is for trust domain elsewhere"),
    ] {
        let mut node = plane.node_with("one", &token);
        let refused = node.refusal().await;
        assert!(refused.contains(why), "{refused}");
        node.says("a", PodState::Captured);
        assert!(node.identities.certificate(&id("a")).await.is_err());
    }
    assert_eq!(plane.control.mesh_status().counts.announced, 0);
    assert_eq!(plane.control.mesh_status().certificates.issued, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_proof_nothing_is_served_but_what_this_machine_may_see() {
    let plane = Plane::start(&[NAMESPACE, &pod("a", "one", 1, "")]).await;
    let roots = now(&plane.control.authority()).roots().to_vec();
    let control = node::control_plane("cluster.local").unwrap();
    let way = Way::new(&plane.tls.to_string(), Server::Identity(control), Anchors::Pem(roots));
    let refused = refusal(upstream(way.clone(), None)).await;
    assert!(refused.contains("neither a token nor a node's client certificate"), "{refused}");
    let ca = IstioCa::new(way, istio::Settings::default());
    let csr = Csr::from_pem(CSR).unwrap();
    let request = Request { identity: id("a"), csr, validity: HOUR };
    let refused = ca.issue(&request).await.unwrap_err().to_string();
    assert!(refused.contains("neither a token"), "{refused}");
    // In plain text whoever is here may see, and not speak.
    let at = plane.plain.to_string();
    let here = Upstream::try_new(&format!("http://{at}"), plain(&at)).unwrap();
    let (drain, seen) = (Drain::default(), Seen::new());
    let hello = Hello { node: "one".into(), ..Hello::default() };
    let (reporter, _orders) = Reporter::start(here.clone(), hello, &drain.worker());
    let _follower =
        Follower::start(here, &who("one"), Mode::Everything, seen.clone(), &drain.worker());
    reporter.change(|_| {});
    seen.until(|all| all.contains_key("shop/a")).await;
    let status = plane.until(|status| !status.guests.is_empty()).await;
    assert_eq!((status.nodes.len(), &*status.guests[0].name), (0, "one"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_on_the_machine_speaks_for_no_node_that_proves_itself() {
    let strict = [NAMESPACE, STRICT, &pod("a", "one", 1, ""), &pod("b", "two", 2, "")];
    let plane = Plane::start(&strict).await;
    let one = plane.node("one");
    one.says("a", PodState::Captured);
    // It follows under the names of both, and accepts all it is told.
    let at = plane.plain.to_string();
    let here = Upstream::try_new(&format!("http://{at}"), plain(&at)).unwrap();
    let drain = Drain::default();
    let liar = |name| {
        let (here, seen) = (here.clone(), Seen::new());
        Follower::start(here, &who(name), Mode::Everything, seen, &drain.worker())
    };
    let _liars = ["one", "two"].map(liar);
    let status = plane.until(|status| status.guests.len() == 2 && status.counts.announced == 1);
    let status = status.await;
    assert_eq!(status.nodes.iter().map(|node| &*node.name).collect::<Vec<_>>(), ["one"]);
    assert_eq!(status.nodes[0].pods.captured, 1);
    // Whoever shows another's proof, or one that is good no longer, is no guest either.
    for (token, why) in [
        (
            plane.control.join_token("two", HOUR).unwrap(),
            "the caller is node two by its join token",
        ),
        (plane.token_with(&plane.state().join("other-key"), &claims()), "was not made by this"),
    ] {
        let here = here.clone().with_bearer(Arc::new(move || Ok(Some(token.clone()))));
        let refused = refusal(here).await;
        assert!(refused.contains(why), "{refused}");
    }
}

fn claims() -> Claims {
    Claims::new("cluster.local", "one", SystemClock.now(), HOUR)
}

async fn knocks(at: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut io = TcpStream::connect(at).await.unwrap();
    io.write_all(bytes).await.unwrap();
    io
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_and_silence_harm_nobody() {
    let plane = Plane::start(&[NAMESPACE, &pod("a", "one", 1, "")]).await;
    let mut silent = Vec::new();
    for at in [plane.tls, plane.plain] {
        for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 4096], &[0x16, 3, 1, 0xff, 0xff, 1]] {
            silent.push(knocks(at, bytes).await);
        }
        for _ in 0..300 {
            silent.push(knocks(at, b"").await);
        }
        // The beginning of HTTP/2, and then nothing.
        silent.push(knocks(at, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await);
    }
    let node = plane.node("one");
    node.seen.until(|all| all.contains_key("shop/a")).await;
    node.identities.certificate(&id("a")).await.unwrap();
    node.says("a", PodState::Captured);
    plane.until(|status| status.counts.announced == 1).await;
    drop(silent);
}

fn openssl(at: SocketAddr, arguments: &[&str]) -> String {
    let connect = at.to_string();
    let child = Command::new("openssl")
        .args(["s_client", "-connect", &connect, "-alpn", "h2"])
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    let output = child.unwrap();
    let [out, err] = [output.stdout, output.stderr];
    String::from_utf8_lossy(&[out, err].concat()).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_tls_1_3_is_spoken_and_a_foreign_certificate_is_no_proof() {
    let plane = Plane::start(&[NAMESPACE]).await;
    let folder = tempfile::tempdir().unwrap();
    let at = plane.tls;
    let old = openssl(at, &["-tls1_2"]);
    assert!(old.contains("alert protocol version"), "{old}");
    let new = openssl(at, &["-tls1_3"]);
    assert!(new.contains("TLSv1.3") && new.contains("ALPN protocol: h2"), "{new}");
    let [key, own] = ["key.pem", "own.pem"].map(|name| folder.path().join(name));
    let [key, own] = [&key, &own].map(|path| path.to_str().unwrap());
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-keyout", key, "-out", own, "-subj", "/CN=x", "-addext"])
        .arg("subjectAltName=URI:spiffe://cluster.local/ns/culvert-system/sa/node_one")
        .output();
    assert!(made.unwrap().status.success());
    let foreign = openssl(at, &["-tls1_3", "-key", key, "-cert", own, "-ign_eof"]);
    assert!(foreign.contains("SSL alert number"), "{foreign}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_certificate_is_revoked_is_cut_off() {
    let plane = Plane::start(&[NAMESPACE]).await;
    let mut node = plane.node("one");
    let own = node::identity("cluster.local", "one").unwrap();
    let _held = node.identities.hold(own.clone());
    node.identities.certificate(&own).await.unwrap();
    // From the next stream on it shows its certificate, and nothing else.
    let claims = Claims::new("cluster.local", "one", SystemClock.now(), HOUR);
    node.replace_token(&plane.token_with(&plane.state().join("other-key"), &claims));
    let plane = plane.restart(async |_| {}).await;
    let follows = |status: &culvert_control::status::mesh::MeshStatus| {
        status.nodes.iter().any(|node| node.follows && node.identity.is_some())
    };
    plane.until(follows).await;
    // Another root, and this one believed no more.
    let other = culvert_identity::ca::Authority::new_root("cluster.local", SystemClock.now());
    plane.control.trust().set_roots(other.unwrap().roots()).unwrap();
    plane.until(|status| status.nodes.is_empty()).await;
    assert!(node.refusal().await.len() > 1);
}

/// Any request; it is refused before it is looked at.
const CSR: &str = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n";
