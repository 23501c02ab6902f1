//! Who owns a task, and how it ends.
//!
//! One [`Drain`] per process, one [`Worker`] per component, one [`Scope`] per thing whose tasks
//! end before the process does, such as a pod.
//! A task is asked to finish, given until the deadline, then dropped at its next `.await`.
use crate::notice::Notice;
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{runtime::Handle, time};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};
use tracing::Instrument as _;

/// Ends every task the process started.
///
/// Dropped without [`drain`](Self::drain) it ends them at once.
#[derive(Debug)]
pub struct Drain(Scope);

/// Ends the tasks of one part of the process; they also end with the part it was made from.
///
/// Dropped without [`end`](Self::end) it ends them at once.
#[derive(Debug)]
pub struct Scope(Worker);

/// The right to start tasks, and the notice to stop.
#[derive(Clone, Debug)]
pub struct Worker {
    finish: CancellationToken,
    kill: CancellationToken,
    tasks: TaskTracker,
    /// Trackers of the scopes around this one, which wait for its tasks too.
    outer: Vec<TaskTracker>,
}

/// How a drain went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every task ended by itself.
    Clean,
    /// This many were still running at the deadline and were dropped.
    Forced(usize),
}

impl Default for Drain {
    fn default() -> Self {
        Self(Scope(Worker {
            finish: CancellationToken::new(),
            kill: CancellationToken::new(),
            tasks: TaskTracker::new(),
            outer: Vec::new(),
        }))
    }
}

impl Drain {
    pub fn worker(&self) -> Worker {
        self.0.worker()
    }

    /// Asks every task to finish and waits for them, at most `deadline`.
    ///
    /// Not cancel safe: dropped half-way, it ends them at once.
    pub async fn drain(self, deadline: Duration) -> Drained {
        self.0.end(deadline).await
    }
}

impl Scope {
    pub fn worker(&self) -> Worker {
        self.0.clone()
    }

    /// Asks the scope's tasks to finish and waits for them, at most `deadline`.
    ///
    /// Returns at the latest when every task had its chance to be dropped: a task that blocks its
    /// thread is waited for beyond the deadline.
    /// Not cancel safe: dropped half-way, it ends them at once.
    pub async fn end(self, deadline: Duration) -> Drained {
        let Worker { finish, kill, tasks, outer: _ } = &self.0;
        finish.cancel();
        tasks.close();
        if time::timeout(deadline, tasks.wait()).await.is_ok() {
            return Drained::Clean;
        }
        let left = tasks.len();
        kill.cancel();
        tasks.wait().await;
        Drained::Forced(left)
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        // Also after a clean end: what is started from now on has nobody to wait for it.
        self.0.finish.cancel();
        self.0.kill.cancel();
    }
}

impl Worker {
    /// Starts `task` on this runtime, in the current span; the drain will wait for it.
    ///
    /// After the end of the scope nothing is started any more: the task is dropped unpolled.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(self.owned(task));
    }

    /// The same, but `task` is dropped when the drain begins: for what has nothing to finish.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn spawn_until_finish(&self, task: impl Future<Output = ()> + Send + 'static) {
        let finish = self.finish.clone();
        self.spawn(async move {
            finish.run_until_cancelled_owned(task).await.unwrap_or_default();
        });
    }

    /// Starts `task` on another runtime; otherwise like [`spawn`](Self::spawn).
    pub fn spawn_on(&self, runtime: &Handle, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(self.owned(task), runtime);
    }

    /// A part of this worker's tasks that can be ended alone.
    #[must_use = "the scope ends its tasks when dropped"]
    pub fn scope(&self) -> Scope {
        let mut outer = self.outer.clone();
        outer.push(self.tasks.clone());
        Scope(Self {
            finish: self.finish.child_token(),
            kill: self.kill.child_token(),
            tasks: TaskTracker::new(),
            outer,
        })
    }

    /// Resolves when the drain begins: stop accepting, finish what is in flight.
    ///
    /// Cancel safe.
    pub async fn finishing(&self) {
        self.finish.cancelled().await;
    }

    /// Whether the drain has begun.
    pub fn is_finishing(&self) -> bool {
        self.finish.is_cancelled()
    }

    /// The same as [`finishing`](Self::finishing), for who asks at every turn.
    pub fn notice(&self) -> Notice {
        Notice::new(self.finish.clone().cancelled_owned())
    }

    /// `task` as every scope around it wants it: counted, and dropped when they are ended by force.
    fn owned(
        &self,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let owned = Owned {
            task: Box::pin(task),
            killed: Notice::new(self.kill.clone().cancelled_owned()),
            begun: false,
            _held: self.outer.iter().map(TaskTracker::token).collect(),
        };
        owned.in_current_span()
    }
}

