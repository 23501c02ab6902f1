//! A control plane of ours that compiles manifests, for proxies of both kinds.
//!
//! A proxy presents itself as the gateway `edge` of the namespace `shop`, or as the sidecar of a
//! client there.
use crate::{
    run::Scene,
    server::{PATIENCE, await_port},
};
use regex::{Captures, Regex};
use serde_json::{Value, json};
use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The name of its port.
pub(crate) const PORT: &str = "xds";

/// One that runs; it is ended when this is dropped.
pub(crate) struct Plane {
    manifests: PathBuf,
    text: String,
    port: u16,
    process: Child,
}

impl Plane {
    /// Starts it with manifests in which `$PEM{server.pem}` is that file's text.
    pub(crate) fn start(scene: &Scene, text: &str) -> Self {
        let port = scene.ports.named()[PORT];
        let folder = scene.dir.join("manifests");
        fs::create_dir_all(&folder).unwrap();
        let pem = Regex::new(r"\$PEM\{([a-z.]+)\}").unwrap();
        let text = pem.replace_all(text, |found: &Captures<'_>| {
            let text = fs::read_to_string(scene.certificates.join(&found[1])).unwrap();
            Value::from(text).to_string()
        });
        let log = fs::File::create(scene.dir.join("control.log")).unwrap();
        let mut command = Command::new(e2e::programs::culvert());
        let of_the_test = ["CULVERT_BIN", "CULVERT_GATEWAY_ACCEPT", "RUST_LOG"];
        of_the_test.iter().for_each(|name| _ = command.env_remove(name));
        command.args(["control", "--xds-tls-address", "off", "--metrics-address", "off"]);
        command.args(["--instance", &format!("served-{port}")]);
        command.arg("--xds-address").arg(format!("127.0.0.1:{port}"));
        command.arg("--state-dir").arg(scene.dir.join("state")).arg("-f").arg(&folder);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let manifests = folder.join("all.yaml");
        fs::write(&manifests, text.replace("$TURN", "0")).unwrap();
        let process = command.spawn().unwrap();
        await_port(port);
        Self { manifests, text: text.into_owned(), port, process }
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Writes the manifests again, with another number for `$TURN`.
    pub(crate) fn turn(&self, turn: u32) {
        let new = self.manifests.with_extension("new");
        fs::write(&new, self.text.replace("$TURN", &turn.to_string())).unwrap();
        fs::rename(new, &self.manifests).unwrap();
    }

    /// The bootstrap of a proxy that follows it: a `router` or a `sidecar`, with these listeners of
    /// its own.
    pub(crate) fn bootstrap(
        &self,
        (api_type, kind): (&str, &str),
        admin: u16,
        listeners: &Value,
    ) -> Value {
        let ads = json!({"ads": {}, "resource_api_version": "V3"});
        let http2 = json!({
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        });
        let at = json!({"socket_address": {"address": "127.0.0.1", "port_value": self.port}});
        json!({
            "node": {
                "id": format!("{kind}~127.0.0.1~edge.shop~shop.svc.cluster.local"), "cluster": "edge",
                "metadata": {"NAMESPACE": "shop"},
            },
            "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": admin}}},
            "dynamic_resources": {
                "ads_config": {
                    "api_type": api_type, "transport_api_version": "V3",
                    "grpc_services": [{"envoy_grpc": {"cluster_name": "plane"}}],
                },
                "lds_config": ads, "cds_config": ads,
            },
            "static_resources": {"listeners": listeners, "clusters": [{
                "name": "plane", "type": "STATIC", "connect_timeout": "5s",
                "typed_extension_protocol_options":
                    {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
                "load_assignment": {"cluster_name": "plane", "endpoints": [
                    {"lb_endpoints": [{"endpoint": {"address": at}}]},
                ]},
            }]},
        })
    }
}

impl Drop for Plane {
    /// Asks it to end, so that it leaves nothing behind.
    fn drop(&mut self) {
        let pid = i32::try_from(self.process.id()).map(nix::unistd::Pid::from_raw);
        let asked = pid.map(|pid| nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM));
        let until = Instant::now() + PATIENCE;
        while asked.is_ok() && Instant::now() < until {
            if matches!(self.process.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
