//! Waiting for a moment that may not be set.
use std::future::pending;
use tokio::time::{self, Instant};

/// Resolves then; never, when there is no such moment.
///
/// Cancel safe.
pub async fn at(moment: Option<impl Into<Instant>>) {
    match moment {
        Some(moment) => time::sleep_until(moment.into()).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn rings_when_it_is_set_and_not_without() {
        let began = Instant::now();
        let soon = Duration::from_secs(3);
        tokio::select! {
            () = at(None::<Instant>) => panic!("nobody set it"),
            () = at(Some((began + soon).into_std())) => {}
        }
        assert_eq!(began.elapsed(), soon);
    }
}
