//! SIGTERM and Ctrl-C, which mean the same, and SIGHUP, which means nothing.
use crate::failure::{Exit, Failure};
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;

/// What others want of this process.
#[derive(Debug)]
pub(crate) struct Signals {
    term: Signal,
    int: Signal,
    /// By which other programs are told to read their files again; ours are followed anyway.
    hup: Signal,
}

impl Signals {
    /// # Errors
    ///
    /// When there is no descriptor for it.
    pub(crate) fn new() -> Result<Self, Failure> {
        Self::listen().map_err(|error| {
            let next = "raise the limit of open files (ulimit -n)";
            Failure::new(Exit::Cannot, "cannot listen for signals", next).because(&error)
        })
    }

    fn listen() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    /// Cancel safe.
    pub(crate) async fn next(&mut self) {
        loop {
            tokio::select! {
                _ = self.term.recv() => return,
                _ = self.int.recv() => return,
                _ = self.hup.recv() => info!(
                    "SIGHUP changes nothing: files are followed, other settings need a new process"
                ),
            }
        }
    }
}
