//! A process in a pod or on a node, and what it says.
use crate::lines::Lines;
use culvert_lab::LabChild;
use serde_json::Value;
use std::{
    io::Write as _,
    net::{IpAddr, SocketAddr},
    process::ChildStdin,
};

/// A running program that says lines of JSON.
#[derive(Debug)]
pub struct Running {
    pub(crate) child: LabChild,
    /// `None` once closed.
    stdin: Option<ChildStdin>,
    lines: Lines,
}

/// A server in a pod, on all its addresses.
#[derive(Debug)]
pub struct Server {
    pub running: Running,
    pub(crate) ips: [IpAddr; 2],
    pub port: u16,
}

impl Running {
    pub(crate) fn new(mut child: LabChild) -> Self {
        let lines = Lines::default();
        if let Some(pipe) = child.stdout() {
            lines.follow(pipe);
        }
        if let Some(pipe) = child.stderr() {
            lines.follow(pipe);
        }
        let stdin = child.stdin();
        Self { child, stdin, lines }
    }

    /// Its process, which has not been waited for.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.child.pid().expect("a process that runs")
    }

    pub fn lines(&self) -> &Lines {
        &self.lines
    }

    /// Has it do the next thing (a line of standard input), and returns what it says to that.
    #[track_caller]
    pub fn ask(&mut self) -> Value {
        let said = self.lines.count();
        let stdin = self.stdin.as_mut().expect("standard input is open");
        stdin.write_all(b"\n").expect("the program reads its standard input");
        self.lines.await_from(said, "an answer", |line| serde_json::from_str(line).ok())
    }

    /// Waits for the next line of JSON after the `from`th.
    #[track_caller]
    pub fn said(&self, from: usize) -> Value {
        self.lines.await_from(from, "a line", |line| serde_json::from_str(line).ok())
    }

    /// Ends its standard input, and returns the last line it says.
    #[track_caller]
    pub fn finish(mut self) -> Value {
        self.stdin = None;
        self.child.wait().expect("a child can be waited for");
        self.last()
    }

    /// Waits for its end, and returns the last line it said.
    #[track_caller]
    pub fn last_words(mut self) -> Value {
        self.child.wait().expect("a child can be waited for");
        self.last()
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.ended(), Ok(None))
    }

    #[track_caller]
    fn last(&self) -> Value {
        self.lines.await_end();
        let said = self.lines.json();
        said.last().cloned().unwrap_or_else(|| panic!("no JSON in: {}", self.lines.text()))
    }
}

impl Server {
    #[must_use]
    pub fn v4(&self) -> SocketAddr {
        SocketAddr::new(self.ips[0], self.port)
    }

    #[must_use]
    pub fn v6(&self) -> SocketAddr {
        SocketAddr::new(self.ips[1], self.port)
    }

    /// Both addresses, IPv4 first.
    #[must_use]
    pub fn both(&self) -> [SocketAddr; 2] {
        [self.v4(), self.v6()]
    }

    /// How the connection from `peer` ended, once it has.
    #[track_caller]
    pub fn ended(&self, peer: &Value) -> Value {
        let line = self
            .running
            .lines
            .await_json("that the connection ended", |line| line.get("ended") == Some(peer));
        line["how"].clone()
    }
}
