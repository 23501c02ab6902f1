//! A node of a mesh: its proxy's life, and what it tells.
use crate::{culvert::Culvert, eventually, http, lines::Lines, running::Running};
use culvert_lab::NodeNs;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex, MutexGuard},
};

const ADMIN: u16 = 15000;
const METRICS: u16 = 15020;
const READINESS: u16 = 15021;

/// A node.
#[derive(Debug)]
pub struct Node {
    pub ns: NodeNs,
    pub config: PathBuf,
    pub manifests: PathBuf,
    /// Standard output of every process of the node's proxy: the access log.
    pub access: Lines,
    /// What the proxy is started by, if not directly.
    wrapper: Vec<String>,
    follows: Follows,
    /// Every process that was started, the current one last.
    processes: Mutex<Vec<Arc<Culvert>>>,
}

/// Whose configuration a node lives by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follows {
    /// Its own: control plane and node are one process.
    Itself,
    /// That of a control plane elsewhere.
    Plane,
}

impl Node {
    pub(crate) fn new(
        ns: NodeNs,
        config: PathBuf,
        manifests: PathBuf,
        wrapper: Vec<String>,
        follows: Follows,
    ) -> Self {
        let (access, processes) = (Lines::default(), Mutex::default());
        Self { ns, config, manifests, access, wrapper, follows, processes }
    }

    /// Starts a process of the proxy; it need not have begun when this returns.
    pub fn begin(&self) -> Arc<Culvert> {
        self.begin_with(&[])
    }

    /// The same with manifests that no other process sees.
    pub fn begin_with(&self, more: &[&Path]) -> Arc<Culvert> {
        let mut command = wrapped(&self.wrapper);
        let (role, flag) = match self.follows {
            Follows::Itself => ("up", "-f"),
            Follows::Plane => ("node", "--pods"),
        };
        command.arg(role).arg("--config").arg(&self.config);
        for manifests in [&*self.manifests].iter().chain(more) {
            command.arg(flag).arg(manifests);
        }
        let process = Arc::new(Culvert::start(&self.ns, command, &self.access));
        self.processes().push(Arc::clone(&process));
        process
    }

    /// Starts a process of the proxy, which takes over one that runs; it is ready when this returns.
    #[track_caller]
    pub fn start(&self) -> Arc<Culvert> {
        let process = self.begin();
        self.await_ready(&process);
        process
    }

    /// Waits until this process answers for the node and has enrolled every pod it can.
    #[track_caller]
    pub fn await_ready(&self, process: &Culvert) {
        eventually("ready proxy", || {
            if let Some(status) = process.ended() {
                panic!("the proxy ended before it was ready: {status}\n{}", process.log.text());
            }
            let status = self.try_status()?;
            let answers = status["pid"] == process.pid && status["ready"] == true;
            (answers && self.get(READINESS, "/healthz/ready")?.0 == 200).then_some(())
        });
    }

    /// Waits until the node reaches this many workloads by tunnel, or more.
    #[track_caller]
    pub fn await_tunnels(&self, count: usize) {
        eventually(&format!("way to {count} workloads by tunnel"), || {
            let (_, dump) = self.get(ADMIN, "/config_dump")?;
            let dump: Value = serde_json::from_str(&dump).ok()?;
            let by_tunnel = |workload: &&Value| workload["protocol"] == "HBONE";
            (dump["workloads"].as_array()?.iter().filter(by_tunnel).count() >= count).then_some(())
        });
    }

    /// The process started last.
    #[track_caller]
    pub fn process(&self) -> Arc<Culvert> {
        self.processes().last().cloned().expect("a proxy was started")
    }

    /// Kills the proxy, as a crash does.
    #[track_caller]
    pub fn kill(&self) {
        self.process().signal(Signal::SIGKILL);
        self.process().await_end();
    }

    /// Asks the proxy to end, and waits until it has.
    #[track_caller]
    pub fn terminate(&self) -> ExitStatus {
        self.process().signal(Signal::SIGTERM);
        self.process().await_end()
    }

    /// Runs a command of `culvert` about this node's instance.
    #[track_caller]
    pub fn cli(&self, args: &[&str]) -> Output {
        let mut command = wrapped(&[]);
        command.args(args).env("CULVERT_INSTANCE", self.ns.instance());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = self.ns.spawn(command).unwrap_or_else(|e| panic!("{e}: {e:?}"));
        child.output().expect("a child can be waited for")
    }

