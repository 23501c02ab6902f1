//! Certificates that change while they are used.
use super::stage::Stage;
use crate::{client::tls, run::Scene};
use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// By SDS in a file.
const CONFIGURATION: &str = r#"
process: {node: {id: node-1, cluster: case}}
chain: {transport_socket: {name: tls, typed_config: {"@type": "${T}.transport_sockets.tls.v3.DownstreamTlsContext", common_tls_context: {alpn_protocols: [h2, http/1.1], tls_certificate_sds_secret_configs: [{name: main, sds_config: {path_config_source: {path: "${dir}/sds.yaml"}, resource_api_version: V3}}]}}}}
files:
  sds.yaml: |
    resources:
    - {"@type": "${T}.transport_sockets.tls.v3.Secret", name: main, tls_certificate: {certificate_chain: {filename: "${certs}/server.pem"}, private_key: {filename: "${certs}/server.key"}}}
"#;

/// The certificate's own files.
const FILES: &str = r#"
chain: {transport_socket: {name: tls, typed_config: {"@type": "${T}.transport_sockets.tls.v3.DownstreamTlsContext", common_tls_context: {alpn_protocols: [h2, http/1.1], tls_certificates: [{certificate_chain: {filename: "${dir}/chain.pem"}, private_key: {filename: "${dir}/key.pem"}}]}}}}
"#;

/// The same where a link beside them is replaced, as in a volume of Kubernetes.
const WATCHED_FILES: &str = r#"
chain: {transport_socket: {name: tls, typed_config: {"@type": "${T}.transport_sockets.tls.v3.DownstreamTlsContext", common_tls_context: {alpn_protocols: [h2, http/1.1], tls_certificates: [{certificate_chain: {filename: "${dir}/volume/data/chain.pem"}, private_key: {filename: "${dir}/volume/data/key.pem"}, watched_directory: {path: "${dir}/volume"}}]}}}}
"#;

/// The file of SDS behind such a link.
const WATCHED_SDS: &str = r#"
process: {node: {id: node-1, cluster: case}}
chain: {transport_socket: {name: tls, typed_config: {"@type": "${T}.transport_sockets.tls.v3.DownstreamTlsContext", common_tls_context: {alpn_protocols: [h2, http/1.1], tls_certificate_sds_secret_configs: [{name: main, sds_config: {path_config_source: {path: "${dir}/volume/data/sds.yaml", watched_directory: {path: "${dir}/volume"}}, resource_api_version: V3}}]}}}}
"#;

/// Both files are replaced, one after the other: in between they do not belong together.
pub(super) fn certificate_files() {
    let put = |scene: &Scene, name: &str| {
        for (of, own) in [("pem", "chain.pem"), ("key", "key.pem")] {
            let draft = scene.dir.join("draft");
            fs::copy(scene.certificates.join(format!("{name}.{of}")), &draft).unwrap();
            fs::rename(&draft, scene.dir.join(own)).unwrap();
        }
    };
    let first = |scene: &Scene| put(scene, "server");
    let (stage, ()) = Stage::start_after("certificate_files", FILES, first);
    under_load(&stage, |stage, name| put(&stage.scene, name));
}

/// Nothing happens where the files are; what leads there changes.
pub(super) fn watched() {
    for (name, text) in [("watched_files", WATCHED_FILES), ("watched_sds", WATCHED_SDS)] {
        let mut turn = 0;
        let mut put = |scene: &Scene, name: &str| {
            turn += 1;
            let volume = scene.dir.join("volume");
            let data = volume.join(format!("data.{turn}"));
            fs::create_dir_all(&data).unwrap();
            for (of, own) in [("pem", "chain.pem"), ("key", "key.pem")] {
                let from = scene.certificates.join(format!("{name}.{of}"));
                fs::copy(from, data.join(own)).unwrap();
            }
            write(&data, &scene.certificates, name);
            std::os::unix::fs::symlink(&data, volume.join("draft")).unwrap();
            fs::rename(volume.join("draft"), volume.join("data")).unwrap();
        };
        let (stage, ()) = Stage::start_after(name, text, |scene| put(scene, "server"));
        under_load(&stage, |stage, name| put(&stage.scene, name));
    }
}

pub(super) fn files() {
    let stage = Stage::start("rotation", CONFIGURATION);
    under_load(&stage, |stage, name| write(&stage.scene.dir, &stage.scene.certificates, name));
}

/// Lets `change` put other certificates in the place of the first one while requests go on.
pub(super) fn under_load(stage: &Stage, mut change: impl FnMut(&Stage, &str)) {
    let port = stage.port("l");
    crate::server::await_port(port);
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let load = {
        let (stop, asked, certificates) =
            (Arc::clone(&stop), Arc::clone(&asked), stage.scene.certificates.clone());
        let mut client =
            crate::client::Client::new(stage.scene.ports.named().clone(), certificates);
        stage.runtime.spawn(async move {
            while !stop.load(Ordering::Acquire) {
                // One that stays, and a new one each time.
                for kept in [true, false] {
                    let answer = client.ask(&get(kept)).await;
                    assert_eq!(answer["line"], "HTTP/2 200", "{answer}");
                    asked.fetch_add(1, Ordering::AcqRel);
                }
            }
        })
    };
    let at = &stage.scene.certificates;
    let shown = || stage.runtime.block_on(tls::shown(port, "case.test", at));
    let enough = |turn| turn >= 4 && asked.load(Ordering::Acquire) > 20 || load.is_finished();
    for (turn, name) in ["other", "server"].into_iter().cycle().enumerate() {
        if enough(turn) {
            break;
        }
        change(stage, name);
        let until = Instant::now() + Duration::from_secs(15);
        while shown().as_deref() != Some(name) {
            assert!(Instant::now() < until, "{:?} is shown, not {name}", shown());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    stop.store(true, Ordering::Release);
    stage.runtime.block_on(load).expect("no request failed while certificates changed");
}

fn get(kept: bool) -> crate::case::Ask {
    crate::case::Ask {
        get: Some("/".into()),
        protocol: crate::case::Protocol::H2,
        connection: kept.then(|| "kept".to_owned()),
        tls: Some(crate::case::Tls {
            sni: Some("case.test".into()),
            alpn: vec!["h2".into()],
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Puts another secret in the place of the file, at one stroke.
fn write(dir: &Path, certificates: &Path, name: &str) {
    let at = certificates.display();
    let text = format!(
        "resources:\n- {{\"@type\": \"{}.transport_sockets.tls.v3.Secret\", name: main, tls_certificate: \
         {{certificate_chain: {{filename: \"{at}/{name}.pem\"}}, private_key: {{filename: \"{at}/{name}.key\"}}}}}}\n",
        crate::expand::TYPES,
    );
    fs::write(dir.join("draft"), text).unwrap();
    fs::rename(dir.join("draft"), dir.join("sds.yaml")).unwrap();
}
