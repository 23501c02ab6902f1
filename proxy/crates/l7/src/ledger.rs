//! Who is told of each request once it is over, beside logs: accounts of a mesh.
//!
//! Where nobody is, nothing is noted for it.
use crate::outcome::{Details, Flags};
use culvert_model::{http::value::Metadata, path::Path};
use culvert_policy::http::facts::{Connection, Head};
use std::{fmt, net::SocketAddr, time::Duration};

/// Takes note of requests; called by whoever serves them, who waits for it.
pub trait Ledger: Send + Sync + fmt::Debug + 'static {
    fn note(&self, over: &Over<'_>);
}

/// A request that is over.
#[derive(Debug)]
pub struct Over<'a> {
    /// What it came by.
    pub connection: &'a Connection,
    /// As the upstream got it; `None`: what came was no request.
    pub head: Option<Head<'a>>,
    pub version: &'static str,
    /// 0: there was no response.
    pub status: u16,
    /// Of gRPC.
    pub call: Option<Call>,
    pub flags: Flags,
    pub details: &'a Details,
    /// Heads, as names and values, and bodies.
    pub received: u64,
    pub sent: u64,
    pub took: Duration,
    pub route: Option<&'a str>,
    /// The cluster it was sent to, or would have been.
    pub cluster: Option<&'a str>,
    /// What is said of that cluster.
    pub metadata: Metadata,
    /// The endpoint of the last try.
    pub endpoint: Option<Endpoint>,
    /// Why that was not reached.
    pub failure: Option<&'a str>,
    /// What the control plane calls the configuration that it was served by; may be empty.
    pub configuration: &'a str,
}

/// How a call of gRPC went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// `None`: there was no response.
    pub status: Option<i64>,
    /// Messages of the client.
    pub requests: u64,
    /// Messages of the server.
    pub responses: u64,
}

/// Where a request went.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint {
    /// `None`: it has none, or is not known by it.
    pub address: Option<SocketAddr>,
    /// The way of its connection; `None`: there was none.
    pub path: Option<Path>,
}
