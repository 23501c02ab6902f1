//! What is written down of connections, word by word as an Envoy writes it.
use super::world::{
    World, chain, chained, inspected, listener, proxy, put_cluster, snapshot, talk, to,
};
use crate::waiting::{lines, lines_when};
use culvert_model::http::{
    access_log::{AccessLog, LogFormat, LogSink},
    format::Format,
    listener::{
        ChainMatch, Listener, ListenerFilterKind, NetworkFilterKind, NetworkRbac, TcpProxy,
    },
    ratelimit::{Bucket, ConnectionRateLimit},
    rbac::{Action, Engine, Permission, Policies, Policy, Principal, Rbac},
};
use culvert_runtime::drain::Drained;
use std::{collections::BTreeMap, num::NonZeroU32, path::Path, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

const WORDS: &str = "%ACCESS_LOG_TYPE% %FILTER_CHAIN_NAME% %RESPONSE_FLAGS% %RESPONSE_CODE% \
    %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% %BYTES_RECEIVED% %BYTES_SENT% \
    %UPSTREAM_CLUSTER% %UPSTREAM_HOST% %UPSTREAM_TRANSPORT_FAILURE_REASON% \
    %UPSTREAM_REQUEST_ATTEMPT_COUNT% %DOWNSTREAM_LOCAL_CLOSE_REASON%\n";

/// Writes lines that begin with `word`.
fn log(path: &Path, word: &str) -> Arc<[AccessLog]> {
    let format = Arc::new(Format::Text(format!("{word} {WORDS}").parse().unwrap()));
    let format = LogFormat { format, omit_empty: false };
    let path = path.to_str().unwrap().into();
    [AccessLog { filter: None, sink: LogSink::File { path, format } }].into()
}

/// A listener that ends with this proxy, both of which log as `name`.
fn logged(path: &Path, name: &str, before: Option<NetworkFilterKind>, proxy: TcpProxy) -> Listener {
    let access_logs = log(path, name);
    let proxy = to(TcpProxy { access_logs, ..proxy });
    let filters = before.into_iter().chain([proxy]).collect();
    Listener { access_logs: log(path, name), ..listener(name, filters) }
}

/// Two logs write to it, in no order.
async fn sorted(path: &Path, wanted: usize) -> Vec<String> {
    let mut lines = lines(path, wanted).await;
    lines.sort();
    lines
}

fn denies() -> NetworkFilterKind {
    let policy =
        Policy { permissions: [Permission::Any].into(), principals: [Principal::Any].into() };
    let policies = BTreeMap::from([("pol".into(), policy)]);
    let rules = Some(Engine::Policies(Policies { action: Action::Deny, policies }));
    let rbac = Rbac {
        rules,
        shadow: None,
        shadow_prefix: "".into(),
        rules_prefix: "".into(),
        track_rules: false,
    };
    NetworkFilterKind::Rbac(Arc::new(NetworkRbac {
        stat_prefix: "r".into(),
        rbac: Arc::new(rbac),
        continuous: false,
        delay: None,
    }))
}

fn limits() -> NetworkFilterKind {
    NetworkFilterKind::LocalRateLimit(Arc::new(ConnectionRateLimit {
        stat_prefix: "l".into(),
        bucket: Bucket { max: 1, per_fill: 1, interval: Duration::from_secs(1000) },
        enabled: true.into(),
        share_key: None,
    }))
}

#[tokio::test]
async fn why_connections_ended_is_said_as_people_know_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let three = NonZeroU32::new(3).unwrap();
    let short = Some(Duration::from_millis(50));
    let proxies = [
        ("dead", None, TcpProxy { max_connect_attempts: three, ..proxy("dead") }),
        ("none", None, proxy("nobody")),
        ("empty", None, proxy("empty")),
        ("idle", None, TcpProxy { idle_timeout: short, ..proxy("echo") }),
        ("long", None, TcpProxy { max_connection_duration: short, ..proxy("echo") }),
        ("rbac", Some(denies()), proxy("echo")),
        ("rate", Some(limits()), proxy("echo")),
    ];
    let mut listeners: Vec<_> = proxies
        .into_iter()
        .map(|(name, before, proxy)| logged(&path, name, before, proxy))
        .collect();
    listeners.push(listener("echo", vec![NetworkFilterKind::Echo]));
    let nowhere = ChainMatch { server_names: ["a.test".into()].into(), ..ChainMatch::default() };
    let mut lost = chained("lost", vec![chain("c", nowhere, vec![])]);
    lost.access_logs = log(&path, "lost");
    listeners.push(inspected(lost, vec![ListenerFilterKind::TlsInspector]));
    let mut all = snapshot(listeners);
    put_cluster(&mut all, "empty", &[]);
    put_cluster(&mut all, "dead", &["127.0.0.1:1".parse().unwrap()]);
    let mut world = World::with(all).await;
    let echo = world.at("echo");
    world.change(|snapshot| put_cluster(snapshot, "echo", &[echo])).await;
    let names = ["dead", "none", "empty", "idle", "long", "rbac", "lost"];
    for name in names {
        let mut client = world.connect(name).await;
        client.write_all(b"hi").await.unwrap();
        let mut back = Vec::new();
        // It may well be a reset: what was said is not read any more.
        let _ended = client.read_to_end(&mut back).await;
    }
    let first = world.connect("rate").await;
    let mut second = world.connect("rate").await;
    let _ended = second.read(&mut [0; 1]).await;
    drop(first);
    let wanted = [
        "dead NAME all UF,URX 0 - - 0 0 dead 127.0.0.1:1 delayed_connect_error:_Connection_refused 3 tcp_initializion_failure:0".to_owned(),
        "empty NAME all UH 0 - - 0 0 empty - - 0 tcp_initializion_failure:1".to_owned(),
        format!("idle NAME all - 0 - - 2 2 echo {echo} - 1 tcp_session_idle_timeout"),
        format!("long NAME all DT 0 - - 2 2 echo {echo} - 1 max_connection_duration_reached"),
        "none NAME all NC 0 - - 0 0 - - - 0 tcp_initializion_failure:3".to_owned(),
        format!("rate NAME all - 0 - - 0 0 echo {echo} - 1 -"),
        "rate NAME all URX 0 - - 0 0 - - - 0 local_ratelimit_close_over_limit".to_owned(),
        format!("rbac NAME all - 0 - rbac_access_denied_matched_policy[pol] 0 0 echo {echo} - 1 rbac_deny_close"),
    ];
    let both = wanted
        .iter()
        .flat_map(|line| ["NotSet", "TcpConnectionEnd"].map(|kind| line.replace("NAME", kind)));
    let lost = "lost NotSet - NR 0 filter_chain_not_found - 0 0 - - - 0 -".to_owned();
    let mut wanted: Vec<_> = both.chain([lost]).collect();
    wanted.sort();
    assert_eq!(sorted(&path, wanted.len()).await, wanted);
}

