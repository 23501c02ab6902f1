//! The only way to change the kernel's side of a pod, which can be shut.
//!
//! While a newer generation takes over, nothing may be changed: shutting the gate waits for what is
//! under way and keeps the rest waiting.
use culvert_kernel::Node;
use culvert_runtime::drain::Worker;
use parking_lot::Mutex;
use std::{fmt, future::pending, panic, sync::Arc};
use tokio::{
    sync::{OwnedRwLockWriteGuard, RwLock, Semaphore, watch},
    task,
};

/// How many pods are changed at once: more would only wait for the kernel's own locks, each on a
/// thread of its own.
const AT_ONCE: usize = 8;

/// The kernel, for one change at a time per pod.
pub(crate) struct Gate {
    kernel: Arc<Node>,
    /// Held for reading by each change under way.
    open: Arc<RwLock<()>>,
    shut: Mutex<Option<OwnedRwLockWriteGuard<()>>>,
    /// Told when it opens again.
    reopened: watch::Sender<()>,
    width: Arc<Semaphore>,
    /// The process's.
    worker: Worker,
}

impl Gate {
    pub(crate) fn new(kernel: Arc<Node>, worker: Worker) -> Self {
        Self {
            kernel,
            open: Arc::default(),
            shut: Mutex::new(None),
            reopened: watch::Sender::default(),
            width: Arc::new(Semaphore::new(AT_ONCE)),
            worker,
        }
    }

    /// Does `change` on a thread that may block, once the gate is open; `None` when the process
    /// finishes before it opens.
    ///
    /// Cancelled while it waits, nothing was done; later, `change` is done and its result dropped.
    pub(crate) async fn pass<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Node) -> T + Send + 'static,
    ) -> Option<T> {
        let enter = async {
            let place = Arc::clone(&self.width).acquire_owned().await;
            (Arc::clone(&self.open).read_owned().await, place)
        };
        let pass = tokio::select! {
            // An open gate lets through what cleans up at the end.
            biased;
            pass = enter => pass,
            () = self.worker.finishing() => return None,
        };
        let kernel = Arc::clone(&self.kernel);
        let done = task::spawn_blocking(move || {
            let done = change(&kernel);
            // Not before: the caller may have been cancelled, the change goes on.
            drop(pass);
            done
        });
        match done.await.map_err(|error| error.try_into_panic()) {
            Ok(done) => Some(done),
            Err(Ok(panicked)) => panic::resume_unwind(panicked),
            // The runtime is being torn down, and this task with it.
            Err(Err(_)) => pending().await,
        }
    }

    /// Shuts the gate, if it is open; nothing is under way when this returns.
    pub(crate) async fn shut(&self) {
        if self.shut.lock().is_some() {
            return;
        }
        let guard = Arc::clone(&self.open).write_owned().await;
        *self.shut.lock() = Some(guard);
    }

    /// Opens it again.
    pub(crate) fn open(&self) {
        let shut = self.shut.lock().take();
        if shut.is_some() {
            drop(shut);
            self.reopened.send_replace(());
        }
    }

    /// Changes each time it is opened again.
    pub(crate) fn reopened(&self) -> watch::Receiver<()> {
        self.reopened.subscribe()
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("shut", &self.shut.lock().is_some()).finish_non_exhaustive()
    }
}
