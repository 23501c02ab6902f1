//! A pod of a mesh, and what can be run in it.
use crate::{
    programs,
    running::{Running, Server},
};
use culvert_lab::PodNs;
use serde_json::Value;
use std::{
    fmt::Display,
    fs,
    net::{IpAddr, SocketAddr},
    process::{Command, Output, Stdio},
};

/// A pod.
#[derive(Debug)]
pub struct Pod {
    pub ns: PodNs,
    pub(crate) namespace: &'static str,
}

impl Pod {
    #[must_use]
    pub fn v4(&self) -> IpAddr {
        self.ns.ip4().into()
    }

    #[must_use]
    pub fn v6(&self) -> IpAddr {
        self.ns.ip6().into()
    }

    /// The pod's address of the same family as `other`.
    #[must_use]
    pub fn ip_like(&self, other: SocketAddr) -> IpAddr {
        if other.is_ipv4() { self.v4() } else { self.v6() }
    }

    /// Starts one of our servers on every address of the pod; it listens when this returns.
    #[track_caller]
    pub fn serve(&self, manner: &str, port: u16) -> Server {
        self.serve_with(manner, port, &[])
    }

    /// Starts one of our servers that takes more words.
    #[track_caller]
    pub fn serve_with(&self, manner: &str, port: u16, more: &[&str]) -> Server {
        let at = format!("[::]:{port}");
        let mut words = vec!["serve", manner, &at];
        words.extend(more);
        let running = self.peer(&words);
        let said = running.lines().await_json("that it listens", |_| true);
        assert!(said.get("listening").is_some(), "{manner} on port {port}: {said}");
        Server { running, ips: self.ns.ips(), port }
    }

    /// One connection to a greeting server by this kind of socket; what both ends saw.
    #[track_caller]
    pub fn dial(&self, kind: &str, to: SocketAddr) -> Value {
        self.dial_with(kind, to, &[])
    }

    /// The same, for a kind that takes more words.
    #[track_caller]
    pub fn dial_with(&self, kind: &str, to: SocketAddr, more: &[&str]) -> Value {
        let to = to.to_string();
        let mut words = vec!["dial", kind, &to];
        words.extend(more);
        self.peer(&words).last_words()
    }

    /// Runs one of our helper's other uses to its end.
    #[track_caller]
    pub fn ask_peer(&self, what: &str, to: SocketAddr, more: &[&dyn Display]) -> Value {
        self.start_peer(what, to, more).last_words()
    }

    /// Starts one of our helper's other uses.
    #[track_caller]
    pub fn start_peer(&self, what: &str, to: SocketAddr, more: &[&dyn Display]) -> Running {
        let to = to.to_string();
        let more: Vec<String> = more.iter().map(ToString::to_string).collect();
        let mut words = vec![what, &to];
        words.extend(more.iter().map(String::as_str));
        self.peer(&words)
    }

    /// Starts our helper.
    #[track_caller]
    pub fn peer(&self, words: &[&str]) -> Running {
        let mut command = Command::new(programs::peer());
        command.args(words);
        self.start(command)
    }

    /// Starts any program; what it says is kept.
    #[track_caller]
    pub fn start(&self, mut command: Command) -> Running {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running::new(self.ns.spawn(command).unwrap_or_else(|e| panic!("{e}: {e:?}")))
    }

    /// Runs any program to its end.
    #[track_caller]
    pub fn output(&self, mut command: Command) -> Output {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = self.ns.spawn(command).unwrap_or_else(|e| panic!("{e}: {e:?}"));
        child.output().expect("a child can be waited for")
    }

    /// Runs any program to its end; what it wrote to standard output, if it went well.
    #[track_caller]
    pub fn run(&self, command: Command) -> String {
        let shown = format!("{command:?}");
        let Output { status, stdout, stderr } = self.output(command);
        let [stdout, stderr] = [stdout, stderr].map(|s| String::from_utf8_lossy(&s).into_owned());
        assert!(status.success(), "{shown}: {status}\n{stdout}{stderr}");
        stdout
    }

    /// The ports on which somebody listens in the pod's namespace, as the kernel shows them.
    #[must_use]
    pub fn listening(&self) -> Vec<u16> {
        let mut ports: Vec<u16> = self.listeners().into_iter().map(|(port, _)| port).collect();
        ports.dedup();
        ports
    }

    /// The same, each with the inode of its socket: a port may be taken again.
    #[track_caller]
    pub fn listeners(&self) -> Vec<(u16, u64)> {
        const LISTEN: &str = "0A";
        let read = |name: &str| fs::read_to_string(format!("/proc/thread-self/net/{name}"));
        let tables = self.ns.run(|| [read("tcp"), read("tcp6")]).expect("a namespace to enter");
        let tables = tables.map(|table| table.expect("a table of sockets"));
        let mut listeners: Vec<(u16, u64)> = tables
            .iter()
            .flat_map(|table| table.lines().skip(1))
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                let (local, state) = (words.nth(1)?, words.nth(1)?);
                let port = local.rsplit_once(':')?.1;
                let inode = words.nth(5)?.parse().ok()?;
                (state == LISTEN).then_some((u16::from_str_radix(port, 16).ok()?, inode))
            })
            .collect();
        listeners.sort_unstable();
        listeners
    }
}
