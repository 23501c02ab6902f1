//! Programs of others, as they are, with a proxy at both ends.
use crate::forwarding::{Way, either_way};
use e2e::{Mesh, Pod, Running, eventually, programs::of_machine};
use serde_json::Value;
use std::{fs, os::unix::fs::chown, path::Path, process::Command};

/// Who may run postgres, which refuses root.
const NOBODY: u32 = 65534;

either_way!(
    curl_talks_to_nginx_over_both_families,
    curl_sees_a_refused_port_as_a_reset,
    redis_benchmark_runs_to_its_end,
    a_postgres_session_works,
    a_mariadb_session_works,
    iperf3_measures_in_both_directions,
);

/// Starts a program that listens; it does when this returns.
#[track_caller]
fn listens(pod: &Pod, command: Command, port: u16) -> Running {
    let mut running = pod.start(command);
    eventually(&format!("listener on port {port}"), || {
        assert!(running.runs(), "it ended: {}", running.lines().text());
        pod.listening().contains(&port).then_some(())
    });
    running
}

/// Both proxies carried something to this port, in this way.
#[track_caller]
fn both_carried(mesh: &Mesh, way: Way, port: u16) {
    let to = format!(":{port}");
    for (node, direction) in [("a", "outbound"), ("b", "inbound")] {
        let line = mesh.node(node).await_access("a line", |line| {
            let end = line.get("dst.hbone_addr").unwrap_or(&line["dst.addr"]);
            let there = end.as_str().is_some_and(|addr| addr.ends_with(&to));
            there && line["direction"] == direction
        });
        assert_eq!(line["path"], way.path(), "{line}");
    }
}

fn curl(args: &[&str]) -> Command {
    let mut curl = of_machine("curl", "curl");
    curl.args(["--silent", "--show-error", "--fail", "--globoff", "--max-time", "20"]).args(args);
    curl
}

/// An nginx in a pod that serves `folder`, and says who asked at `/who`.
fn nginx(mesh: &Mesh, port: u16) -> Running {
    let folder = mesh.folder().join("nginx");
    fs::create_dir(&folder).unwrap();
    let shown = folder.display();
    let config = format!(
        "daemon off; user root; pid {shown}/pid; error_log stderr;\n\
         events {{}}\n\
         http {{ access_log off; client_body_temp_path {shown}/b; proxy_temp_path {shown}/p;\n\
         fastcgi_temp_path {shown}/f; uwsgi_temp_path {shown}/u; scgi_temp_path {shown}/s;\n\
         server {{ listen {port}; listen [::]:{port}; root {shown};\n\
         location = /who {{ return 200 \"$remote_addr\\n\"; }} }} }}\n"
    );
    fs::write(folder.join("nginx.conf"), config).unwrap();
    let mut nginx = of_machine("nginx", "nginx-light");
    nginx.arg("-p").arg(&folder).arg("-c").arg(folder.join("nginx.conf")).args(["-e", "stderr"]);
    listens(mesh.pod("server"), nginx, port)
}

fn curl_talks_to_nginx_over_both_families(way: Way) {
    let mesh = way.mesh("peercurl");
    let _nginx = nginx(&mesh, 80);
    for to in mesh.pod("server").ns.ips() {
        let to = std::net::SocketAddr::new(to, 80);
        let who = mesh.pod("client").run(curl(&[&format!("http://{to}/who")]));
        assert_eq!(who.trim(), mesh.pod("client").ip_like(to).to_string());
    }
    let file: Vec<u8> = (0..20_000_000_u32).map(|n| n.to_le_bytes()[(n % 3) as usize]).collect();
    fs::write(mesh.folder().join("nginx/file"), &file).unwrap();
    let got = mesh.folder().join("got");
    let url = format!("http://{}/file", mesh.pod("server").v4());
    mesh.pod("client").run(curl(&["-o", got.to_str().unwrap(), &url]));
    assert!(fs::read(got).unwrap() == file, "the file changed on its way");
    both_carried(&mesh, way, 80);
}

fn curl_sees_a_refused_port_as_a_reset(way: Way) {
    let mesh = way.mesh("peerrefused");
    let url = format!("http://{}:81/", mesh.pod("server").v4());
    let said = mesh.pod("client").output(curl(&[&url]));
    // 56: failure in receiving data; 7: the reset came before curl looked whether it is connected.
    assert!([Some(56), Some(7)].contains(&said.status.code()), "{said:?}");
}

fn redis_benchmark_runs_to_its_end(way: Way) {
    let mesh = way.mesh("peerredis");
    let mut redis = of_machine("redis-server", "redis-server");
    redis.args(["--port", "6379", "--bind", "0.0.0.0", "::", "--protected-mode", "no"]);
    redis.args(["--save", "", "--appendonly", "no"]).current_dir(mesh.folder());
    let _redis = listens(mesh.pod("server"), redis, 6379);
    for ip in mesh.pod("server").ns.ips() {
        let mut benchmark = of_machine("redis-benchmark", "redis-tools");
        benchmark.args(["-h", &ip.to_string(), "-n", "20000", "-c", "50", "-P", "4", "--csv"]);
        benchmark.args(["-t", "ping_mbulk,set,get,lrange_100"]);
        let said = mesh.pod("client").run(benchmark);
        assert!(said.contains("\"SET\"") && said.contains("\"GET\""), "{said}");
    }
    both_carried(&mesh, way, 6379);
}

