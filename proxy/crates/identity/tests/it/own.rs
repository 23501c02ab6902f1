//! Listeners that end TLS in the name of a workload, and want members of the mesh.
use crate::{
    crl::list,
    strangers::mesh_with_key,
    world::{Mesh, id},
};
use culvert_identity::{
    certificate::Certificate,
    clock::Clock,
    crl,
    edge::{
        client::{Asked, ClientSide},
        own,
        server::ServerSide,
    },
    trust::Trust,
};
use culvert_model::http::{
    secret::{Secret, SecretRef},
    tls::{
        CertificateSource, CommonTls, DownstreamTls, OcspPolicy, TlsVersion, UpstreamTls,
        Validation, ValidationSource,
    },
};
use std::{fs, sync::Arc};

fn common(shown: Option<&Certificate>, wanted: Validation) -> CommonTls {
    let shown = shown.map(|one| CertificateSource::Inline(Arc::new(own::certificate(one))));
    CommonTls {
        min: TlsVersion::V1_2,
        max: TlsVersion::V1_3,
        ciphers: Arc::default(),
        curves: Arc::default(),
        certificates: shown.into_iter().collect(),
        validation: Some(Arc::new(ValidationSource { here: Arc::new(wanted), secret: None })),
        alpn: ["h2".into()].into(),
    }
}

fn nothing(_: &SecretRef) -> Option<Secret> {
    None
}

/// Whom the server `own` takes the client for, where it believes `trust`.
async fn taken_for(
    own: &Certificate,
    trust: &Trust,
    shown: Option<&Certificate>,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<String>, String> {
    let server = DownstreamTls {
        common: common(Some(own), own::validation(own.identity(), trust)),
        require_client_certificate: true,
        require_sni: false,
        stateless_resumption: false,
        stateful_resumption: false,
        ticket_keys: None,
        ocsp: OcspPolicy::Lenient,
    };
    let client = UpstreamTls {
        common: common(shown, own::validation(own.identity(), trust)),
        sni: "a.example".into(),
        sni_of_endpoint: false,
        validate_sni: false,
        max_session_keys: 0,
    };
    let server = ServerSide::new(&server, &nothing, clock).unwrap();
    let client = ClientSide::new(&client, None, &nothing, clock).unwrap();
    let (near, far) = tokio::io::duplex(1 << 16);
    let (accepted, connected) =
        tokio::join!(server.accept(near), client.connect(Asked::default(), far));
    drop(connected);
    let (_, facts) = accepted.map_err(|error| format!("{error:?}"))?;
    Ok(facts.peer.unwrap().said().names.uris)
}

#[tokio::test]
async fn a_member_is_known_by_its_certificate_and_nobody_else_is_let_in() {
    let mesh = Mesh::new();
    let node = mesh.node();
    let (edge, cart) = (node.certificate("edge").await, node.certificate("cart").await);
    let trust = node.trust.view().pin();
    let met = taken_for(&edge, &trust.value, Some(&cart), &mesh.clock).await;
    assert_eq!(met, Ok(vec![id("cart").to_string()]));
    let met = taken_for(&edge, &trust.value, None, &mesh.clock).await;
    assert!(met.unwrap_err().contains("NoCertificate"));

    let other = Mesh::new();
    let stranger = other.node().certificate("cart").await;
    let met = taken_for(&edge, &trust.value, Some(&stranger), &mesh.clock).await;
    assert!(met.is_err(), "{met:?}");
}

#[tokio::test]
async fn a_member_that_was_revoked_is_refused() {
    let (mesh, signing) = mesh_with_key();
    let node = mesh.node();
    let (edge, cart) = (node.certificate("edge").await, node.certificate("cart").await);
    let bank = node.certificate("bank").await;
    let before = node.trust.view().pin();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crl.pem");
    fs::write(&path, list(&signing, &[&cart])).unwrap();
    crl::watch(&path, &node.trust, &node.drain.worker()).unwrap();
    let after = node.trust.view().pin();
    assert!(taken_for(&edge, &before.value, Some(&cart), &mesh.clock).await.is_ok());
    let met = taken_for(&edge, &after.value, Some(&cart), &mesh.clock).await;
    assert!(met.unwrap_err().contains("Revoked"));
    assert!(taken_for(&edge, &after.value, Some(&bank), &mesh.clock).await.is_ok());
}
