//! OpenSSL's `s_client` as a peer that shares no code with us; it must be installed.
use crate::world::{Mesh, id};
use culvert_identity::{
    ca::{Authority, bundle},
    certificate::Certificate,
    tls::{self, HandshakeError},
};
use culvert_model::identity::Identity;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};
use tokio::{io::AsyncWriteExt as _, net::TcpListener};

/// A key and a certificate of `authority` in files, made with OpenSSL's own request.
fn identity_files(folder: &Path, authority: &Authority, identity: &Identity) -> [PathBuf; 2] {
    let [key, csr, chain] = ["key.pem", "csr.pem", "chain.pem"].map(|name| folder.join(name));
    let san = format!("subjectAltName=critical,URI:{identity}");
    let status = std::process::Command::new("openssl")
        .args(["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-subj", "/", "-addext", &san, "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&csr)
        .stderr(Stdio::null())
        .status()
        .expect("openssl is installed");
    assert!(status.success());
    let csr = culvert_identity::csr::Csr::from_pem(&fs::read_to_string(csr).unwrap()).unwrap();
    let day = std::time::Duration::from_secs(24 * 60 * 60);
    let now = rustls_pki_types::UnixTime::now();
    let issued = authority.sign(identity, &csr, day, now).unwrap();
    fs::write(&chain, culvert_identity::armor::write(&issued.chain)).unwrap();
    [key, chain]
}

/// What `s_client` with `args` printed, and whom the server of `own` met.
async fn s_client(own: &Certificate, args: &[&str]) -> (String, Result<String, HandshakeError>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap().to_string();
    // The standard library's child, since tokio's wants a feature nothing else here needs.
    // It stays until we close: with TLS 1.3 a client is through before we have judged it, and one
    // that leaves at once does not hear the verdict.
    let args: Vec<String> = ["s_client", "-connect", &to, "-noservername", "-ign_eof"]
        .iter()
        .chain(args)
        .map(|arg| (*arg).to_owned())
        .collect();
    let client = tokio::task::spawn_blocking(move || {
        let output = std::process::Command::new("openssl").args(args).stdin(Stdio::null()).output();
        let output = output.expect("openssl is installed");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    });
    let server = async {
        let (io, _) = listener.accept().await.unwrap();
        let mut secured = tls::accept(own, io).await?;
        secured.io.shutdown().await.map_err(HandshakeError::of)?;
        Ok(secured.peer.identity().to_string())
    };
    let (client, server) = tokio::join!(client, server);
    (client.unwrap(), server)
}

#[tokio::test]
async fn an_openssl_client_of_the_mesh_is_met_and_others_are_not() {
    let now = rustls_pki_types::UnixTime::now();
    let mesh = Mesh::of(Authority::new_root("td", now).unwrap());
    let issuer = culvert_identity::ca::issuer::AuthorityIssuer::new(
        mesh.view.clone(),
        Arc::new(culvert_identity::clock::SystemClock),
    );
    let node =
        crate::world::Node::new(Arc::new(issuer), Arc::new(culvert_identity::clock::SystemClock));
    let own = node.certificate("cart").await;
    let folder = tempfile::tempdir().unwrap();
    let authority = &mesh.view.pin().value;
    let [key, chain] = identity_files(folder.path(), authority, &id("bank"));
    let root = folder.path().join("root.pem");
    fs::write(&root, culvert_identity::armor::write(authority.roots())).unwrap();
    let [key, chain, root] = [&key, &chain, &root].map(|path| path.to_str().unwrap());
    let known = ["-key", key, "-cert", chain, "-CAfile", root, "-verify_return_error"];

    let (said, met) = s_client(&own, &[&known[..], &["-alpn", "h2"]].concat()).await;
    assert_eq!(met.unwrap(), id("bank").to_string(), "{said}");
    for sign in ["TLSv1.3", "TLS_AES_128_GCM_SHA256", "ALPN protocol: h2", "Verification: OK"] {
        assert!(said.contains(sign), "{sign} is not in {said}");
    }

    let (said, met) = s_client(&own, &known).await;
    assert_eq!(met.unwrap(), id("bank").to_string(), "without ALPN: {said}");

    let refused = [
        (vec!["-alpn", "h2"], "certificate required"),
        ([&known[..], &["-tls1_2"]].concat(), "protocol version"),
        ([&known[..], &["-alpn", "http/1.1"]].concat(), "no application protocol"),
        (
            [&known[..], &["-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"]].concat(),
            "handshake failure",
        ),
    ];
    for (args, alert) in refused {
        let (said, met) = s_client(&own, &args).await;
        assert!(met.is_err(), "{args:?}");
        assert!(said.contains(&format!("alert {alert}")), "{alert} is not in {said}");
    }

    let foreign = Authority::new_root("td", now).unwrap();
    let [key, chain] = identity_files(folder.path(), &foreign, &id("bank"));
    let (said, met) =
        s_client(&own, &["-key", key.to_str().unwrap(), "-cert", chain.to_str().unwrap()]).await;
    assert!(met.is_err());
    assert!(said.contains("alert unknown ca"), "{said}");
}

/// As docs/control.md has it, to replace the root of a cluster.
#[test]
fn an_authority_that_openssl_made_signs() {
    let folder = tempfile::tempdir().unwrap();
    let [key, root] = ["new-key.pem", "new.pem"].map(|name| folder.path().join(name));
    let status = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "3650", "-subj", "/O=cluster.local/CN=Culvert root 2"])
        .args(["-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&root)
        .stderr(Stdio::null())
        .status();
    assert!(status.expect("openssl is installed").success());
    let [key, root] = [key, root].map(|file| fs::read(file).unwrap());
    let texts = [(bundle::CHAIN, root.clone()), (bundle::KEY, key), (bundle::ROOTS, root)];
    let texts = texts.map(|(name, text)| (name.to_owned(), text)).into();
    let authority = bundle::read("td", &texts).unwrap();
    identity_files(folder.path(), &authority, &id("web"));
}
