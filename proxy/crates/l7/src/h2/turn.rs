//! When a connection has its turn.
use std::{
    future::poll_fn,
    task::{Context, Poll},
};
use tokio::task;

/// Polls the work of a connection, at each wake-up after everything else that is ready.
///
/// What its streams have to say by then goes out with one system call; without this the first of
/// them would wake it, and it would write for each alone.
pub(super) async fn last<T>(mut work: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    loop {
        task::yield_now().await;
        let mut worked = false;
        let done = poll_fn(|cx| {
            if std::mem::replace(&mut worked, true) {
                return Poll::Ready(None);
            }
            work(cx).map(Some)
        });
        if let Some(done) = done.await {
            return done;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        cell::{Cell, RefCell},
        task::Waker,
    };
    use tokio::task::LocalSet;

    /// Has something to say, and wakes the connection.
    async fn says(seen: &Cell<u32>, woken: &RefCell<Option<Waker>>) {
        seen.set(seen.get() + 1);
        woken.borrow().iter().for_each(Waker::wake_by_ref);
    }

    #[tokio::test]
    async fn comes_after_all_who_are_ready_whoever_of_them_wakes_it() {
        let (woken, seen) = (RefCell::new(None::<Waker>), Cell::new(0));
        let (woken, seen) = (&*Box::leak(Box::new(woken)), &*Box::leak(Box::new(seen)));
        let polls = &*Box::leak(Box::new(Cell::new(0)));
        let all = LocalSet::new();
        let work = all.spawn_local(last(move |cx| {
            polls.set(polls.get() + 1);
            *woken.borrow_mut() = Some(cx.waker().clone());
            if seen.get() == 8 { Poll::Ready(()) } else { Poll::Pending }
        }));
        all.run_until(async {
            while woken.borrow().is_none() {
                task::yield_now().await;
            }
            for _ in 0..8 {
                task::spawn_local(says(seen, woken));
            }
            work.await.unwrap();
        })
        .await;
        assert_eq!(polls.get(), 2, "once to wait, and once for all eight");
    }
}
