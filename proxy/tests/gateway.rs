//! `culvert gateway` as a process: what scripts that start an Envoy rely on.
#![expect(clippy::unwrap_used, reason = "tests")]
use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// What any wait may take on a busy machine.
const LONG: Duration = Duration::from_secs(60);

fn gateway() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_culvert"));
    command.arg("gateway");
    command
}

/// A listener that answers by itself, and one that leads nowhere; `log` gets its access log.
fn bootstrap(log: &str, more: &str) -> String {
    format!(
        r#"
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}}}
node: {{id: edge-1, cluster: edge}}
layered_runtime: {{layers: [{{name: base, static_layer: {{a: 1}}}}, {{name: admin, admin_layer: {{}}}}]}}
static_resources:
  listeners:
  - name: web
    address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          access_log:
          - name: file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: {log}
              log_format: {{text_format_source: {{inline_string: "%REQ(:PATH)% %RESPONSE_CODE%\n"}}}}
          route_config:
            name: local
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{path: /hello}}
                direct_response: {{status: 200, body: {{inline_string: hello}}}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: nowhere
    type: STATIC
    load_assignment:
      cluster_name: nowhere
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 1}}}}}}}}]}}]
{more}"#
    )
}

/// A process that serves.
struct Running {
    child: Child,
    admin: SocketAddr,
}

impl Running {
    fn start(folder: &Path, config: &str) -> Self {
        let (file, admin) = (folder.join("envoy.yaml"), folder.join("admin"));
        fs::write(&file, config).unwrap();
        let child = gateway()
            .args([
                "-c".as_ref(),
                file.as_os_str(),
                "--admin-address-path".as_ref(),
                admin.as_os_str(),
            ])
            .args(["--concurrency", "2", "--base-id", "7", "--log-format", "%v"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let address = until(|| fs::read_to_string(&admin).ok()?.parse().ok());
        let running = Self { child, admin: address };
        until(|| running.get("/ready").ends_with("LIVE\n").then_some(()));
        running
    }

    fn get(&self, path: &str) -> String {
        ask(self.admin, "GET", path)
    }

    fn post(&self, path: &str) -> String {
        ask(self.admin, "POST", path)
    }

    /// Where the listener `web` has come to be.
    fn web(&self) -> SocketAddr {
        let listeners = self.get("/listeners");
        let line = listeners.lines().find_map(|line| line.strip_prefix("web::"));
        line.unwrap().parse().unwrap()
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// How it ended, and what it said.
    fn ended(self) -> Output {
        self.child.wait_with_output().unwrap()
    }
}

fn ask(at: SocketAddr, method: &str, path: &str) -> String {
    let mut io = TcpStream::connect(at).unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    io.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    io.read_to_string(&mut answer).unwrap();
    answer
}

fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LONG;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "it never came to be");
        thread::sleep(Duration::from_millis(10));
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn serves_answers_its_admin_and_ends_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let running = Running::start(folder.path(), &bootstrap(log.to_str().unwrap(), ""));
    let web = running.web();
    assert!(ask(web, "GET", "/hello").ends_with("hello"));
    assert!(ask(web, "GET", "/other").starts_with("HTTP/1.1 404"));
    let read = || fs::read_to_string(&log).unwrap_or_default();
    until(|| (read() == "/hello 200\n/other 404\n").then_some(()));

    let stats = running.get("/stats/prometheus");
    let labels = "envoy_response_code_class=\"2\",envoy_http_conn_manager_prefix=\"web\"";
    assert!(stats.contains(&format!("envoy_http_downstream_rq_xx{{{labels}}} 1")), "{stats}");
    assert!(
        running
            .get("/stats?filter=^http.web.downstream_rq_total$")
            .ends_with("downstream_rq_total: 2\n")
    );
    assert!(running.get("/clusters").contains("nowhere::127.0.0.1:1::health_flags::healthy\n"));
    assert!(running.get("/config_dump?resource=static_listeners").contains("StaticListener"));
    assert!(running.get("/server_info").contains("\"id\": \"edge-1\""));
    assert!(running.get("/nothing").starts_with("HTTP/1.1 404"));

    assert!(running.get("/healthcheck/fail").starts_with("HTTP/1.1 405"));
    running.post("/healthcheck/fail");
    assert!(running.get("/ready").ends_with("DRAINING\n"));
    running.post("/healthcheck/ok");
    assert!(running.get("/ready").ends_with("LIVE\n"));
    running.post("/runtime_modify?a=2");
    until(|| running.get("/runtime").contains("\"final_value\": \"2\"").then_some(()));

    fs::rename(&log, folder.path().join("access.log.1")).unwrap();
    running.signal("-USR1");
    until(|| log.exists().then_some(()));
    ask(web, "GET", "/hello");
    until(|| (read() == "/hello 200\n").then_some(()));

    running.signal("-TERM");
    let ended = running.ended();
    let said = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(0), "{said}");
    assert!(said.contains("--log-format"), "what is ignored is said: {said}");
    assert!(TcpStream::connect(web).is_err());
}

#[test]
fn ends_at_once_when_told_twice() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), &bootstrap("/dev/null", ""));
    // The head of a request is never finished.
    let mut open = TcpStream::connect(running.web()).unwrap();
    open.write_all(b"GET /hello HTTP/1.1\r\n").unwrap();
    until(|| {
        running
            .get("/stats?filter=downstream_cx_active")
            .contains("web.downstream_cx_active: 1")
            .then_some(())
    });
    running.post("/quitquitquit");
    running.signal("-INT");
    assert_eq!(running.ended().status.code(), Some(0));
}

#[test]
fn validates() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("envoy.yaml");
    let validate = |config: &str| {
        fs::write(&file, config).unwrap();
        gateway().args(["--mode", "validate", "--bootstrap"]).arg(&file).output().unwrap()
    };
    let good = validate(&bootstrap("/dev/stdout", ""));
    assert_eq!(good.status.code(), Some(0), "{}", text(&good.stderr));
    assert_eq!(text(&good.stdout), format!("configuration '{}' OK\n", file.display()));

    let two = "  - {name: bad, type: STATIC, lb_policy: SOMETHING}\n";
    let bad = validate(&bootstrap("/dev/stdout", two));
    assert_eq!(bad.status.code(), Some(1));
    let said = text(&bad.stderr);
    assert!(said.contains("static_resources.clusters[1].lb_policy"), "{said}");
    assert!(said.contains("next: "), "{said}");

    let bad = validate(&bootstrap("/nonexistent/folder/log", ""));
    let said = text(&bad.stderr);
    assert_eq!(bad.status.code(), Some(1));
    assert!(
        said.contains("listener web: access log /nonexistent/folder/log: No such file"),
        "{said}"
    );
}

#[test]
fn names_who_has_an_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let config = bootstrap("/dev/null", "");
    for (place, config) in [
        ("admin", config.replacen("port_value: 0", &format!("port_value: {port}"), 1)),
        (
            "listener web",
            config.replace("port_value: 0", &format!("port_value: {port}")).replacen(
                &format!("port_value: {port}"),
                "port_value: 0",
                1,
            ),
        ),
    ] {
        let ended = gateway().args(["--config-yaml", &config]).output().unwrap();
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(3), "{said}");
        assert!(said.contains(place), "{said}");
        assert!(said.contains(&format!("({}) listens there", std::process::id())), "{said}");
    }
}

#[test]
fn ends_once_ready_if_that_is_all_that_is_wanted() {
    let ended = gateway()
        .args(["--mode", "init_only", "--config-yaml", &bootstrap("/dev/null", "")])
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", text(&ended.stderr));
}
