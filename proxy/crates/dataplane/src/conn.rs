//! A connection's life, one type per stage.
//!
//! ```text
//! Captured ──identify──▶ Identified ──admit──▶ Admitted ──open, deliver──▶ Joined ──copy──▶ closed
//! ```
//!
//! Each stage takes the one before it by value, so a stage can be neither skipped nor repeated.
//! Whatever stage is dropped, the applications see a reset: only two sides that both finished are
//! closed in an orderly way.
use crate::{
    account::{self, Account},
    copy::{self, Ended},
    cut::Why,
    errors::{CopyError, InboundError},
    limits::Refusal,
    pods::pod::Pod,
};
use culvert_model::{
    close::CloseReason,
    facts::{ConnFacts, Direction},
    snapshot::Snapshot,
};
use std::{error::Error, future::Future, net::SocketAddr, ops::Deref, pin::pin, sync::Arc};
use tokio::net::TcpStream;
use tracing::debug;

/// A connection the kernel diverted to us; nothing is known of it but its addresses.
#[derive(Debug)]
pub(crate) struct Captured {
    pub(crate) io: Abrupt,
    pub(crate) source: SocketAddr,
    /// Where the application meant to go, before the diversion.
    pub(crate) destination: SocketAddr,
}

/// A connection whose ends are known as far as the snapshot knows them.
#[derive(Debug)]
pub(crate) struct Identified {
    io: Abrupt,
    facts: ConnFacts,
}

/// A connection the pod has room for; from here on it is counted and listed.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) io: Abrupt,
    pub(crate) account: Account,
}

/// A connection and the one that continues it.
#[derive(Debug)]
pub(crate) struct Joined {
    source: Abrupt,
    destination: Abrupt,
    account: Account,
}

/// A socket whose peer sees a reset when it is dropped.
#[derive(Debug)]
pub(crate) struct Abrupt {
    /// Shared with the link of its tunnel, which writes to it and lets go before it is closed.
    io: Arc<TcpStream>,
    orderly: bool,
}

impl Captured {
    /// Finds out who is at the ends; the proxy acts for `pod`.
    pub(crate) fn identify(
        self,
        direction: Direction,
        pod: &Pod,
        snapshot: &Snapshot,
    ) -> Identified {
        let Self { io, source, destination } = self;
        let facts = pod.facts(direction, source, destination, snapshot);
        Identified { io, facts }
    }
}

impl Identified {
    /// Opens the connection's account, if the pod has room for it.
    pub(crate) fn admit(self, pod: &Arc<Pod>) -> Result<Admitted, Refusal> {
        let Self { io, facts } = self;
        Account::open(pod, facts).map(|account| Admitted { io, account })
    }

    /// Records that the connection goes no further.
    pub(crate) fn refuse(self, pod: &Pod, reason: CloseReason, error: &(dyn Error + 'static)) {
        let Self { io, facts } = self;
        drop(io);
        account::refused(pod, facts, reason, error);
    }
}

impl Admitted {
    /// Closes the account of a connection that goes no further.
    pub(crate) fn refuse(self, reason: CloseReason, error: &(dyn Error + 'static)) {
        let Self { io, account } = self;
        // Before the account is closed, so that who reads of the end finds it ended.
        drop(io);
        account.close(reason, Some(error));
    }

    /// The same for what came to a pod.
    pub(crate) fn refuse_inbound(self, error: &InboundError) {
        let Self { io, account } = self;
        drop(io);
        account.fail(error);
    }

    /// Continues in `other`.
    pub(crate) fn join(self, other: TcpStream) -> Joined {
        let Self { io, mut account } = self;
        account.opened();
        Joined { source: io, destination: Abrupt::new(other), account }
    }
}

impl Joined {
    /// Carries the connection until one side or both end it.
    pub(crate) fn copy(&self) -> impl Future<Output = Ended> {
        let Self { source, destination, account } = self;
        let bounds = account.pod().shared.copy;
        copy::copy(source, destination, bounds, |moved| account.count(moved))
    }

    /// The same, until somebody cuts the connection.
    pub(crate) async fn copy_until_cut(&self) -> Result<Ended, Arc<Why>> {
        let copy = pin!(self.copy());
        self.account.guard(copy).await
    }

