//! The links under one key.
use super::super::{
    client::{Carrier, OpenTunnelError},
    link::{LinkEnd, Place},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};

/// How long after a failure no second link is made; the first is made whenever it is needed.
const RECOVERY: Duration = Duration::from_secs(10);

/// So many links there may be of one target whatever they carry.
const LINKS_FEW: usize = 64;

/// So many tunnels a link carries on average where there are more of them. A peer that lets nearly
/// none into a link would have us make one after the other.
const STREAMS_FEW: usize = 8;

type Outcome = Option<Result<(), OpenTunnelError>>;

#[derive(Debug, Default)]
pub(super) struct Slot {
    carriers: Vec<Arc<Carrier>>,
    /// The one that is being made. When its maker is gone without a word, there is none.
    coming: Option<watch::Receiver<Outcome>>,
    failed: Option<Instant>,
}

/// What to do to have a place.
#[derive(Debug)]
pub(super) enum Pick {
    /// Use this one; and make another one, for all are busy.
    Use {
        carrier: Arc<Carrier>,
        place: Place,
        more: Option<Made>,
    },
    Wait(Waiting),
    Make(Made, Waiting),
    /// There are too many already that the peer lets nothing into.
    Crowded,
}

/// The duty to make a link and to tell what came of it.
#[derive(Debug)]
pub(super) struct Made(watch::Sender<Outcome>);

/// A link that somebody makes.
#[derive(Debug)]
pub(super) struct Waiting(watch::Receiver<Outcome>);

impl Slot {
    pub(super) fn pick(&mut self, workers: usize) -> Pick {
        self.carriers.retain(|carrier| carrier.link.end().is_none());
        let free = self.carriers.iter().filter(|carrier| carrier.has_room());
        let Some(carrier) = free.min_by_key(|carrier| carrier.link.streams()).map(Arc::clone)
        else {
            return match self.coming() {
                Some(coming) => Pick::Wait(Waiting(coming)),
                None if self.is_crowded() => Pick::Crowded,
                None => {
                    let (made, coming) = self.make();
                    Pick::Make(made, Waiting(coming))
                }
            };
        };
        let busy = 0 < carrier.link.streams();
        let recovers = self.failed.is_some_and(|failed| failed.elapsed() < RECOVERY);
        let more = busy && !recovers && self.carriers.len() < workers && self.coming().is_none();
        let more = more.then(|| self.make().0);
        let place = carrier.link.enter();
        Pick::Use { carrier, place, more }
    }

    fn is_crowded(&self) -> bool {
        let streams = self.carriers.iter().map(|carrier| carrier.link.streams() as usize).sum();
        is_crowded(self.carriers.len(), streams)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.carriers.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.carriers.is_empty() && self.coming.is_none()
    }

    pub(super) fn insert(&mut self, carrier: Arc<Carrier>) {
        self.coming = None;
        self.failed = None;
        self.carriers.push(carrier);
    }

    pub(super) fn failed(&mut self) {
        self.coming = None;
        self.failed = Some(Instant::now());
    }

    pub(super) fn remove(&mut self, carrier: &Arc<Carrier>) {
        self.carriers.retain(|one| !Arc::ptr_eq(one, carrier));
    }

    /// Whether it is this one that is waited for: the slot may be a newer one.
    pub(super) fn waits_for(&self, made: &Made) -> bool {
        self.coming.as_ref().is_some_and(|coming| coming.same_channel(&made.0.subscribe()))
    }

    /// Ends those of which `judge` says why.
    pub(super) fn kill_some(&mut self, judge: impl Fn(&Carrier) -> Option<LinkEnd>) {
        self.carriers.retain(|carrier| match judge(carrier) {
            Some(end) => {
                carrier.link.kill(end);
                false
            }
            None => true,
        });
    }

    pub(super) fn kill(mut self, why: impl Fn() -> LinkEnd) {
        self.kill_some(|_| Some(why()));
    }

    pub(super) fn retire(self) {
        self.carriers.iter().for_each(|carrier| carrier.retire());
    }

    fn make(&mut self) -> (Made, watch::Receiver<Outcome>) {
        let (made, coming) = watch::channel(None);
        self.coming = Some(coming.clone());
        (Made(made), coming)
    }

    fn coming(&mut self) -> Option<watch::Receiver<Outcome>> {
        // Closed: its maker was dropped by force.
        self.coming.take_if(|coming| coming.has_changed().is_err());
        self.coming.clone()
    }
}

impl Made {
    pub(super) fn tell(self, outcome: Result<(), OpenTunnelError>) {
        self.0.send_replace(Some(outcome));
    }
}

impl Waiting {
    /// What came of it.
    pub(super) async fn outcome(mut self) -> Result<(), OpenTunnelError> {
        match self.0.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Ok(())),
            Err(_dropped) => Err(OpenTunnelError::Draining),
        }
    }
}

/// Whether `links` that are all full are too many for what they carry.
const fn is_crowded(links: usize, streams: usize) -> bool {
    LINKS_FEW <= links && streams < links.saturating_mul(STREAMS_FEW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_lets_nothing_in_has_a_bounded_number_of_links() {
        let made = |most: usize| (0..1000).find(|links| is_crowded(*links, links * most));
        assert_eq!((made(0), made(1), made(7)), (Some(64), Some(64), Some(64)));
        assert_eq!((made(8), made(100), made(200)), (None, None, None));
    }
}
