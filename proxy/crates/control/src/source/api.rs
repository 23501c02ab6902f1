//! Objects of the Kubernetes API, as they come.
use super::settle::{Pace, Settle};
use culvert_kubernetes::mirror::{Event, Mirror};
use std::{mem, time::Instant};
use tokio::time;

/// A burst is cut at this many events, so that it does not pile up.
const MOST: usize = 4096;

/// Listens to a mirror, and hands on what belongs together.
#[derive(Debug)]
pub(crate) struct Intake {
    mirror: Mirror,
    heard: Vec<Event>,
    settle: Settle<()>,
}

impl Intake {
    /// Listens to a mirror of [`followed`](super::kinds::followed).
    pub(crate) fn new(mirror: Mirror) -> Self {
        Self { mirror, heard: Vec::new(), settle: Settle::new(Pace::API) }
    }

    /// Waits until something changed and the change is over. After the drain it waits forever.
    ///
    /// Cancel safe.
    pub(crate) async fn changed(&mut self) -> Vec<Event> {
        loop {
            let room = MOST.saturating_sub(self.heard.len());
            if room == 0 {
                break;
            }
            let take = self.mirror.take(&mut self.heard, room);
            let is_open = match self.settle.deadline() {
                None => take.await,
                Some(deadline) => match time::timeout_at(deadline.into(), take).await {
                    Ok(is_open) => is_open,
                    Err(_) => break,
                },
            };
            if !is_open {
                std::future::pending::<()>().await;
            }
            self.settle.happened(Instant::now());
        }
        self.settle.settled();
        mem::take(&mut self.heard)
    }
}
