//! What goes wrong in a connection stays in it.
use crate::shared::Shared;
use std::{
    any::Any,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    task::Poll,
};

/// Runs `future` to its end; `None`: it panicked, which is counted and logged.
///
/// What it works with must be fit to be dropped half-way, as everything is that a task owns.
pub(crate) fn guarded<'a, F: Future + Send + 'a>(
    shared: &'a Shared,
    what: &'a str,
    future: F,
) -> impl Future<Output = Option<F::Output>> + Send + 'a
where
    F::Output: Send,
{
    // In a place of its own, and not once more in that of whoever waits.
    let mut future = Box::pin(future);
    async move {
        let polled =
            poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
                Err(panic) => Poll::Ready(Err(panic)),
            });
        match polled.await {
            Ok(output) => Some(output),
            Err(panic) => {
                shared.panicked();
                tracing::error!(message = said(&*panic), "{what} panicked");
                None
            }
        }
    }
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word")
}
