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
    errors::CopyError,
    limits::Refusal,
    pods::pod::Pod,
};
use culvert_model::{
    close::CloseReason,
    facts::{ConnFacts, Direction},
    snapshot::Snapshot,
};
use std::{error::Error, net::SocketAddr, ops::Deref, sync::Arc};
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
    io: TcpStream,
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

    /// Continues in `other`.
    pub(crate) fn join(self, other: TcpStream) -> Joined {
        let Self { io, account } = self;
        account.opened();
        Joined { source: io, destination: Abrupt::new(other), account }
    }
}

impl Joined {
    /// Carries the connection to its end.
    pub(crate) async fn copy(self) -> Result<(), CopyError> {
        let Self { source, destination, account } = self;
        let bounds = account.pod().shared.copy;
        let ended = copy::copy(&source, &destination, bounds, |moved| account.count(moved)).await;
        let error = match ended {
            Ended::Finished => {
                source.close();
                destination.close();
                account.close(CloseReason::Done, None);
                return Ok(());
            }
            Ended::Broken { side, error } => CopyError::broken(side, error),
            Ended::Idle(limit) => CopyError::Idle(limit),
        };
        // Before the account is closed, so that who reads of the end finds it ended.
        drop((source, destination));
        account.close(error.reason(), error.detail());
        Err(error)
    }
}

impl Abrupt {
    pub(crate) fn new(io: TcpStream) -> Self {
        Self { io, orderly: false }
    }

    /// Closes it as one that has said everything.
    fn close(mut self) {
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
