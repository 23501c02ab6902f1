//! The notice to stop, without asking for it at every turn.
use culvert_runtime::drain::Worker;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

/// Whether the drain has begun; asked by a connection at every turn.
///
/// What all connections of a process would ask has one lock, so it is polled only when it has
/// something to say.
pub(crate) struct Finishing {
    notice: Pin<Box<dyn Future<Output = ()> + Send>>,
    flag: Option<Arc<Flag>>,
    finishing: bool,
}

/// Set when the notice came.
struct Flag {
    woken: AtomicBool,
    task: Waker,
}

impl Finishing {
    pub(crate) fn new(worker: &Worker) -> Self {
        let worker = worker.clone();
        let notice = Box::pin(async move { worker.finishing().await });
        Self { notice, flag: None, finishing: false }
    }

    /// Whether it is time to end; wakes the task of `cx` when it comes. The task stays the same.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> bool {
        if self.finishing {
            return true;
        }
        let flag = self.flag.get_or_insert_with(|| {
            Arc::new(Flag { woken: AtomicBool::new(true), task: cx.waker().clone() })
        });
        // A look costs less than a swap, and there is seldom something to see.
        if flag.woken.load(Ordering::Acquire) && flag.woken.swap(false, Ordering::AcqRel) {
            let waker = Waker::from(Arc::clone(flag));
            let notice = self.notice.as_mut().poll(&mut Context::from_waker(&waker));
            self.finishing = matches!(notice, Poll::Ready(()));
        }
        self.finishing
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

impl fmt::Debug for Finishing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Finishing").field(&self.finishing).finish()
    }
}
