//! The doors between those who carry connections and the HTTP engines of namespaces.
//!
//! One way, accepted connections go with what was proven of them ([`HandOver`]); the other way,
//! engines have connections opened as one of the pods ([`Dial`]). Neither side knows the other, so
//! that an engine could be a process of its own.
use culvert_model::{
    facts::{ConnFacts, Direction},
    party::Party,
    path::Path,
};
use std::{fmt, future::Future, net::SocketAddr, pin::Pin, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

/// The bytes of a connection.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Has the peer see a reset when it is dropped.
    fn reset_on_close(&mut self);

    /// Learns what it carries, once somebody has found out.
    fn carries(&mut self, what: Carries);
}

/// What a connection carries, for those who count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carries {
    /// Each of which is counted for itself.
    Requests,
    Bytes,
}

/// The answer of a door.
pub type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Takes connections in.
pub trait HandOver: Send + Sync + fmt::Debug + 'static {
    /// Finds who takes the connections of a namespace to an address, and waits some time for it to
    /// be there: before that nobody is told that a connection is accepted.
    fn place(
        &self,
        namespace: &Arc<str>,
        direction: Direction,
        at: SocketAddr,
    ) -> Answer<Result<Box<dyn Place>, NoPlace>>;
}

/// Where one connection will be taken.
pub trait Place: Send + fmt::Debug {
    fn take(self: Box<Self>, handover: Handover);
}

/// An accepted connection.
pub struct Handover {
    pub bytes: Box<dyn Stream>,
    /// What is proven, and what is known.
    pub facts: ConnFacts,
    /// As whom others are opened for it.
    pub party: Party,
}

/// Opens connections.
pub trait Dial: Send + Sync + fmt::Debug + 'static {
    /// As one of the pods of this node: to a member of the mesh as the mesh leads there, to others
    /// as they are, from the pod's namespace. Without a party, for what nobody has asked for.
    fn dial(&self, party: Option<&Party>, to: SocketAddr) -> Answer<Result<Opened, NoWay>>;
}

/// A connection that was opened.
#[derive(Debug)]
pub struct Opened {
    pub bytes: Bytes,
    /// It is protected, and its other end known, as far as the mesh wants that: nothing else is to
    /// be done about it.
    pub in_mesh: bool,
    /// The way it takes.
    pub path: Path,
}

/// What it consists of.
pub enum Bytes {
    Tcp(TcpStream),
    Other(Box<dyn Stream>),
}

/// Nobody takes a connection.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoPlace(pub String);

/// A connection could not be opened.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoWay(pub String);

impl fmt::Debug for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes: _, facts, party } = self;
        f.debug_struct("Handover").field("facts", facts).field("party", party).finish()
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(tcp) => f.debug_tuple("Tcp").field(tcp).finish(),
            Self::Other(_) => f.write_str("Other"),
        }
    }
}
