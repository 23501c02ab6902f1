//! Certificates that were revoked.
use crate::{
    strangers::mesh_with_key,
    world::{START, id, meet},
};
use culvert_identity::{certificate::Certificate, crl, verify::VerifyError};
use rcgen::{
    CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber,
};
use std::fs;
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// A list that revokes `certificates`; it is out of date.
pub(crate) fn list(signing: &Issuer<'static, KeyPair>, certificates: &[&Certificate]) -> String {
    let now = OffsetDateTime::from_unix_timestamp(i64::try_from(START.as_secs()).unwrap()).unwrap();
    let revoked = |one: &&Certificate| {
        let (_, parsed) = X509Certificate::from_der(&one.chain()[0]).unwrap();
        RevokedCertParams {
            serial_number: SerialNumber::from_slice(parsed.raw_serial()),
            revocation_time: now,
            reason_code: None,
            invalidity_date: None,
        }
    };
    let params = CertificateRevocationListParams {
        this_update: now - time::Duration::DAY,
        next_update: now - time::Duration::HOUR,
        crl_number: SerialNumber::from_slice(&[1]),
        issuing_distribution_point: None,
        revoked_certs: certificates.iter().map(revoked).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(signing).unwrap().pem().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_revoked_peer_is_refused_and_its_open_connection_is_no_longer_believed() {
    let (mesh, signing) = mesh_with_key();
    let node = mesh.node();
    let (cart, bank) = (node.certificate("cart").await, node.certificate("bank").await);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crl.pem");
    fs::write(&path, list(&signing, &[])).unwrap();
    crl::watch(&path, &node.trust, &node.drain.worker()).unwrap();
    let open = meet(&cart, &[id("bank")], &bank).await.server.unwrap();

    let mut trust = node.trust.view();
    let before = trust.pin();
    fs::write(&path, list(&signing, &[&cart])).unwrap();
    let after = trust.newer_than(before.generation).await.unwrap();
    assert_eq!(open.recheck(&before.value), Ok(()));
    assert_eq!(open.recheck(&after.value), Err(VerifyError::Revoked));
    let (client, server) = meet(&cart, &[id("bank")], &bank).await.text();
    assert_eq!(
        server,
        "the peer is not who it must be: the certificate or one of its issuers was revoked"
    );
    assert_eq!(client, "the peer refused the handshake: CertificateRevoked");
    let (client, _) = meet(&bank, &[id("cart")], &cart).await.text();
    assert!(client.contains("was revoked"), "{client}");
    assert!(meet(&bank, &[id("bank")], &bank).await.server.is_ok(), "others are not concerned");

    // A broken file does not unrevoke.
    fs::write(&path, "-----BEGIN X509 CRL-----\nbroken\n-----END X509 CRL-----\n").unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(open.recheck(&node.trust.view().pin().value), Err(VerifyError::Revoked));

    fs::write(&path, list(&signing, &[])).unwrap();
    trust.newer_than(after.generation).await.unwrap();
    assert_eq!(open.recheck(&trust.pin().value), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn lists_that_cannot_be_read_to_begin_with_are_an_error() {
    let (mesh, _) = mesh_with_key();
    let node = mesh.node();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crl.pem");
    let worker = node.drain.worker();
    let missing = crl::watch(&path, &node.trust, &worker).unwrap_err();
    assert!(matches!(missing, crl::CrlError::Read { .. }), "{missing}");
    fs::write(&path, "no list").unwrap();
    let broken = crl::watch(&path, &node.trust, &worker).unwrap_err();
    assert!(matches!(broken, crl::CrlError::List { index: 0, .. }), "{broken}");
}

#[tokio::test(start_paused = true)]
async fn a_list_of_another_authority_says_nothing() {
    let (mesh, _) = mesh_with_key();
    let (_, foreign) = mesh_with_key();
    let node = mesh.node();
    let (cart, bank) = (node.certificate("cart").await, node.certificate("bank").await);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crl.pem");
    fs::write(&path, list(&foreign, &[&cart])).unwrap();
    crl::watch(&path, &node.trust, &node.drain.worker()).unwrap();
    assert!(meet(&cart, &[id("bank")], &bank).await.server.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_list_signed_with_another_key_of_that_name_revokes_what_it_names_and_keeps_out_nobody() {
    let (mesh, signing) = mesh_with_key();
    let node = mesh.node();
    let (cart, bank) = (node.certificate("cart").await, node.certificate("bank").await);
    // What is left of the name when a root is replaced by one that is called the same.
    let namesake =
        Issuer::from_ca_cert_der(&mesh.view.pin().value.roots()[0], KeyPair::generate().unwrap())
            .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crl.pem");
    let both = list(&namesake, &[&cart]) + &list(&signing, &[]);
    fs::write(&path, both).unwrap();
    crl::watch(&path, &node.trust, &node.drain.worker()).unwrap();
    let met = meet(&cart, &[id("bank")], &bank).await;
    assert!(met.text().1.contains("was revoked"), "{:?}", met.text());
    assert!(meet(&bank, &[id("bank")], &bank).await.server.is_ok());
}