    /// Starts our helper on the node itself, as kubelet would run; see [`crate::Pod::peer`].
    #[track_caller]
    pub fn peer(&self, words: &[&str]) -> Running {
        let mut command = Command::new(crate::programs::peer());
        command.args(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running::new(self.ns.spawn(command).unwrap_or_else(|e| panic!("{e}: {e:?}")))
    }

    /// One connection from the node itself to a greeting server.
    #[track_caller]
    pub fn dial(&self, kind: &str, to: SocketAddr) -> Value {
        self.peer(&["dial", kind, &to.to_string()]).last_words()
    }

    /// What the node says of itself.
    #[track_caller]
    pub fn status(&self) -> Value {
        self.try_status().expect("a node that answers")
    }

    /// What the node says of a pod, if it knows one of that name.
    #[must_use]
    pub fn pod(&self, name: &str) -> Option<Value> {
        let status = self.try_status()?;
        let pods = status["pods"].as_array()?;
        pods.iter().find(|pod| pod["name"] == name).cloned()
    }

    /// Waits until a pod is in this state.
    #[track_caller]
    pub fn await_pod(&self, name: &str, state: &str) -> Value {
        let what = format!("pod {name} that is {state}");
        eventually(&what, || self.pod(name).filter(|pod| pod["state"] == state))
    }

    /// Waits until a pod is pending for a reason that contains `words`.
    #[track_caller]
    pub fn await_reason(&self, name: &str, words: &str) {
        let said = |pod: &Value| {
            let reason = pod["reason"].as_str().unwrap_or_default();
            pod["state"] == "pending" && reason.contains(words)
        };
        eventually(&format!("pod {name} that is pending because: {words}"), || {
            self.pod(name).filter(said).map(drop)
        });
    }

    /// Waits until the node knows no pod of this name.
    #[track_caller]
    pub fn await_no_pod(&self, name: &str) {
        eventually(&format!("end of pod {name}"), || {
            let status = self.try_status()?;
            let pods = status["pods"].as_array()?;
            pods.iter().all(|pod| pod["name"] != name).then_some(())
        });
    }

    /// One of the kernel's counters of a pod.
    #[track_caller]
    pub fn counter(&self, pod: &str, counter: &str) -> u64 {
        let status = self.pod(pod).unwrap_or_else(|| panic!("no pod {pod}: {}", self.status()));
        status["kernel"][counter].as_u64().unwrap_or_else(|| panic!("no {counter} in {status}"))
    }

    /// Waits until one of the kernel's counters of a pod is this much higher.
    #[track_caller]
    pub fn await_more(&self, pod: &str, counter: &str, more: u64) {
        let before = self.counter(pod, counter);
        eventually(&format!("{more} more {counter} of {pod}"), || {
            (self.counter(pod, counter) >= before + more).then_some(())
        });
    }

    /// The sum of the metrics of this name whose labels contain all of `labels`, as in
    /// `reporter="source"`.
    #[track_caller]
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let text = self.metrics();
        let samples = text.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (of, its_labels) = series.split_once('{').unwrap_or((series, ""));
            (of == name && labels.iter().all(|label| its_labels.contains(label)))
                .then(|| value.parse::<f64>().ok())?
        });
        samples.sum()
    }

    /// The whole exposition.
    #[track_caller]
    pub fn metrics(&self) -> String {
        let (status, text) = self.get(METRICS, "/metrics").expect("a node that is scraped");
        assert_eq!(status, 200, "{text}");
        text
    }

    /// Waits for an access line.
    #[track_caller]
    pub fn await_access(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        self.access.await_json(what, is)
    }

    /// Waits for the access line of a connection to `to` in this direction.
    #[track_caller]
    pub fn await_line(&self, direction: &str, to: SocketAddr) -> Value {
        self.await_line_after(0, direction, to)
    }

    /// The same among the lines after the first `seen` ones.
    #[track_caller]
    pub fn await_line_after(&self, seen: usize, direction: &str, to: SocketAddr) -> Value {
        let what = format!("of an {direction} connection to {to}");
        self.access.await_from(seen, &what, |line| {
            let line: Value = serde_json::from_str(line).ok()?;
            (line["direction"] == direction && goes_to(&line, to)).then_some(line)
        })
    }

    /// Waits until as many connections to `to` in this direction ended well; fails if more did.
    #[track_caller]
    pub fn await_lines(&self, direction: &str, to: SocketAddr, count: u64) {
        let fits = |line: &&Value| {
            line["direction"] == direction && goes_to(line, to) && line["close"] == "done"
        };
        let ended = || u64::try_from(self.access.json().iter().filter(fits).count());
        eventually(&format!("{count} {direction} connections to {to}"), || {
            (ended().expect("a count") == count).then_some(())
        });
    }

    /// One of the documents of the admin door, as in `/certificates`.
    #[track_caller]
    pub fn document(&self, path: &str) -> Value {
        let (status, body) = self.get(ADMIN, path).expect("a node that answers");
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).expect("a document in JSON")
    }

    /// The same, if it answers.
    #[must_use]
    pub fn try_status(&self) -> Option<Value> {
        let (status, body) = self.get(ADMIN, "/status")?;
        (status == 200).then(|| serde_json::from_str(&body).ok())?
    }

    fn get(&self, port: u16, path: &str) -> Option<(u16, String)> {
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        self.ns.run(|| http::get(at, path)).expect("a namespace to enter").ok()
    }

    pub(crate) fn processes(&self) -> MutexGuard<'_, Vec<Arc<Culvert>>> {
        self.processes.lock().expect("no holder panics")
    }
}

/// Whether an access line is of a connection to `to`, at the end of a tunnel or without.
fn goes_to(line: &Value, to: SocketAddr) -> bool {
    let end = line.get("dst.hbone_addr").unwrap_or(&line["dst.addr"]);
    *end == to.to_string()
}

/// The proxy, perhaps started by another program, in an environment without ours.
fn wrapped(wrapper: &[String]) -> Command {
    let culvert = crate::programs::culvert();
    let mut command = match wrapper.split_first() {
        None => Command::new(culvert),
        Some((program, words)) => {
            let mut command = Command::new(program);
            command.args(words).arg(culvert);
            command
        }
    };
    command.env_remove("CULVERT_BIN").env_remove("RUST_LOG");
    command
}
