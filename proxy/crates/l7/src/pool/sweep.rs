//! Connections that nobody uses end after a while, and those that the other side closed are let go.
use super::{Inner, Numbers, state::is_old};
use std::{sync::Weak, time::Duration};
use tokio::time;

/// How often is looked: a fraction of how long a connection may be idle, within these.
const OFTEN: Duration = Duration::from_millis(50);
const SELDOM: Duration = Duration::from_secs(5);

impl Inner {
    /// Sees to it that somebody looks, as long as there is something to look at.
    pub(super) fn sweep_later(&self) {
        {
            let mut state = self.state.lock();
            let empty = state.free.is_empty() && state.shared.is_empty();
            if state.sweeping || empty {
                return;
            }
            state.sweeping = true;
        }
        let every = self.options.idle.unwrap_or(SELDOM) / 4;
        let (pool, every) = (Weak::clone(&self.me), every.clamp(OFTEN, SELDOM));
        self.worker.spawn_until_finish(sweep(pool, every));
    }
}

/// Looks again and again, until nothing is kept or the pool is gone.
async fn sweep(pool: Weak<Inner>, every: Duration) {
    loop {
        time::sleep(every).await;
        let Some(pool) = pool.upgrade() else { return };
        let (old, over, goes_on) = {
            let mut state = pool.state.lock();
            let (old, over) = state.expire(&pool.options);
            let goes_on = !state.free.is_empty() || !state.shared.is_empty();
            state.sweeping = goes_on;
            (old, over, goes_on)
        };
        for client in old.iter().filter(|client| client.is_usable()) {
            let idle = !is_old(client.born(), &pool.options);
            pool.count(if idle { Numbers::idle } else { Numbers::old });
        }
        // Closing gives back slots, which asks the pool again.
        drop((old, over));
        if !goes_on {
            return;
        }
    }
}
