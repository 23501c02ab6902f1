//! One stream of requests and responses, whoever answers on it.
use super::door::Peer;
use crate::envoy::serve::channel::Channel;
use culvert_proto::envoy::config::core::v3::Node;
use std::time::Duration;
use tokio::{sync::mpsc, time};
use tonic::{Status, Streaming};

/// Within which a stream must say what it wants.
const FIRST_REQUEST: Duration = Duration::from_secs(10);

/// Where requests come from and responses go to.
pub(super) struct Line<C: Channel> {
    pub(super) peer: Peer,
    pub(super) bearer: Option<String>,
    pub(super) incoming: Streaming<C::Request>,
    pub(super) outgoing: mpsc::Sender<Result<C::Response, Status>>,
}

impl<C: Channel> Line<C> {
    /// The first request; `None`: the stream ended without one.
    ///
    /// # Errors
    ///
    /// When none comes, or the stream broke.
    pub(super) async fn first(&mut self) -> Result<Option<C::Request>, Status> {
        let first = time::timeout(FIRST_REQUEST, self.incoming.message()).await;
        first.map_err(|_late| Status::deadline_exceeded("no request came"))?
    }

    /// # Errors
    ///
    /// When nobody is there who listens.
    pub(super) async fn send(
        &self,
        responses: impl IntoIterator<Item = C::Response>,
    ) -> Result<(), Status> {
        for response in responses {
            let sent = self.outgoing.send(Ok(response)).await;
            sent.map_err(|_gone| Status::cancelled("the node is gone"))?;
        }
        Ok(())
    }

    /// Tells how serving it ended, to whoever still listens.
    pub(super) async fn end(&self, served: Result<(), Status>) {
        if let Err(status) = served {
            // Nobody listens any more: it does not matter.
            drop(self.outgoing.send(Err(status)).await);
        }
    }
}

/// Who asks, by the first request.
///
/// # Errors
///
/// When it does not say.
pub(super) fn named(node: Option<&Node>) -> Result<&Node, Status> {
    let node = node.filter(|node| !node.id.is_empty());
    node.ok_or_else(|| Status::invalid_argument("the first request has no node"))
}
