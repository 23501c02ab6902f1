//! The control plane serves Envoy's discovery: one task for each stream, of either protocol.
use super::{
    Answer,
    door::Peer,
    followers::{Followers, Listed, Whose},
    line::{self, Line},
};
use crate::envoy::serve::{channel::Channel, offer::Offer, session::Session};
use culvert_proto::envoy::config::core::v3::Node;
use culvert_runtime::{
    alarm,
    drain::Worker,
    publish::{Generation, Published, View},
};
use std::{any::Any, fmt, sync::Arc, time::Duration};
use tokio::time::Instant;
use tonic::{Status, async_trait};

/// For so long what needs something else waits until that was accepted.
const PATIENCE: Duration = Duration::from_secs(5);

/// Knows who may be told what.
#[async_trait]
pub trait Desk: fmt::Debug + Send + Sync + 'static {
    /// # Errors
    ///
    /// When the caller may be told nothing; the status says why.
    async fn admit(&self, caller: &Client<'_>) -> Result<Seat, Status>;
}

/// Who asks.
#[derive(Debug)]
pub struct Client<'a> {
    pub peer: &'a Peer,
    /// Of the call's metadata.
    pub bearer: Option<&'a str>,
    pub node: &'a Node,
}

/// What a caller is let in with.
pub struct Seat {
    pub whose: Whose,
    /// What it is told; nothing in the first generation.
    pub offer: View<Offer>,
    /// Resolves when what it proved is good no longer, and says why: then the stream ends.
    pub lapsed: Answer<'static, Status>,
    /// Held as long as it listens.
    pub hold: Box<dyn Any + Send>,
}

/// The service.
#[derive(Clone, Debug)]
pub struct Engines {
    desk: Arc<dyn Desk>,
    followers: Followers,
    /// Who answers.
    from: Arc<str>,
    worker: Worker,
}

/// One stream that was let in.
struct Stream<'a, C: Channel> {
    engines: &'a Engines,
    line: &'a mut Line<C>,
    session: Session<C>,
    listed: Listed,
    /// What is held up goes out then.
    at_once: Option<Instant>,
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("whose", &self.whose).finish_non_exhaustive()
    }
}

impl Engines {
    /// Serves what `desk` gives; responses say that they are `from` there.
    pub fn new(
        desk: Arc<dyn Desk>,
        followers: Followers,
        from: impl Into<Arc<str>>,
        worker: Worker,
    ) -> Self {
        Self { desk, followers, from: from.into(), worker }
    }

    /// Serves a stream until it ends, whose first request was not read so far.
    pub(super) async fn serve<C: Channel>(&self, mut line: Line<C>) {
        let served = match line.first().await {
            Ok(Some(first)) => self.follow(&mut line, first).await,
            Ok(None) => Ok(()),
            Err(broken) => Err(broken),
        };
        line.end(served).await;
    }

    /// The same, with the first request.
    pub(super) async fn follow<C: Channel>(
        &self,
        line: &mut Line<C>,
        first: C::Request,
    ) -> Result<(), Status> {
        let node = line::named(C::head(&first).node)?;
        let caller = Client { peer: &line.peer, bearer: line.bearer.as_deref(), node };
        let seat = self.desk.admit(&caller).await?;
        line.peer.standing.admit();
        let (standing, peer) = (line.peer.standing.clone(), line.peer.clone());
        let Seat { whose, offer, lapsed, hold: _hold } = seat;
        let listed = self.followers.enter(whose, peer, C::PROTOCOL);
        let session = Session::default();
        let mut stream = Stream { engines: self, line, session, listed, at_once: None };
        tokio::select! {
            served = stream.run(first, offer) => served,
            why = lapsed => {
                standing.lapse();
                Err(why)
            }
        }
    }
}

impl<C: Channel> Stream<'_, C> {
    /// Answers, and tells what is new, until the stream ends.
    async fn run(&mut self, first: C::Request, mut offers: View<Offer>) -> Result<(), Status> {
        let worker = self.engines.worker.clone();
        let ends = || Status::unavailable("the control plane is being stopped");
        let mut now = tokio::select! {
            () = worker.finishing() => return Err(ends()),
            made = offers.newer_than(Generation::FIRST) => made.ok_or_else(ends)?,
        };
        self.take(&first, &now).await?;
        loop {
            tokio::select! {
                () = worker.finishing() => return Err(ends()),
                request = self.line.incoming.message() => match request? {
                    Some(request) => self.take(&request, &now).await?,
                    None => return Ok(()),
                },
                newer = offers.newer_than(now.generation) => {
                    now = newer.ok_or_else(ends)?;
                    self.push(&now, false).await?;
                }
                () = alarm::at(self.at_once) => self.push(&now, true).await?,
            }
        }
    }

    async fn take(&mut self, request: &C::Request, now: &Published<Offer>) -> Result<(), Status> {
        let offer = &now.value;
        if let Some(reason) = C::head(request).refusal {
            let (whose, generation) = (self.listed.whose(), offer.generation);
            tracing::warn!(
                node = &*whose.id,
                scope = &*whose.scope,
                kind = C::head(request).type_url,
                generation,
                reason,
                "configuration for HTTP was refused",
            );
        }
        let answer = self.session.request(request, offer, &self.engines.from);
        self.line.send(answer).await?;
        self.push(now, false).await
    }

    async fn push(&mut self, now: &Published<Offer>, at_once: bool) -> Result<(), Status> {
        let offer = &now.value;
        let responses = self.session.push(offer, &self.engines.from, at_once);
        self.at_once = match self.session.is_held_up(offer) {
            true => Some(self.at_once.filter(|_| !at_once).unwrap_or(Instant::now() + PATIENCE)),
            false => None,
        };
        self.listed.set(self.session.progress(offer));
        self.line.send(responses).await
    }
}
