//! TLS of filter chains, with curl and openssl.
use super::world::{
    World, chain, chained, listener, proxy, put, put_cluster, put_secret, say, to, told,
};
use culvert_identity::edge::key;
use culvert_model::http::{
    listener::{ChainMatch, FilterChain, Listener, NetworkFilterKind},
    secret::{Certificate, Secret, SecretRef, SecretSource},
    snapshot::Snapshot,
    tls::{
        CertificateSource, CommonTls, DownstreamTls, DownstreamTransport, OcspPolicy, TlsVersion,
        Trust, Validation, ValidationSource,
    },
};
use std::{path::Path, process::Stdio, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, Command},
};

async fn run(tool: &str, args: &[&str]) -> String {
    let output = Command::new(tool).args(args).kill_on_drop(true).output().await.unwrap();
    let (out, err) = (output.stdout, output.stderr);
    format!("{}{}", String::from_utf8_lossy(&out), String::from_utf8_lossy(&err))
}

/// A certificate of its own making, in `folder`.
async fn certificate(folder: &Path, name: &str) -> Secret {
    let path = |end: &str| folder.join(format!("{name}.{end}")).to_str().unwrap().to_owned();
    let (pem, key, der) = (path("pem"), path("key"), path("der"));
    let (subject, san) = (format!("/CN={name}"), format!("subjectAltName=DNS:{name}"));
    let made = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
        "-subj",
        &subject,
        "-addext",
        &san,
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-keyout",
        &key,
        "-out",
        &pem,
    ];
    run("openssl", &made).await;
    run("openssl", &["x509", "-in", &pem, "-outform", "der", "-out", &der]).await;
    let chain: Arc<[Arc<[u8]>]> = [std::fs::read(der).unwrap().into()].into();
    let key = key::keep(&chain, &std::fs::read(key).unwrap(), None).unwrap();
    Secret::Certificate(Arc::new(Certificate { chain, key, ocsp_staple: None }))
}

fn named(name: &str) -> SecretRef {
    SecretRef { name: name.into(), source: SecretSource::Static }
}

fn context(secret: &str) -> DownstreamTls {
    DownstreamTls {
        common: CommonTls {
            min: TlsVersion::V1_2,
            max: TlsVersion::V1_3,
            ciphers: Arc::default(),
            curves: Arc::default(),
            certificates: [CertificateSource::Secret(named(secret))].into(),
            validation: None,
            alpn: ["http/1.1".into()].into(),
        },
        require_client_certificate: false,
        require_sni: false,
        stateless_resumption: true,
        stateful_resumption: true,
        ticket_keys: None,
        ocsp: OcspPolicy::default(),
    }
}

fn secured(name: &str, context: DownstreamTls, filters: Vec<NetworkFilterKind>) -> FilterChain {
    let server_names = [name.into()].into();
    let matches = ChainMatch { server_names, ..ChainMatch::default() };
    let transport = DownstreamTransport::Tls(Arc::new(context));
    FilterChain { transport, ..chain(name, matches, filters) }
}

async fn curl(world: &World, name: &str, host: &str, args: &[&str]) -> String {
    let at = world.at(name);
    let to = format!("{host}:443:{at}");
    let url = format!("https://{host}/");
    let all = [&["-skSv", "--max-time", "20", "--connect-to", &to], args, &[&url]].concat();
    run("curl", &all).await
}

/// A listener `l` for a.test and b.test, each with a certificate of its own.
async fn world(folder: &Path) -> World {
    let chains = ["a.test", "b.test"].map(|name| secured(name, context(name), vec![told()]));
    let mut snapshot = Snapshot::default();
    put(&mut snapshot, chained("l", chains.into()));
    for name in ["a.test", "b.test"] {
        put_secret(&mut snapshot, name, certificate(folder, name).await);
    }
    World::with(snapshot).await
}

