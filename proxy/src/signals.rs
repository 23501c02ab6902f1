//! SIGTERM and Ctrl-C, which mean the same, and SIGHUP, which means nothing.
use crate::failure::{Exit, Failure};
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
        Ok(Self {
            term: hear(SignalKind::terminate())?,
            int: hear(SignalKind::interrupt())?,
            hup: hear(SignalKind::hangup())?,
        })
    }

    /// Cancel safe.
    pub(crate) async fn next(&mut self) {
        self.named().await;
    }

    /// The next one's name; cancel safe.
    pub(crate) async fn named(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.term.recv() => return "SIGTERM",
                _ = self.int.recv() => return "SIGINT",
                _ = self.hup.recv() => info!(
                    "SIGHUP changes nothing: files are followed, other settings need a new process"
                ),
            }
        }
    }
}

/// Hears one kind of signal.
///
/// # Errors
///
/// When there is no descriptor for it.
pub(crate) fn hear(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| {
        let next = "raise the limit of open files (ulimit -n)";
        Failure::new(Exit::Cannot, "cannot listen for signals", next).because(&error)
    })
}
