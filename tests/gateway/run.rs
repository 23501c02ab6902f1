//! One proxy through one case.
use crate::{
    backend::Backends,
    case::{Ask, Case, Protocol, Seen},
    certificates,
    client::Client,
    expand,
    plain::Plain,
    plane::{self, Plane},
    ports::Ports,
    server::{self, PATIENCE, Server, Which},
};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// Where cases keep files.
pub(crate) fn folder() -> PathBuf {
    let folder = server::target().join("gateway");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Ports, a folder and servers for one case; both proxies run in the same one.
pub(crate) struct Scene {
    pub(crate) ports: Ports,
    pub(crate) dir: PathBuf,
    pub(crate) certificates: PathBuf,
}

impl Scene {
    pub(crate) fn make(name: &str) -> Self {
        let folder = folder();
        let mut ports = Ports::take(&folder);
        for name in ["admin", "l", "b1", "dead"] {
            ports.of(name);
        }
        let certificates = certificates::folder(&folder);
        let dir = folder.join("cases").join(name.replace("::", "/"));
        drop(fs::remove_dir_all(&dir));
        fs::create_dir_all(&dir).unwrap();
        Self { ports, dir, certificates }
    }

    /// A case with its `${…}` replaced, and ports for all servers that it names.
    pub(crate) fn read(&mut self, name: &str, text: &str) -> Case {
        let filled = self.fill(text);
        let mut case: Case =
            serde_saphyr::from_str(&filled).unwrap_or_else(|e| panic!("{name}: {e}"));
        for (cluster, fields) in &case.clusters {
            let to = fields.get("to").and_then(Value::as_array).cloned().unwrap_or_default();
            to.iter().filter_map(Value::as_str).for_each(|name| _ = self.ports.of(name));
            if to.is_empty() && cluster.len() < 6 {
                self.ports.of(cluster);
            }
        }
        if case.manifests.is_some() {
            self.ports.of(plane::PORT);
            case.requests = often(&case.requests);
        }
        case
    }

    /// A text with its `${…}` replaced; names that are new get ports.
    pub(crate) fn fill(&mut self, text: &str) -> String {
        let (mut filled, mut rest) = (String::new(), text);
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').expect("a } after ${");
            filled.push_str(before);
            match name {
                "T" => filled.push_str(expand::TYPES),
                "dir" => filled.push_str(&self.dir.to_string_lossy()),
                "certs" => filled.push_str(&self.certificates.to_string_lossy()),
                name => filled.push_str(&self.ports.of(name).to_string()),
            }
            rest = after;
        }
        filled + rest
    }

    /// The bootstrap of a case, as a file.
    pub(crate) fn write(&self, case: &Case) -> PathBuf {
        self.write_with(case, None)
    }

    fn write_with(&self, case: &Case, plane: Option<&Plane>) -> PathBuf {
        for (name, text) in &case.files {
            let file = self.dir.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let admin = self.ports.named()["admin"];
        let whole = match plane {
            Some(plane) => plane.bootstrap(("DELTA_GRPC", "router"), admin, &json!([])),
            None => expand::bootstrap(case, self.ports.named(), &self.dir),
        };
        let file = self.dir.join("bootstrap.json");
        fs::write(&file, serde_json::to_string_pretty(&whole).unwrap()).unwrap();
        file
    }
}

/// The same, by both protocols and until there are a hundred.
fn often(asks: &[Ask]) -> Vec<Ask> {
    let is_http1 = |ask: &&Ask| ask.tcp.is_none() && ask.raw.is_none() && ask.tunnel.is_none();
    let again = asks.iter().filter(is_http1);
    let by_h2 = again.map(|ask| Ask { protocol: Protocol::H2, ..ask.clone() });
    let all: Vec<Ask> = asks.iter().cloned().chain(by_h2).collect();
    all.iter().cycle().take(all.len().max(100)).cloned().collect()
}

/// What one proxy does with a case.
pub(crate) fn run(which: Which, case: &Case, scene: &Scene) -> Value {
    let runtime = runtime();
    let plane = case.manifests.as_deref().map(|text| Plane::start(scene, text));
    let file = scene.write_with(case, plane.as_ref());
    drop(fs::remove_file(scene.dir.join("access.log")));
    let mut tasks = JoinSet::new();
    let backends = Backends::default();
    for (name, port) in scene.ports.named() {
        runtime.block_on(backends.start(&mut tasks, name, *port, &scene.certificates));
    }
    let command = if plane.is_some() { which.bare(&file) } else { which.command(&file) };
    let started = Server::start_as(which, command, &file, scene.ports.named()["admin"]);
    let mut server = match started {
        Ok(server) => server,
        Err(why) => return json!({"refused": true, "why": why}),
    };
    let plain = Plain { case, ports: scene.ports.named(), dir: &scene.dir };
    let mut client = Client::new(scene.ports.named().clone(), scene.certificates.clone());
    let asked = runtime.block_on(ask_all(case, &mut client, scene, &backends));
    let mut totals = BTreeMap::<String, u64>::new();
    let mut exchanges = Map::new();
    for (name, answer, seen) in asked {
        for one in &seen {
            *totals.entry(one["at"].as_str().unwrap_or("?").to_owned()).or_default() += 1;
        }
        exchanges.insert(name, plain.exchange(answer, seen));
    }
    drop(client);
    let mut whole = json!({"exchanges": exchanges});
    match case.compare.seen {
        Seen::Counts => whole["counts"] = json!(totals),
        Seen::Total => whole["total"] = json!(totals.values().sum::<u64>()),
        _ => (),
    }
    if !case.stats.is_empty() {
        let stats = stats(&server, &case.stats);
        let named = stats.into_iter().map(|(name, value)| (plain.text(&name), value));
        whole["stats"] = json!(named.collect::<BTreeMap<_, _>>());
    }
    server.stop();
    let log = fs::read_to_string(scene.dir.join("access.log")).unwrap_or_default();
    whole["log"] = plain.log(&log);
    whole
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// All requests in their order: a name, the answer, and what servers saw of it; of several at once
/// they saw it of the first.
async fn ask_all(
    case: &Case,
    client: &mut Client,
    scene: &Scene,
    backends: &Backends,
) -> Vec<(String, Value, Vec<Value>)> {
    let (mut all, mut at) = (Vec::new(), 0);
    for group in case.requests.chunk_by(|one, next| one.together && next.together) {
        for turn in 0..group[0].times.unwrap_or(1) {
            let (answers, mut seen) = match group {
                [ask] => {
                    let (answer, seen) = exchange(client, ask, backends).await;
                    (vec![answer], seen)
                }
                asks => together(asks, scene, backends).await,
            };
            for (nth, (ask, answer)) in group.iter().zip(answers).enumerate() {
                let name = format!("{:03}.{turn:02} {} {}", at + nth, ask.method(), ask.path());
                all.push((name, answer, std::mem::take(&mut seen)));
            }
        }
        at += group.len();
    }
    all
}

async fn exchange(client: &mut Client, ask: &Ask, backends: &Backends) -> (Value, Vec<Value>) {
    crate::backend::pause(ask.after_ms).await;
    backends.play(&ask.answers);
    let answer = client.ask(ask).await;
    let until = Instant::now() + PATIENCE;
    while backends.seen().len() < ask.wait_seen && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (answer, backends.seen())
}

/// Requests at once, each by a client of its own.
async fn together(all: &[Ask], scene: &Scene, backends: &Backends) -> (Vec<Value>, Vec<Value>) {
    let script: Vec<_> = all.iter().flat_map(|ask| ask.answers.clone()).collect();
    backends.play(&script);
    let mut asked = JoinSet::new();
    for (at, ask) in all.iter().cloned().enumerate() {
        let (ports, certificates) = (scene.ports.named().clone(), scene.certificates.clone());
        asked.spawn(async move {
            crate::backend::pause(ask.after_ms).await;
            (at, Client::new(ports, certificates).ask(&ask).await)
        });
    }
    let mut answers = asked.join_all().await;
    answers.sort_by_key(|(at, _)| *at);
    (answers.into_iter().map(|(_, answer)| answer).collect(), backends.seen())
}

/// The wanted counters, once two looks in a row agree.
fn stats(server: &Server, wanted: &[String]) -> BTreeMap<String, u64> {
    let look = || -> BTreeMap<String, u64> {
        let all = server.stats();
        let is = |name: &str| {
            wanted.iter().any(|wanted| {
                wanted.strip_suffix('*').map_or(name == wanted, |start| name.starts_with(start))
            })
        };
        // A counter that was never used need not be there.
        all.into_iter().filter(|(name, value)| *value > 0 && is(name)).collect()
    };
    let mut before = look();
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(60));
        let now = look();
        if now == before {
            break;
        }
        before = now;
    }
    before
}

/// The name of a case's file for a person who wants to start the proxies by hand.
pub(crate) fn by_hand(dir: &Path) -> String {
    format!("the bootstrap: {}", dir.join("bootstrap.json").display())
}
