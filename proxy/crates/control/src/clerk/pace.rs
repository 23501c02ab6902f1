//! How fast is written: a few at once, then steadily, whatever happens.
use std::time::Duration;
use tokio::time::{self, Instant};

/// Requests that may come at once.
const BURST: u32 = 20;

/// Between two when there were many.
const EACH: Duration = Duration::from_millis(100);

/// One request after the other.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When all that was let through would have been, one by one.
    done: Option<Instant>,
}

impl Pace {
    /// Waits until the next may be made.
    ///
    /// Cancel safe.
    pub(super) async fn wait(&mut self) {
        let now = Instant::now();
        let done = self.done.map_or(now, |done| done.max(now));
        let free = done.checked_sub(EACH * (BURST - 1)).unwrap_or(now);
        if free > now {
            time::sleep_until(free).await;
        }
        self.done = Some(done.max(Instant::now()) + EACH);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn some_at_once_and_then_one_by_one() {
        let (mut pace, begun) = (Pace::default(), Instant::now());
        for _ in 0..BURST {
            pace.wait().await;
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        for _ in 0..10 {
            pace.wait().await;
        }
        let took = begun.elapsed();
        assert!((EACH * 9..=EACH * 11).contains(&took), "{took:?}");
        // Rest is made up for.
        time::sleep(EACH * BURST).await;
        let again = Instant::now();
        for _ in 0..BURST {
            pace.wait().await;
        }
        assert_eq!(again.elapsed(), Duration::ZERO);
    }
}
