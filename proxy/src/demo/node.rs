//! One node's proxy: started, asked for evidence, killed.
use crate::cli::door::Door;
use culvert_lab::{LabChild, NodeNs};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::{
    collections::VecDeque,
    env, io,
    io::{BufRead as _, BufReader, Read},
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use super::error::StageError;

/// How many of the proxy's last words are kept for a failure.
const LAST_WORDS: usize = 20;

/// What the kernel counted for one pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) captured: u64,
    pub(super) inbound: u64,
}

/// A node of the stage with its proxy.
#[derive(Debug)]
pub(super) struct Node {
    ns: NodeNs,
    proxy: Option<LabChild>,
    /// The access log so far, of every proxy that ran on the node.
    access: Arc<Mutex<Vec<Value>>>,
    words: Arc<Mutex<VecDeque<String>>>,
}

impl Node {
    pub(super) fn new(ns: NodeNs) -> Self {
        Self { ns, proxy: None, access: Arc::default(), words: Arc::default() }
    }

    pub(super) fn instance(&self) -> String {
        self.ns.instance()
    }

    pub(super) fn name(&self) -> &str {
        self.ns.name()
    }

    /// Starts the node's proxy on the manifests in `folder`.
    ///
    /// # Errors
    ///
    /// When there is no process to be had.
    pub(super) fn start(&mut self, folder: &Path) -> Result<(), StageError> {
        let mut command = Command::new(env::current_exe()?);
        command.arg("up").arg("-f").arg(folder);
        command.args(["--instance", &self.instance(), "--node-name", self.name()]);
        command.arg("--cgroup-root").arg(self.ns.cgroup());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut proxy = self.ns.spawn(command)?;
        let (access, words) = (Arc::clone(&self.access), Arc::clone(&self.words));
        each_line(proxy.stdout(), move |line| {
            if let Ok(line) = serde_json::from_str(&line) {
                access.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        })?;
        each_line(proxy.stderr(), move |line| {
            let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
            words.push_back(line);
            if words.len() > LAST_WORDS {
                words.pop_front();
            }
        })?;
        self.proxy = Some(proxy);
        Ok(())
    }

    /// Kills the proxy as a crash would, and waits until it is gone.
    ///
    /// # Errors
    ///
    /// When it cannot be signalled.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        let Some(mut proxy) = self.proxy.take() else { return Ok(()) };
        proxy.signal(Signal::SIGKILL)?;
        proxy.wait().map(drop)
    }

    /// Whether the proxy has ended by itself, which it should not.
    pub(super) fn has_ended(&mut self) -> bool {
        self.proxy.as_mut().is_some_and(|proxy| !matches!(proxy.ended(), Ok(None)))
    }

    /// The pods as the proxy's admin socket tells them; `None` while nobody answers.
    pub(super) fn pods(&self) -> Option<Vec<Value>> {
        let document = Door::of_instance(&self.instance()).get("/pods").ok()?;
        serde_json::from_str(&document).ok()
    }

    /// Whether the proxy holds `pod` of namespace `shop`.
    pub(super) fn captured(&self, pod: &str) -> bool {
        self.pod(pod).is_some_and(|pod| pod["state"] == "captured")
    }

    /// What the kernel counted for `pod` of namespace `shop`.
    pub(super) fn counted(&self, pod: &str) -> Option<Counted> {
        let kernel = self.pod(pod)?["kernel"].clone();
        let count = |what: &str| kernel[what].as_u64();
        Some(Counted { captured: count("captured")?, inbound: count("inbound")? })
    }

    fn pod(&self, name: &str) -> Option<Value> {
        let mut pods = self.pods()?.into_iter();
        pods.find(|pod| pod["namespace"] == "shop" && pod["name"] == name)
    }

    /// How many access lines satisfy `which`.
    pub(super) fn access_lines(&self, which: impl Fn(&Value) -> bool) -> usize {
        let lines = self.access.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().filter(|line| which(line)).count()
    }

    /// What the proxy said last, for a person who wonders why it failed.
    pub(super) fn last_words(&self) -> Vec<String> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// Calls `take` for each line of `pipe` on a thread that ends with the pipe.
fn each_line(
    pipe: Option<impl Read + Send + 'static>,
    mut take: impl FnMut(String) + Send + 'static,
) -> io::Result<()> {
    let Some(pipe) = pipe else { return Ok(()) };
    let read = move || BufReader::new(pipe).lines().map_while(Result::ok).for_each(&mut take);
    thread::Builder::new().spawn(read).map(drop)
}