fn a_postgres_session_works(way: Way) {
    let mesh = way.mesh("peerpostgres");
    fs::set_permissions(mesh.folder(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let data = mesh.folder().join("postgres");
    fs::create_dir(&data).unwrap();
    chown(&data, Some(NOBODY), Some(NOBODY)).unwrap();
    let server = mesh.pod("server");
    let mut initdb = as_nobody(&of_machine("initdb", "postgresql"));
    initdb.args(["--username=test", "--auth=trust", "--no-sync", "--locale=C", "-D"]).arg(&data);
    server.run(initdb);
    fs::write(data.join("pg_hba.conf"), "host all all all trust\n").unwrap();
    let mut postgres = as_nobody(&of_machine("postgres", "postgresql"));
    postgres.arg("-D").arg(&data).args(["-h", "*", "-p", "5432", "-k", "", "-F"]);
    let postgres = listens(server, postgres, 5432);
    postgres.lines().await_from(0, "that it is ready", |line| {
        line.contains("ready to accept connections").then_some(())
    });
    for ip in server.ns.ips() {
        let mut psql = of_machine("psql", "postgresql-client");
        psql.args(["-h", &ip.to_string(), "-U", "test", "-d", "postgres", "-v", "ON_ERROR_STOP=1"]);
        psql.args(["--no-psqlrc", "-At", "-c", SESSION]).env("PGCONNECT_TIMEOUT", "20");
        let said = mesh.pod("client").run(psql);
        let client = mesh.pod("client").ip_like(std::net::SocketAddr::new(ip, 0));
        assert!(said.contains(&format!("5000050000|{client}")), "{said}");
    }
    both_carried(&mesh, way, 5432);
}

fn a_mariadb_session_works(way: Way) {
    let mesh = way.mesh("peermaria");
    let data = mesh.folder().join("mariadb");
    fs::create_dir(&data).unwrap();
    let server = mesh.pod("server");
    let mut mariadbd = of_machine("mariadbd", "mariadb-server-core");
    mariadbd.args(["--no-defaults", "--user=root", "--skip-grant-tables", "--skip-name-resolve"]);
    mariadbd.args([
        "--bind-address=*",
        "--port=3306",
        "--innodb-flush-log-at-trx-commit=0",
        "--socket=",
    ]);
    mariadbd.arg(format!("--datadir={}", data.display()));
    let _mariadbd = listens(server, mariadbd, 3306);
    for ip in server.ns.ips() {
        let mut mariadb = of_machine("mariadb", "mariadb-client-core");
        mariadb.args(["--no-defaults", "--protocol=tcp", "--user=root", "--batch"]);
        mariadb.args(["--connect-timeout=20", "--host", &ip.to_string(), "--execute", MARIADB]);
        let said = mesh.pod("client").run(mariadb);
        assert!(said.contains("5000050000\t100000"), "{said}");
    }
    both_carried(&mesh, way, 3306);
}

/// The same for mariadb, which has its own words for it.
const MARIADB: &str = "\
CREATE DATABASE IF NOT EXISTS d; USE d; \
CREATE OR REPLACE TABLE t ENGINE=InnoDB AS SELECT seq AS n, repeat('x', 100) AS filler \
FROM seq_1_to_100000; SELECT sum(n), count(*) FROM t;";

/// Writes, reads back, and asks whom the server sees.
const SESSION: &str = "\
BEGIN; CREATE TEMP TABLE t AS SELECT g AS n, repeat('x', 100) AS filler \
FROM generate_series(1, 100000) g; COMMIT; \
SELECT sum(n), host(inet_client_addr()) FROM t;";

/// The same program, run by nobody.
fn as_nobody(command: &Command) -> Command {
    let mut other = of_machine("setpriv", "util-linux");
    other.args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")]);
    other.arg("--clear-groups").arg(command.get_program()).current_dir(Path::new("/"));
    other
}

fn iperf3_measures_in_both_directions(way: Way) {
    // Not --bidir: there the server takes the streams for what they are by the order in which they
    // arrive, which no proxy keeps between connections.
    const RUNS: [&[&str]; 3] = [&[], &["--reverse"], &["--parallel", "4"]];
    let mesh = way.mesh("peeriperf");
    let runs = mesh.pod("server").ns.ips().into_iter().flat_map(|ip| RUNS.map(|run| (ip, run)));
    // A server of its own for each run: between two it does not listen for a moment.
    for ((ip, run), port) in runs.zip(5201_u16..) {
        let port_text = port.to_string();
        let mut server = of_machine("iperf3", "iperf3");
        server.args(["--server", "--one-off", "--port", &port_text]);
        let _server = listens(mesh.pod("server"), server, port);
        let mut client = of_machine("iperf3", "iperf3");
        client.args(["--client", &ip.to_string(), "--port", &port_text, "--time", "1", "--json"]);
        let said = mesh.pod("client").run({
            client.args(run);
            client
        });
        let said: Value = serde_json::from_str(&said).unwrap();
        let received = said["end"]["sum_received"]["bytes"].as_u64();
        assert!(received > Some(1 << 20), "{run:?}: {}: {}", said["error"], said["end"]);
        both_carried(&mesh, way, port);
    }
}
