//! The interruption that ends the demonstration.
use nix::sys::signal::{SigSet, Signal};
use std::{
    io,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
};

/// Set by SIGINT, SIGTERM or SIGHUP.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    /// Starts to listen; call before any other thread or process is started, which then leave the
    /// signals to this one.
    ///
    /// # Errors
    ///
    /// When the signals cannot be blocked or no thread can be started.
    pub(super) fn on_signals() -> io::Result<Self> {
        let signals: SigSet =
            [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
        signals.thread_block()?;
        let stop = Self::default();
        let told = stop.clone();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            if signals.wait().is_ok() {
                told.set();
            }
        })?;
        Ok(stop)
    }

    pub(super) fn is_set(&self) -> bool {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is set.
    pub(super) fn wait(&self) {
        let (set, changed) = &*self.0;
        let mut is_set = set.lock().unwrap_or_else(PoisonError::into_inner);
        while !*is_set {
            is_set = changed.wait(is_set).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn set(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }
}
