//! Two workloads that meet.
use crate::world::{DAY, HOUR, Mesh, Node, START, clock, id, meet, talk};
use culvert_identity::{
    ca::{Authority, issuer::AuthorityIssuer},
    tls::{self, ALPN},
};
use culvert_model::identity::Identity;
use rustls::{CipherSuite, NamedGroup, ProtocolVersion};
use std::{fs, sync::Arc};

#[tokio::test(start_paused = true)]
async fn each_end_learns_who_the_other_is() {
    let mesh = Mesh::new();
    let (here, there) = (mesh.node(), mesh.node());
    let (cart, bank) = (here.certificate("cart").await, there.certificate("bank").await);
    let met = meet(&cart, &[id("other"), id("bank")], &bank).await;
    assert_eq!(met.text(), (id("bank").to_string(), id("cart").to_string()));
}

#[tokio::test(start_paused = true)]
async fn speaks_tls_1_3_with_the_cheapest_suite_and_a_post_quantum_exchange() {
    let mesh = Mesh::new();
    let node = mesh.node();
    let cart = node.certificate("cart").await;
    let (a, b) = tokio::io::duplex(64 * 1024);
    let (client, server) =
        tokio::join!(tls::connect(&cart, [id("cart")].into(), a), tls::accept(&cart, b));
    let (client, server) = (client.unwrap().io, server.unwrap().io);
    let (_, tls) = client.get_ref();
    assert_eq!(tls.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(tls.alpn_protocol(), Some(ALPN));
    let suite = tls.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(suite, CipherSuite::TLS13_AES_128_GCM_SHA256);
    let group = tls.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
    let (_, tls) = server.get_ref();
    assert_eq!(tls.server_name(), None, "no name is sent");
    assert_eq!(tls.negotiated_key_exchange_group().unwrap().name(), NamedGroup::X25519MLKEM768);
}

#[tokio::test(start_paused = true)]
async fn a_client_refuses_a_server_that_is_not_the_expected_one() {
    let mesh = Mesh::new();
    let node = mesh.node();
    let (cart, bank) = (node.certificate("cart").await, node.certificate("bank").await);
    for (expected, text) in
        [(vec![id("other")], id("other").to_string()), (vec![], "nobody".to_owned())]
    {
        let (client, server) = meet(&cart, &expected, &bank).await.text();
        assert_eq!(
            client,
            format!(
                "the peer is not who it must be: the certificate is for {}, expected was {text}",
                id("bank")
            )
        );
        assert_eq!(server, "the peer refused the handshake: CertificateUnknown");
    }
}

/// Two authorities with one root, each for its trust domain.
fn two_domains() -> (Authority, Authority) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let one = culvert_identity::ca::files::kept(&path, "td", START).unwrap();
    let pem = fs::read_to_string(&path).unwrap();
    let other = Authority::from_pem("elsewhere", &pem, pem.as_bytes(), pem.as_bytes()).unwrap();
    (one, other)
}

#[tokio::test(start_paused = true)]
async fn a_server_refuses_a_client_of_another_trust_domain() {
    let (one, other) = two_domains();
    let (one, other) = (Mesh::of(one), Mesh::of(other));
    let stranger = Identity::try_new("elsewhere", "shop", "cart").unwrap();
    let (here, there) = (one.node(), other.node());
    let bank = here.certificate("bank").await;
    let cart = there.identities.certificate(&stranger).await.unwrap();
    let (client, server) = meet(&cart, &[id("bank")], &bank).await.text();
    assert_eq!(
        server,
        "the peer is not who it must be: the certificate is for \
         spiffe://elsewhere/ns/shop/sa/cart, of another trust domain than td"
    );
    assert_eq!(client, "the peer refused the handshake: CertificateUnknown");

    // The other way round the client has no objection, but to that server we are the stranger.
    let (client, server) = meet(&bank, &[stranger], &cart).await.text();
    assert!(server.contains("of another trust domain than elsewhere"), "{server}");
    assert_eq!(client, "the peer refused the handshake: CertificateUnknown");
}

#[tokio::test(start_paused = true)]
async fn ends_of_two_meshes_refuse_each_other() {
    let (one, other) = (Mesh::new(), Mesh::new());
    let (here, there) = (one.node(), other.node());
    let (cart, bank) = (here.certificate("cart").await, there.certificate("bank").await);
    let (client, server) = meet(&cart, &[id("bank")], &bank).await.text();
    assert_eq!(
        client,
        "the peer is not who it must be: the certificate was not issued under a trusted root"
    );
    assert_eq!(server, "the peer refused the handshake: UnknownCA");
}

#[tokio::test(start_paused = true)]
async fn an_expired_certificate_is_refused_by_either_end() {
    let mesh = Mesh::new();
    let node = mesh.node();
    let old = node.certificate("cart").await;
    // Believes the same root, and lives two days later.
    let later = clock(DAY * 2);
    let issuer = AuthorityIssuer::new(mesh.view.clone(), Arc::clone(&later));
    let there = Node::new(Arc::new(issuer), later);
    let fresh = there.certificate("bank").await;
    let expired = |seconds| {
        format!("the peer is not who it must be: the certificate expired {seconds} s ago")
    };
    let ago = DAY.as_secs();
    let (client, server) = meet(&old, &[id("bank")], &fresh).await.text();
    // For the old one's clock, the fresh one is not valid yet.
    assert!(client.contains("not valid before another"), "{client}");
    assert_eq!(server, "the peer refused the handshake: CertificateExpired");
    let (client, _) = meet(&fresh, &[id("cart")], &old).await.text();
    assert_eq!(client, expired(ago));
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_expires_later_does_not_end_an_open_connection() {
    let mesh = Mesh::new();
    let node = mesh.node();
    let (cart, bank) = (node.certificate("cart").await, node.certificate("bank").await);
    let (a, b) = tokio::io::duplex(64 * 1024);
    let (client, server) =
        tokio::join!(tls::connect(&cart, [id("bank")].into(), a), tls::accept(&bank, b));
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    tokio::time::advance(DAY + HOUR).await;
    assert_eq!(client.peer.recheck(&node.trust.view().pin().value), Ok(()));
    let (sent, received) = tokio::join!(talk(&mut client.io), talk(&mut server.io));
    sent.and(received).unwrap();
}
