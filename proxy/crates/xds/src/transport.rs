//! What carries the machines: gRPC over whatever connection somebody else makes.
//!
//! TLS is no matter of this crate: on the node's side a closure connects ([`upstream::Connect`]),
//! on the other side whoever accepts hands the connections in ([`door::Door`]).
use std::{future::Future, pin::Pin};
use tokio::io::{AsyncRead, AsyncWrite};

pub mod discovery;
pub mod door;
pub mod engines;
pub mod follow;
pub mod followers;
pub mod grip;
mod line;
pub mod nodes;
pub mod reporter;
pub mod reports;
pub mod upstream;

/// What bytes go over.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// Any connection.
pub type BoxIo = Box<dyn Io>;

/// A future as trait objects return it.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The largest message that is taken, as Istio's node proxy has it.
pub(crate) const LARGEST: usize = 200 << 20;

/// The largest message that a node may send: the versions of some hundred thousand resources.
pub(crate) const LARGEST_REQUEST: usize = 32 << 20;