/// A task, until it ends or is ended.
///
/// In memory once: each function that takes a future along would have room for one more.
struct Owned<F> {
    task: Pin<Box<F>>,
    killed: Notice,
    begun: bool,
    /// Given back only after the task's own values are dropped.
    _held: Vec<TaskTrackerToken>,
}

impl<F: Future<Output = ()>> Future for Owned<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { task, killed, begun, .. } = self.get_mut();
        // What is ended before it began is not begun.
        if !std::mem::replace(begun, true) && killed.poll(cx) {
            return Poll::Ready(());
        }
        if task.as_mut().poll(cx).is_ready() || killed.poll(cx) {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::pending, sync::Arc};
    use tokio::{
        sync::{Notify, oneshot},
        time::Instant,
    };

    const SOON: Duration = Duration::from_secs(5);

    fn waits_for_finish(worker: &Worker) {
        let own = worker.clone();
        worker.spawn(async move { own.finishing().await });
    }

    #[tokio::test(start_paused = true)]
    async fn waits_for_tasks_that_finish() {
        let drain = Drain::default();
        waits_for_finish(&drain.worker());
        assert_eq!(drain.drain(SOON).await, Drained::Clean);
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_nothing_to_finish_is_dropped_when_the_drain_begins() {
        let drain = Drain::default();
        drain.worker().spawn_until_finish(pending());
        let began = Instant::now();
        assert_eq!(drain.drain(SOON).await, Drained::Clean);
        assert!(began.elapsed().is_zero());
    }

    #[tokio::test(start_paused = true)]
    async fn drops_the_rest_at_the_deadline_and_says_how_many() {
        let drain = Drain::default();
        let worker = drain.worker();
        waits_for_finish(&worker);
        let (tx, rx) = oneshot::channel::<()>();
        worker.spawn(async move {
            let _held = tx;
            pending::<()>().await;
        });
        worker.spawn(pending());
        assert_eq!(drain.drain(SOON).await, Drained::Forced(2));
        assert!(rx.await.is_err(), "the task's values are dropped");
    }

    #[tokio::test(start_paused = true)]
    async fn a_scope_ends_alone() {
        let drain = Drain::default();
        let worker = drain.worker();
        let (pod, other) = (worker.scope(), worker.scope());
        waits_for_finish(&pod.worker());
        waits_for_finish(&other.worker());
        assert_eq!(pod.end(SOON).await, Drained::Clean);
        assert!(!worker.is_finishing());
        assert!(!other.worker().is_finishing());
        assert_eq!(drain.drain(SOON).await, Drained::Clean);
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_asks_waits_for_and_ends_the_tasks_of_inner_scopes() {
        let drain = Drain::default();
        let inner = drain.worker().scope().worker();
        assert!(inner.is_finishing(), "a dropped scope is over");

        let outer_scope = drain.worker().scope();
        let inner_scope = outer_scope.worker().scope();
        waits_for_finish(&inner_scope.worker());
        inner_scope.worker().spawn(pending());
        assert_eq!(drain.drain(SOON).await, Drained::Forced(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_scope_ends_its_tasks_at_once() {
        let drain = Drain::default();
        let scope = drain.worker().scope();
        let (tx, rx) = oneshot::channel::<()>();
        scope.worker().spawn(async move {
            let _held = tx;
            pending::<()>().await;
        });
        drop(scope);
        assert!(rx.await.is_err());
        assert_eq!(drain.drain(SOON).await, Drained::Clean);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_starts_after_the_end() {
        let drain = Drain::default();
        let worker = drain.worker();
        assert_eq!(drain.drain(SOON).await, Drained::Clean);
        let (tx, rx) = oneshot::channel();
        worker.spawn(async move { tx.send(()).unwrap_or_default() });
        assert!(rx.await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_costs_only_its_task() {
        let drain = Drain::default();
        let worker = drain.worker();
        worker.spawn(async { panic!("on purpose") });
        waits_for_finish(&worker);
        assert_eq!(drain.drain(SOON).await, Drained::Clean);
    }

    #[test]
    fn runs_on_another_runtime_and_is_waited_for() {
        let other = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let drain = Drain::default();
        let (done, worker) = (Arc::new(Notify::new()), drain.worker());
        let (told, own) = (Arc::clone(&done), worker.clone());
        worker.spawn_on(other.handle(), async move {
            own.finishing().await;
            told.notify_one();
        });
        let here = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        here.block_on(async {
            assert_eq!(drain.drain(Duration::from_secs(60)).await, Drained::Clean);
            done.notified().await;
        });
    }
}
