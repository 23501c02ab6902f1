//! The two proxies, as processes.
use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

/// How long anything may take before it counts as never.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Which proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Envoy,
    Culvert,
}

impl Which {
    /// Where its program is, when it is there.
    pub(crate) fn program(self) -> Option<PathBuf> {
        let found = match self {
            Self::Envoy => target().join("peers/envoy/envoy/_bin/envoy"),
            Self::Culvert => return Some(e2e::programs::culvert()),
        };
        found.exists().then_some(found)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Envoy => "envoy",
            Self::Culvert => "culvert",
        }
    }

    /// The command that runs `file`, whose node it does not say itself.
    pub(crate) fn command(self, file: &Path) -> Command {
        let mut command = self.bare(file);
        command.args(["--service-node", "node-1", "--service-cluster", "case"]);
        command
    }

    /// The command that runs `file`.
    pub(crate) fn bare(self, file: &Path) -> Command {
        let program = self.program().expect("no Envoy: cargo xtask peers --bench");
        let mut command = Command::new(program);
        match self {
            Self::Envoy => {
                command.args(["--disable-hot-restart", "-l", "warning", "-c"]).arg(file);
                command.args(["--drain-time-s", "1"]);
            }
            Self::Culvert => {
                command.args(["gateway", "--drain-time-s", "1", "--bootstrap"]).arg(file);
            }
        }
        command.args(["--concurrency", "1"]);
        command
    }
}

/// The folder that cargo builds into.
pub(crate) fn target() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.ancestors().nth(3).unwrap().to_owned()
}

/// A proxy that runs; it is ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    admin: SocketAddr,
    log: PathBuf,
}

impl Server {
    /// Starts it with the bootstrap in `file` and waits until it is ready.
    pub(crate) fn start(which: Which, file: &Path, admin: u16) -> Result<Self, String> {
        Self::start_as(which, which.command(file), file, admin)
    }

    /// The same with a command of one's own, which runs `file`.
    pub(crate) fn start_as(
        which: Which,
        mut command: Command,
        file: &Path,
        admin: u16,
    ) -> Result<Self, String> {
        let log = file.with_extension(format!("{}.log", which.name()));
        let said = File::create(&log).unwrap();
        command.stdout(said.try_clone().unwrap()).stderr(said);
        let child = command.spawn().unwrap();
        let admin = SocketAddr::from(([127, 0, 0, 1], admin));
        let mut server = Self { child, admin, log };
        let until = Instant::now() + PATIENCE;
        loop {
            if let Ok(Some(status)) = server.child.try_wait() {
                return Err(format!("{} ended with {status}:\n{}", which.name(), server.said()));
            }
            if server.admin("GET", "/ready").is_some_and(|said| said.contains("LIVE")) {
                return Ok(server);
            }
            if Instant::now() > until {
                return Err(format!("{} does not become ready:\n{}", which.name(), server.said()));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Asks the admin door; `None` when nothing answers with 200.
    pub(crate) fn admin(&self, method: &str, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect_timeout(&self.admin, PATIENCE).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        write!(stream, "{method} {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n")
            .ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n")?;
        (head.split(' ').nth(1) == Some("200")).then(|| whole(head, body))
    }

    /// All counters and gauges, by name.
    pub(crate) fn stats(&self) -> std::collections::BTreeMap<String, u64> {
        let text = self.admin("GET", "/stats").unwrap_or_default();
        let pair = |line: &str| {
            let (name, value) = line.rsplit_once(": ")?;
            Some((name.to_owned(), value.trim().parse().ok()?))
        };
        text.lines().filter_map(pair).collect()
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it printed.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks it to end, as an operator would, and waits.
    pub(crate) fn stop(&mut self) {
        self.signal("TERM");
        let until = Instant::now() + PATIENCE;
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "it does not end:\n{}", self.said());
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.pid()).unwrap());
        let signal: nix::sys::signal::Signal = format!("SIG{name}").parse().unwrap();
        nix::sys::signal::kill(pid, signal).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Waits until somebody listens.
pub(crate) fn await_port(port: u16) {
    let until = Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "nobody listens at {port}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A body without its chunks.
fn whole(head: &str, body: &str) -> String {
    if !head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return body.to_owned();
    }
    let (mut rest, mut text) = (body, String::new());
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let Some((chunk, after)) = after.split_at_checked(size).filter(|_| size > 0) else { break };
        text.push_str(chunk);
        rest = after.trim_start_matches("\r\n");
    }
    text
}
