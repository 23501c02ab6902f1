//! A process of the proxy.
use crate::lines::Lines;
use culvert_lab::{LabChild, NodeNs};
use nix::sys::signal::Signal;
use std::{
    process::{Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard},
};

/// A started `culvert`.
#[derive(Debug)]
pub struct Culvert {
    child: Mutex<LabChild>,
    /// What it says on standard error.
    pub log: Lines,
    pub pid: u32,
}

impl Culvert {
    /// Starts it on `node`; its standard output goes to `access`.
    pub(crate) fn start(node: &NodeNs, mut command: Command, access: &Lines) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = node.spawn(command).unwrap_or_else(|e| panic!("{e}: {e:?}"));
        let log = Lines::default();
        if let Some(pipe) = child.stdout() {
            access.follow(pipe);
        }
        if let Some(pipe) = child.stderr() {
            log.follow(pipe);
        }
        let pid = child.pid().expect("nobody has waited for it");
        Self { child: Mutex::new(child), log, pid }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.child().signal(signal).expect("a signal to a process of ours");
    }

    /// Waits until it has ended.
    #[track_caller]
    pub fn await_end(&self) -> ExitStatus {
        crate::eventually("end of the proxy", || self.ended())
    }

    /// How it ended, if it has.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.child().ended().expect("a child can be waited for")
    }

    fn child(&self) -> MutexGuard<'_, LabChild> {
        self.child.lock().expect("no holder panics")
    }
}

/// Every process that was started at one place, the current one last.
#[derive(Debug, Default)]
pub(crate) struct Processes(Mutex<Vec<Arc<Culvert>>>);

impl Processes {
    pub(crate) fn add(&self, process: Culvert) -> Arc<Culvert> {
        let process = Arc::new(process);
        self.lock().push(Arc::clone(&process));
        process
    }

    pub(crate) fn all(&self) -> Vec<Arc<Culvert>> {
        self.lock().clone()
    }

    #[track_caller]
    pub(crate) fn last(&self) -> Arc<Culvert> {
        self.lock().last().cloned().expect("one was started")
    }

    /// Has the last one end, and waits until it has.
    #[track_caller]
    pub(crate) fn end(&self, by: Signal) -> ExitStatus {
        let last = self.last();
        last.signal(by);
        last.await_end()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Culvert>>> {
        self.0.lock().expect("no holder panics")
    }
}
