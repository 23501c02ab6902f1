//! What clusters still wait for before they are ready: first checks, first addresses of names.
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::Notify;

/// How much is waited for.
#[derive(Debug, Default)]
pub(super) struct Warming {
    cold: AtomicUsize,
    warm: Notify,
}

/// Something is not known yet; it is when this is dropped.
#[derive(Debug)]
pub(super) struct Cold(Arc<Warming>);

impl Warming {
    pub(super) fn cold(self: &Arc<Self>) -> Cold {
        self.cold.fetch_add(1, Ordering::AcqRel);
        Cold(Arc::clone(self))
    }

    /// Waits until nothing is cold. Cancel safe.
    pub(super) async fn warm(&self) {
        loop {
            let mut told = std::pin::pin!(self.warm.notified());
            told.as_mut().enable();
            if self.cold.load(Ordering::Acquire) == 0 {
                return;
            }
            told.await;
        }
    }
}

impl Drop for Cold {
    fn drop(&mut self) {
        if self.0.cold.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.warm.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_warm_when_the_last_is_known() {
        let warming = Arc::new(Warming::default());
        warming.warm().await;
        let (one, two) = (warming.cold(), warming.cold());
        let (waits, all) = (Arc::clone(&warming), async { drop((one, two)) });
        tokio::join!(waits.warm(), all);
    }
}