#[tokio::test(flavor = "multi_thread")]
async fn names_lead_to_chains_and_their_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path()).await;
    for host in ["a.test", "b.test"] {
        let out = curl(&world, "l", host, &[]).await;
        assert!(out.contains(&format!("subject: CN={host}")), "{out}");
        assert!(out.contains(&format!("chain={host} ")), "{out}");
        assert!(out.contains(&format!("sni={host} transport=tls protocols=http/1.1")), "{out}");
    }
    let out = curl(&world, "l", "c.test", &[]).await;
    assert!(!out.contains("chain="), "{out}");
    assert_eq!(world.count("listener.l.no_filter_chain_match"), 1);
    let out = curl(&world, "l", "a.test", &["--tls-max", "1.2"]).await;
    assert!(out.contains("chain=a.test"), "{out}");
    assert_eq!(world.count("listener.l.ssl.handshake"), 3);
    assert_eq!(world.counter("listener.l.ssl", "versions.TLSv1.2"), 1);
    assert_eq!(world.count("tls_inspector.sni_found"), 4);
    // A protocol that we do not have is no reason to part.
    let at = world.at("l").to_string();
    let offered = ["s_client", "-connect", &at, "-servername", "a.test", "-alpn", "other"];
    let out = run("openssl", &offered).await;
    assert!(out.contains("No ALPN negotiated") && out.contains("CN = a.test"), "{out}");
    let plain = say(world.connect("l").await, "GET / HTTP/1.1\r\n\r\n").await;
    assert!(!plain.contains("chain="), "{plain}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_certificates_are_shown_to_others_only() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = world(folder.path()).await;
    let mut before = openssl(&world, "a.test");
    let first = ask(&mut before).await;
    assert!(first.contains("chain=a.test"), "{first}");
    let other = tempfile::tempdir().unwrap();
    let new = certificate(other.path(), "new.test").await;
    world.change(|snapshot| put_secret(snapshot, "a.test", new)).await;
    let out = curl(&world, "l", "a.test", &[]).await;
    assert!(out.contains("subject: CN=new.test"), "{out}");
    assert_eq!(world.count("listener.l.server_ssl_socket_factory.ssl_context_update_by_sds"), 1);
    let again = ask(&mut before).await;
    assert!(again.contains("chain=a.test"), "the connection goes on: {again}");
    // One that cannot be used leaves what there is.
    world.change(|snapshot| snapshot.secrets_mut().remove("a.test")).await;
    assert_eq!(
        world.error("l").unwrap(),
        "filter chain \"a.test\": secret a.test is not known yet"
    );
    let out = curl(&world, "l", "a.test", &[]).await;
    assert!(out.contains("subject: CN=new.test"), "{out}");
}

fn openssl(world: &World, host: &str) -> Child {
    let at = world.at("l").to_string();
    let mut command = Command::new("openssl");
    command.args(["s_client", "-quiet", "-connect", &at, "-servername", host]);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.kill_on_drop(true).spawn().unwrap()
}

async fn ask(child: &mut Child) -> String {
    let stdin = child.stdin.as_mut().unwrap();
    stdin.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut bytes = vec![0; 4096];
    let mut all = String::new();
    while !all.ends_with("}\n") && !all.ends_with(")\n") {
        let read = child.stdout.as_mut().unwrap().read(&mut bytes).await.unwrap();
        assert_ne!(read, 0, "{all}");
        all.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_show_who_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let mut tls = context("server");
    let Secret::Certificate(client) = certificate(folder.path(), "client").await else { panic!() };
    let trusted = Some(Trust::Certificates(Arc::clone(&client.chain)));
    let here = Arc::new(Validation { trusted, ..Validation::default() });
    tls.common.validation = Some(Arc::new(ValidationSource { here, secret: None }));
    tls.require_client_certificate = true;
    let mut snapshot = Snapshot::default();
    put(&mut snapshot, chained("l", vec![secured("a.test", tls, vec![told()])]));
    put_secret(&mut snapshot, "server", certificate(folder.path(), "server").await);
    let world = World::with(snapshot).await;
    let path = |end: &str| folder.path().join(format!("client.{end}")).to_str().unwrap().to_owned();
    let (pem, key) = (path("pem"), path("key"));
    let out = curl(&world, "l", "a.test", &["--cert", &pem, "--key", &key]).await;
    assert!(out.contains("peer=CN=client "), "{out}");
    let out = curl(&world, "l", "a.test", &[]).await;
    assert!(!out.contains("chain="), "{out}");
    world.until("listener.l.ssl.fail_verify_no_cert", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_passed_through_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = world(folder.path()).await;
    let inner = world.at("l");
    let any = ["*.test".into()].into();
    let matches = ChainMatch { server_names: any, ..ChainMatch::default() };
    let outer = chained("outer", vec![chain("pass", matches, vec![to(proxy("inner"))])]);
    let by_name = vec![NetworkFilterKind::SniCluster, to(proxy("nobody"))];
    let change = |snapshot: &mut Snapshot| {
        put(snapshot, outer);
        put(
            snapshot,
            super::world::inspected(
                listener("named", by_name),
                vec![culvert_model::http::listener::ListenerFilterKind::TlsInspector],
            ),
        );
        put_cluster(snapshot, "inner", &[inner]);
        put_cluster(snapshot, "b.test", &[inner]);
    };
    world.change(change).await;
    for (name, host) in [("outer", "a.test"), ("named", "b.test")] {
        let out = curl(&world, name, host, &[]).await;
        assert!(out.contains(&format!("subject: CN={host}")), "{out}");
        assert!(out.contains(&format!("chain={host} ")), "{out}");
    }
}

#[tokio::test]
async fn a_handshake_may_take_so_long() {
    let folder = tempfile::tempdir().unwrap();
    let tls = DownstreamTransport::Tls(Arc::new(context("server")));
    let transport_timeout = Some(Duration::from_millis(50));
    let all = chain("all", ChainMatch::default(), vec![told()]);
    let slow = FilterChain { transport: tls, transport_timeout, ..all };
    let mut snapshot = Snapshot::default();
    put(&mut snapshot, Listener { filters: Arc::default(), ..chained("l", vec![slow]) });
    put_secret(&mut snapshot, "server", certificate(folder.path(), "server").await);
    let world = World::with(snapshot).await;
    assert_eq!(world.connect("l").await.read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(world.count("listener.l.downstream_cx_transport_socket_connect_timeout"), 1);
}
