//! Something that comes once, for who looks at every turn whether it did.
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

/// Whether something has come; asked by a task at each of its turns.
///
/// What all tasks of a process would ask has one lock, so it is polled only when it has something
/// to say: a look costs one read of memory.
pub struct Notice {
    comes: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
    flag: Option<Arc<Flag>>,
    came: bool,
}

/// Set when the notice came.
struct Flag {
    woken: AtomicBool,
    task: Waker,
}

impl Notice {
    pub fn new(comes: impl Future<Output = ()> + Send + Sync + 'static) -> Self {
        Self { comes: Box::pin(comes), flag: None, came: false }
    }

    /// Whether it has come; wakes the task of `cx` when it does. The task stays the same.
    pub fn poll(&mut self, cx: &Context<'_>) -> bool {
        if self.came {
            return true;
        }
        let flag = self.flag.get_or_insert_with(|| {
            Arc::new(Flag { woken: AtomicBool::new(true), task: cx.waker().clone() })
        });
        // A look costs less than a swap, and there is seldom something to see.
        if flag.woken.load(Ordering::Acquire) && flag.woken.swap(false, Ordering::AcqRel) {
            let waker = Waker::from(Arc::clone(flag));
            let came = self.comes.as_mut().poll(&mut Context::from_waker(&waker));
            self.came = matches!(came, Poll::Ready(()));
        }
        self.came
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

impl fmt::Debug for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Notice").field(&self.came).finish()
    }
}
