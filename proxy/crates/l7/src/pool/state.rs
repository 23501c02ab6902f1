//! Which connection a request gets, and what becomes of one that is free.
use super::{Options, Ready, Speaks, Told};
use crate::{dial::Protocol, h1, h2, share::Bound};
use std::{collections::VecDeque, sync::Arc};
use tokio::{sync::oneshot, time::Instant};

/// A connection of HTTP/1; moved often.
pub(super) type Kept = Box<h1::Client>;

/// The connections to one endpoint, and who waits for one.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Free ones of HTTP/1; the last was free last.
    pub(super) free: Vec<Kept>,
    /// Those of HTTP/2.
    pub(super) shared: Vec<Shared>,
    pub(super) waiting: VecDeque<oneshot::Sender<Told>>,
    /// All there are, whoever has them, and those being opened.
    pub(super) open: usize,
    pub(super) opening: usize,
    /// What the last handshake came to.
    pub(super) agreed: Option<Protocol>,
    pub(super) sweeping: bool,
    closed: bool,
}

/// A connection of HTTP/2.
#[derive(Debug)]
pub(super) struct Shared {
    client: h2::Client,
    /// Its streams.
    load: Arc<Bound>,
    /// How many it had.
    requests: u64,
    /// When it had none last.
    since: Instant,
}

impl Shared {
    pub(super) fn new(client: h2::Client) -> Self {
        let load = Arc::new(Bound::new(u64::MAX));
        Self { client, load, requests: 0, since: Instant::now() }
    }

    fn room(&self) -> u64 {
        (self.client.streams() as u64).saturating_sub(self.load.used())
    }

    /// Whether it takes no more requests.
    fn is_over(&mut self, options: &Options) -> bool {
        !self.client.is_usable()
            || options.requests.is_some_and(|most| most <= self.requests)
            || is_old(self.client.born(), options)
    }

    fn lend(&mut self) -> Ready {
        self.requests += 1;
        Ready::Two(self.client.clone(), self.load.take_anyway())
    }
}

impl State {
    /// A connection for a request, if there is one; `stale` are those that turned out to be none.
    ///
    /// They are not dropped here: a connection that ends asks the pool again.
    pub(super) fn take(&mut self, options: &Options, stale: &mut Vec<Kept>) -> Option<Ready> {
        if !self.shared.is_empty() {
            self.shared.retain_mut(|shared| !shared.is_over(options));
            let with_room = self.shared.iter_mut().filter(|shared| 0 < shared.room());
            if let Some(shared) = with_room.min_by_key(|shared| shared.load.used()) {
                return Some(shared.lend());
            }
        }
        while let Some(client) = self.free.pop() {
            if client.is_usable() && !is_old(client.born(), options) {
                return Some(Ready::One(client));
            }
            stale.push(client);
        }
        None
    }

    /// A connection is free again: for who waits longest, or for later; back when it is to be closed.
    pub(super) fn put_back(&mut self, ready: Ready, options: &Options) -> Option<Ready> {
        if let Ready::One(client) = &ready
            && (is_spent(client, options) || is_old(client.born(), options))
        {
            return Some(ready);
        }
        let Ready::One(client) = self.hand_over(ready)? else { return None };
        if self.closed {
            return Some(Ready::One(client));
        }
        self.free.push(client);
        None
    }

    /// Gives `ready` to who waits longest; back when nobody does.
    fn hand_over(&mut self, mut ready: Ready) -> Option<Ready> {
        while let Some(waiter) = self.waiting.pop_front() {
            match waiter.send(Ok(ready)) {
                // It has given up.
                Err(Ok(back)) => ready = back,
                Err(Err(_)) | Ok(()) => return None,
            }
        }
        Some(ready)
    }

    /// A connection of HTTP/2 was opened: for as many of those who wait as it takes.
    pub(super) fn share(&mut self, mut shared: Shared) {
        while 0 < shared.room() {
            let Some(waiter) = self.waiting.pop_front() else { break };
            // What nobody takes is given back as it is dropped.
            let _gone = waiter.send(Ok(shared.lend()));
        }
        if !self.closed {
            self.shared.push(shared);
        }
    }

    /// How many connections are to be opened for those who wait; `ahead`, also for those who will come.
    pub(super) fn wanted(&mut self, options: &Options, ahead: bool) -> usize {
        self.waiting.retain(|waiter| !waiter.is_closed());
        let each = match (options.protocol, self.agreed) {
            (Speaks::Http1, _) | (Speaks::Negotiated, Some(Protocol::Http1)) => 1,
            // One is enough to find out, or for all.
            (Speaks::Http2, _) | (Speaks::Negotiated, Some(Protocol::Http2) | None) => {
                options.h2.first_streams.max(1)
            }
        };
        let waiting = self.waiting.len();
        let now = waiting.div_ceil(each).saturating_sub(self.opening);
        if !ahead || options.ahead <= 1.0 {
            return now;
        }
        let streams: u64 = self.shared.iter().map(|shared| shared.load.used()).sum();
        // Of HTTP/1, every connection that is neither free nor being opened.
        let alone = self.open.saturating_sub(self.opening + self.free.len() + self.shared.len());
        let used = alone.saturating_add(usize::try_from(streams).unwrap_or(usize::MAX));
        let wanted = portion(waiting.saturating_add(used), options.ahead).div_ceil(each);
        now.max(wanted.saturating_sub(self.open))
    }

    /// Takes out what has been free for too long, or has ended.
    pub(super) fn expire(&mut self, options: &Options) -> (Vec<Kept>, Vec<Shared>) {
        let now = Instant::now();
        let idle = |since: Instant| options.idle.is_some_and(|idle| idle <= now - since);
        let (kept, old) = std::mem::take(&mut self.free).into_iter().partition(|client| {
            !idle(client.since()) && !is_old(client.born(), options) && client.is_usable()
        });
        self.free = kept;
        let (mut kept, mut over) = (Vec::new(), Vec::new());
        for mut shared in std::mem::take(&mut self.shared) {
            if shared.load.used() != 0 {
                shared.since = now;
            }
            let ends = shared.is_over(options) || idle(shared.since);
            if ends { over.push(shared) } else { kept.push(shared) }
        }
        self.shared = kept;
        (old, over)
    }

    /// Nothing is kept from now on.
    pub(super) fn close(&mut self) -> (Vec<Kept>, Vec<Shared>) {
        self.closed = true;
        (std::mem::take(&mut self.free), std::mem::take(&mut self.shared))
    }
}

/// So many times a ratio, rounded up.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "connections of one endpoint, times a small number"
)]
fn portion(count: usize, ratio: f64) -> usize {
    (count as f64 * ratio).ceil() as usize
}

/// Whether it has had as many requests as it may.
pub(super) fn is_spent(client: &h1::Client, options: &Options) -> bool {
    options.requests.is_some_and(|most| most <= client.requests())
}

pub(super) fn is_old(born: Instant, options: &Options) -> bool {
    options.age.is_some_and(|age| age <= born.elapsed())
}