    /// Closes the connection: in an orderly way if both sides finished.
    pub(crate) fn close(self, ended: Ended) -> Result<(), CopyError> {
        let Self { source, destination, account } = self;
        let Some(error) = CopyError::of(ended) else {
            source.close();
            destination.close();
            account.close(CloseReason::Done, None);
            return Ok(());
        };
        // Before the account is closed, so that who reads of the end finds it ended.
        drop((source, destination));
        account.close(error.reason(), error.detail());
        Err(error)
    }

    /// Closes a connection that was cut.
    pub(crate) fn close_cut(self, why: &Arc<Why>) {
        let Self { source, destination, account } = self;
        drop((source, destination));
        account.close_cut(why);
    }
}

impl Abrupt {
    pub(crate) fn new(io: TcpStream) -> Self {
        Self { io: Arc::new(io), orderly: false }
    }

    pub(crate) fn shared(&self) -> &Arc<TcpStream> {
        &self.io
    }

    /// Closes it as one that has said everything.
    pub(crate) fn close(mut self) {
        self.orderly = true;
    }
}

impl Deref for Abrupt {
    type Target = TcpStream;

    fn deref(&self) -> &TcpStream {
        &self.io
    }
}

impl Drop for Abrupt {
    fn drop(&mut self) {
        if self.orderly {
            return;
        }
        if let Err(error) = self.io.set_zero_linger() {
            debug!(%error, "connection is closed instead of reset");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        connections::ConnState,
        sample::{Node, admitted, connected},
    };
    use std::io::ErrorKind;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    async fn read_all(io: &mut TcpStream) -> Result<Vec<u8>, ErrorKind> {
        let mut bytes = Vec::new();
        io.read_to_end(&mut bytes).await.map(|_| bytes).map_err(|error| error.kind())
    }

    #[tokio::test]
    async fn a_connection_is_listed_while_it_lives_and_recorded_once() {
        let node = Node::new(10);
        let pod = node.pod("cart");
        let (admitted, mut client) = admitted(&pod).await;
        assert_eq!(pod.connections()[0].state, ConnState::Opening);
        let (other, mut server) = connected().await;
        let joined = admitted.unwrap().join(other);
        assert_eq!(pod.connections()[0].state, ConnState::Open);
        let talk = async {
            client.write_all(b"ask").await.unwrap();
            server.read_exact(&mut [0; 3]).await.unwrap();
            server.write_all(b"answer").await.unwrap();
            client.read_exact(&mut [0; 6]).await.unwrap();
            let listed = pod.connections();
            assert_eq!((listed[0].bytes_sent, listed[0].bytes_received), (3, 6));
            drop(server);
            assert_eq!(read_all(&mut client).await, Ok(Vec::new()));
            client.shutdown().await.unwrap();
        };
        let (ended, ()) = tokio::join!(joined.copy(), talk);
        joined.close(ended).unwrap();
        assert_eq!((pod.connections(), pod.load.open()), (Vec::new(), 0));
        assert_eq!(node.ends(), ["done"]);
    }

    #[tokio::test]
    async fn who_is_refused_or_cut_sees_a_reset_and_is_recorded_with_the_reason() {
        let node = Node::new(1);
        let pod = node.pod("cart");
        let (first, mut first_client) = admitted(&pod).await;
        let (second, mut second_client) = admitted(&pod).await;
        assert!(second.is_none());
        assert_eq!(read_all(&mut second_client).await, Err(ErrorKind::ConnectionReset));
        drop(first);
        assert_eq!(read_all(&mut first_client).await, Err(ErrorKind::ConnectionReset));

        let (third, mut client) = admitted(&pod).await;
        let (other, mut server) = connected().await;
        let joined = third.unwrap().join(other);
        pod.set_gone(true);
        drop(joined);
        assert_eq!(read_all(&mut client).await, Err(ErrorKind::ConnectionReset));
        assert_eq!(read_all(&mut server).await, Err(ErrorKind::ConnectionReset));
        assert_eq!(node.ends(), ["pod_limit", "drained", "pod_gone"]);
    }

    #[tokio::test]
    async fn one_pod_at_its_limit_does_not_keep_another_out() {
        let node = Node::new(1);
        let (cart, stock) = (node.pod("cart"), node.pod("stock"));
        let (held, _cart_client) = admitted(&cart).await;
        assert!(held.is_some() && admitted(&cart).await.0.is_none());
        assert!(admitted(&stock).await.0.is_some());
    }
}
