//! New connections.
use super::{Inner, Numbers, Ready, Speaks, state::Shared};
use crate::{
    dial::{DialError, Dialled, Protocol},
    h1, h2,
    outcome::Reset,
    share::Share,
};
use std::sync::{Arc, Weak};
use tokio::time::{self, Instant};

/// A connection as it counts: for the endpoint and for the cluster.
pub(super) struct Slot {
    pool: Weak<Inner>,
    /// Given back before somebody else asks for it.
    share: Option<Share>,
    began: Instant,
    numbers: Option<Arc<Numbers>>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        drop(self.share.take());
        if let Some(numbers) = &self.numbers {
            numbers.ended(self.began.elapsed());
        }
        if let Some(pool) = self.pool.upgrade() {
            pool.state.lock().open -= 1;
            // Somebody may have waited for just this.
            pool.open_more(false);
        }
    }
}

impl Inner {
    /// Opens as many connections as those who wait need and the cluster may have; `ahead`, also those
    /// that are kept ready. Only requests ask for these: an endpoint that refuses them is left alone.
    pub(super) fn open_more(&self, ahead: bool) {
        while let Some(slot) = self.next_slot(ahead) {
            let Some(pool) = self.me.upgrade() else { return };
            self.worker.spawn(async move { pool.open(slot).await });
        }
    }

    fn next_slot(&self, ahead: bool) -> Option<Slot> {
        let mut state = self.state.lock();
        if state.wanted(&self.options, ahead) == 0 {
            return None;
        }
        if self.options.most.is_some_and(|most| 0 < state.open && most <= state.open) {
            self.count(Numbers::overflows);
            return None;
        }
        // The first of an endpoint is always allowed: who waits for it would wait for ever.
        let share = match self.breakers.connections.take() {
            None if state.open == 0 => self.breakers.connections.take_anyway(),
            None => {
                self.count(Numbers::overflows);
                return None;
            }
            Some(share) => share,
        };
        state.open += 1;
        state.opening += 1;
        self.count(Numbers::opens);
        let (share, numbers) = (Some(share), self.breakers.numbers.clone());
        Some(Slot { pool: Weak::clone(&self.me), share, began: Instant::now(), numbers })
    }

    async fn open(&self, slot: Slot) {
        let dialled = match time::timeout(self.options.connect, self.dial.dial()).await {
            Ok(Ok(dialled)) => dialled,
            Ok(Err(DialError(why))) => {
                return self.failed(slot, Reset::ConnectionFailure, Some(&why.into()));
            }
            Err(_late) => return self.failed(slot, Reset::ConnectionTimeout, None),
        };
        let Dialled { io, protocol, link } = dialled;
        let link = Arc::new(link);
        let began = slot.began;
        let speaks = match self.options.protocol {
            Speaks::Http1 => Protocol::Http1,
            Speaks::Http2 => Protocol::Http2,
            Speaks::Negotiated => protocol.unwrap_or(Protocol::Http1),
        };
        match speaks {
            Protocol::Http1 => {
                let client = h1::Client::new(io, self.options.h1).holding(Box::new(slot)).by(link);
                self.opened(speaks, began);
                self.put_back(Ready::One(Box::new(client)));
                self.open_more(false);
            }
            Protocol::Http2 => match h2::connect(io, &self.options.h2, Some(link)).await {
                Err(_) => self.failed(slot, Reset::ConnectionFailure, None),
                Ok((client, drive)) => {
                    self.worker.spawn(async move {
                        drive.await;
                        drop(slot);
                    });
                    self.opened(speaks, began);
                    self.state.lock().share(Shared::new(client));
                    self.open_more(false);
                    self.sweep_later();
                }
            },
        }
    }

    fn opened(&self, speaks: Protocol, began: Instant) {
        self.count(|numbers| numbers.opened(Some(speaks), began.elapsed()));
        let mut state = self.state.lock();
        state.opening -= 1;
        state.agreed = Some(speaks);
    }

    /// Tells all who wait, as an endpoint that cannot be reached will not be reached by trying for
    /// each of them.
    fn failed(&self, slot: Slot, reset: Reset, why: Option<&Arc<str>>) {
        let waiting = {
            let mut state = self.state.lock();
            state.opening -= 1;
            std::mem::take(&mut state.waiting)
        };
        let late = reset == Reset::ConnectionTimeout;
        self.count(|numbers| numbers.failed(late, waiting.len()));
        for waiter in waiting {
            // Who has given up needs not know.
            let _gone = waiter.send(Err((reset, why.cloned())));
        }
        drop(slot);
    }
}
