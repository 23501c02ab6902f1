//! Programs that others wrote, on both sides.
use super::stage::{Stage, beside, output, peer};
use crate::server::await_port;
use std::{
    fs,
    process::{Child, Command},
};

const PLAIN: &str = "{}";

fn curl_with(stage: &Stage, args: &[&str], path: &str) -> String {
    let mut command = e2e::programs::of_machine("curl", "curl");
    command.args(["-sS", "--max-time", "30"]).args(args).arg(format!("{}{path}", stage.url()));
    output(&mut command)
}

pub(super) fn curl() {
    let stage = Stage::start("curl", PLAIN);
    for flag in ["--http1.1", "--http2-prior-knowledge"] {
        assert_eq!(curl_with(&stage, &[flag], "/x"), "b1");
        assert_eq!(curl_with(&stage, &[flag, "-d", "abc"], "/x"), "b1");
        let large = stage.scene.dir.join("large");
        fs::write(&large, vec![b'x'; 3 << 20]).unwrap();
        let upload = format!("@{}", large.display());
        assert_eq!(curl_with(&stage, &[flag, "--data-binary", &upload], "/x"), "b1");
        let head = curl_with(&stage, &[flag, "-I"], "/x");
        assert!(head.contains(" 200"), "{head}");
    }
    let many = curl_with(&stage, &["-w", "%{http_code} ", "-o", "/dev/null"], "/[1-50]");
    assert_eq!(many.split_whitespace().filter(|code| *code == "200").count(), 50, "{many}");
    assert!(
        curl_with(&stage, &["-i", "-H", "expect: 100-continue", "-d", "abc"], "/x")
            .contains(" 100 ")
    );
    let proxied = curl_with(&stage, &["-i", "--http1.0"], "/x");
    assert!(proxied.contains(" 426 "), "{proxied}");
}

pub(super) fn nghttp() {
    let stage = Stage::start("nghttp", "clusters: {b1: {h2: true}}");
    let url = stage.url();
    let said = output(
        e2e::programs::of_machine("nghttp", "nghttp2-client").args(["-v", &format!("{url}/x")]),
    );
    assert!(said.contains(":status: 200"), "{said}");
    let mut load = e2e::programs::of_machine("h2load", "nghttp2-client");
    let said = output(load.args(["-n", "5000", "-c", "8", "-m", "50", &format!("{url}/x")]));
    assert!(said.contains("5000 succeeded, 0 failed, 0 errored"), "{said}");
    let mut load = e2e::programs::of_machine("h2load", "nghttp2-client");
    let said = output(load.args(["--h1", "-n", "3000", "-c", "8", &format!("{url}/x")]));
    assert!(said.contains("3000 succeeded, 0 failed, 0 errored"), "{said}");
}

/// A process that is ended with the story.
pub(super) struct Peer(pub(super) Child);

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

pub(super) fn nginx() {
    let stage = Stage::start("nginx", "clusters: {b1: {to: [web]}}");
    let dir = &stage.scene.dir;
    fs::write(dir.join("page"), "a page of nginx\n").unwrap();
    let conf = format!(
        "worker_processes 1; daemon off; master_process off; pid {0}/pid; error_log {0}/error.log; events {{}}\n\
         http {{ access_log off; client_body_temp_path {0}/b; proxy_temp_path {0}/p; fastcgi_temp_path {0}/f; \
         uwsgi_temp_path {0}/u; scgi_temp_path {0}/s; server {{ listen 127.0.0.1:{1}; keepalive_requests 5; \
         location / {{ root {0}; gzip on; gzip_min_length 1; gzip_types *; }} location /gone {{ return 410 bye; }} }} }}",
        dir.display(),
        stage.port("web"),
    );
    fs::write(dir.join("nginx.conf"), conf).unwrap();
    let mut nginx = e2e::programs::of_machine("nginx", "nginx-light");
    let nginx =
        Peer(nginx.args(["-e", "stderr", "-c"]).arg(dir.join("nginx.conf")).spawn().unwrap());
    await_port(stage.port("web"));
    assert_eq!(curl_with(&stage, &[], "/page"), "a page of nginx\n");
    assert_eq!(curl_with(&stage, &["--compressed"], "/page"), "a page of nginx\n");
    assert_eq!(curl_with(&stage, &["-r", "2-5"], "/page"), "page");
    assert_eq!(curl_with(&stage, &[], "/gone"), "bye");
    let many = curl_with(&stage, &["-w", "%{http_code} ", "-o", "/dev/null"], "/page?[1-40]");
    assert_eq!(many.split_whitespace().filter(|code| *code == "200").count(), 40, "{many}");
    drop(nginx);
}

pub(super) fn python(script: &str) -> Command {
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", peer("python")).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("PYTHONUNBUFFERED", "1").arg(beside(script));
    command
}

/// Python's gRPC on both sides: four kinds of calls, ten thousand messages.
pub(super) fn grpcio() {
    let stage = Stage::start(
        "grpcio",
        "clusters: {b1: {h2: true, to: [calls]}}\nroutes: [{match: {prefix: /}, route: {cluster: b1, timeout: 0s}}]",
    );
    let server =
        python("calls.py").args(["serve", &stage.port("calls").to_string()]).spawn().unwrap();
    let server = Peer(server);
    await_port(stage.port("calls"));
    let said = output(python("calls.py").args(["call", &stage.port("l").to_string(), "10000"]));
    assert_eq!(
        said.trim(),
        "unary 1 server-stream 10000 client-stream 10000 both 10000 cancelled deadline error"
    );
    drop(server);
}

const UPGRADES: &str =
    "clusters: {b1: {to: [talk]}}\nmanager: {upgrade_configs: [{upgrade_type: websocket}]}";

/// Python's websockets on both sides.
pub(super) fn websockets() {
    let stage = Stage::start("websockets", UPGRADES);
    let server =
        Peer(python("talk.py").args(["serve", &stage.port("talk").to_string()]).spawn().unwrap());
    await_port(stage.port("talk"));
    let said = output(python("talk.py").args(["call", &stage.port("l").to_string()]));
    assert_eq!(said.trim(), "text 1000 binary 1048576 closed 1000");
    drop(server);
}

/// The same with npm's ws.
pub(super) fn ws() {
    let stage = Stage::start("ws", UPGRADES);
    let node = |what: &str, port: u16| {
        let mut command = Command::new("node");
        command.env("NODE_PATH", peer("node/node_modules")).arg(beside("talk.js"));
        command.args([what, &port.to_string()]);
        command
    };
    let server = Peer(node("serve", stage.port("talk")).spawn().unwrap());
    await_port(stage.port("talk"));
    let said = output(&mut node("call", stage.port("l")));
    assert_eq!(said.trim(), "text 1000 binary 1048576 closed 1000");
    drop(server);
}