#[tokio::test]
async fn long_connections_are_written_down_while_they_last() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let log_interval = Some(Duration::from_millis(20));
    let access_logs = log(&path, "x");
    let long = TcpProxy { log_interval, access_logs, ..proxy("echo") };
    let mut world = World::start(vec![
        listener("l", vec![to(long)]),
        listener("echo", vec![NetworkFilterKind::Echo]),
    ])
    .await;
    let echo = world.at("echo");
    world.change(|snapshot| put_cluster(snapshot, "echo", &[echo])).await;
    let client = world.connect("l").await;
    let begun = lines(&path, 3).await;
    assert!(begun.iter().all(|line| line.starts_with("x TcpPeriodic all - 0")), "{begun:?}");
    drop(client);
    let ended = |line: &String| line.starts_with("x TcpConnectionEnd");
    lines_when(&path, |lines| lines.iter().any(ended)).await;
}

#[tokio::test]
async fn connections_that_are_cut_off_at_the_end_of_a_drain_are_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let mut world = World::start(vec![
        logged(&path, "l", None, proxy("echo")),
        listener("echo", vec![NetworkFilterKind::Echo]),
    ])
    .await;
    let echo = world.at("echo");
    world.change(|snapshot| put_cluster(snapshot, "echo", &[echo])).await;
    let mut client = world.connect("l").await;
    assert_eq!(talk(&mut client, "hi").await, "hi");
    assert_eq!(world.engine.drain(Duration::ZERO).await, Drained::Forced(2));
    let line =
        |kind| format!("l {kind} all - 0 - - 2 2 echo {echo} - 1 filter_chain_is_being_removed");
    assert_eq!(sorted(&path, 2).await, ["NotSet", "TcpConnectionEnd"].map(line));
}

#[tokio::test]
async fn what_is_known_of_the_connection_to_the_endpoint_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let words = "%UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %UPSTREAM_LOCAL_PORT% \
                 %UPSTREAM_LOCAL_ADDRESS% %UPSTREAM_TLS_VERSION%\n";
    let format = Arc::new(Format::Text(words.parse().unwrap()));
    let sink = LogSink::File {
        path: path.to_str().unwrap().into(),
        format: LogFormat { format, omit_empty: false },
    };
    let access_logs = [AccessLog { filter: None, sink }].into();
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = server.local_addr().unwrap();
    let mut all = snapshot(vec![listener("l", vec![to(TcpProxy { access_logs, ..proxy("c") })])]);
    put_cluster(&mut all, "c", &[at]);
    let world = World::with(all).await;
    let client = world.connect("l").await;
    let (upstream, from) = server.accept().await.unwrap();
    drop((client, upstream));
    let wanted = format!("127.0.0.1 {} {from} -", from.port());
    assert_eq!(lines(&path, 1).await, [wanted]);
}
