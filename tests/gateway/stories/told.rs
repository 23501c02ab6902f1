//! A control plane that says what a story tells it, and tells what it hears.
use super::peers::{Peer, python};
use crate::{
    run::Scene,
    server::{PATIENCE, await_port},
};
use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{ChildStdin, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Instant,
};

pub(super) struct Told {
    _peer: Peer,
    stdin: ChildStdin,
    heard: Receiver<String>,
}

impl Told {
    /// Starts at the port called `told`, where it has nothing to say yet.
    pub(super) fn start(scene: &Scene) -> Self {
        let port = scene.ports.named()["told"];
        let mut command = python("told.py");
        command.arg(port.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut peer = Peer(command.spawn().unwrap());
        let (tell, heard) = channel();
        let said = BufReader::new(peer.0.stdout.take().unwrap());
        // It ends with the process.
        thread::spawn(move || {
            said.lines().map_while(Result::ok).try_for_each(|one| tell.send(one))
        });
        await_port(port);
        Self { stdin: peer.0.stdin.take().unwrap(), _peer: peer, heard }
    }

    /// Replaces all resources of a type, in the words of `told.py`.
    pub(super) fn put(&mut self, kind: &str, resources: &str) {
        writeln!(self.stdin, "{kind} = {resources}").unwrap();
    }

    /// Waits for an answer that begins like this; the whole of it.
    pub(super) fn hears(&self, start: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let heard = self.heard.recv_timeout(left);
            let heard = heard.unwrap_or_else(|_| panic!("nobody says {start:?}"));
            if heard.starts_with(start) {
                return heard;
            }
        }
    }
}
