//! A clock that is set far more often than it rings.
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{self, Instant, Sleep};

/// Rings at its deadline.
///
/// The timer behind it is made when first waited for, and set anew only when it fires too early:
/// a deadline that moves with every request costs a look at the clock.
#[derive(Debug, Default)]
pub struct Alarm {
    deadline: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Rings after `wait` from now; never without one.
    pub fn set(&mut self, wait: Option<Duration>) {
        // A wait beyond all calendars is none.
        self.deadline = wait.and_then(|wait| Instant::now().checked_add(wait));
    }

    pub fn set_at(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Ready once the deadline is over; again and again until it is set anew.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(time::sleep_until(deadline)));
        if deadline < sleep.deadline() {
            sleep.as_mut().reset(deadline);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[tokio::test(start_paused = true)]
    async fn rings_at_the_deadline_that_was_set_last() {
        let start = Instant::now();
        let mut alarm = Alarm::default();
        alarm.set(Some(Duration::from_secs(1)));
        assert!(poll_fn(|cx| Poll::Ready(alarm.poll(cx))).await.is_pending());
        alarm.set(Some(Duration::from_secs(3)));
        poll_fn(|cx| alarm.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 3);
        alarm.set(Some(Duration::from_secs(10)));
        assert!(poll_fn(|cx| Poll::Ready(alarm.poll(cx))).await.is_pending());
        alarm.set(Some(Duration::from_secs(2)));
        poll_fn(|cx| alarm.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 5, "an earlier one is heard too");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_deadline_it_never_rings() {
        let mut alarm = Alarm::default();
        alarm.set(None);
        assert!(poll_fn(|cx| Poll::Ready(alarm.poll(cx))).await.is_pending());
        alarm.set(Some(Duration::MAX));
        assert!(poll_fn(|cx| Poll::Ready(alarm.poll(cx))).await.is_pending());
    }
}
