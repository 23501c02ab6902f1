//! A node's parts, started in the order in which a connection meets them, and ended in the reverse.
//!
//! Reading order: [`source`] (manifests), [`cluster`] (or an API server), [`ways`] (to the control plane), [`discovery`] (what it
//! says), [`identity`], [`retention`] and [`keep`] (which pods are held), [`orders`] and [`report`]
//! (what is said back), [`marks`] (and to the
//! API server), [`feed`] (all of these), [`cni`] (pods that are handed over), [`l7`] (HTTP engines), [`gateways`], [`parts`] (with the kernel), [`prober`], [`life`], [`linger`].
pub(crate) mod advice;
mod cluster;
pub(crate) mod cni;
pub(crate) mod discovery;
mod feed;
mod gateways;
mod identity;
mod keep;
pub(crate) mod l7;
mod life;
mod linger;
mod marks;
mod orders;
mod parts;
mod prober;
mod report;
mod resolvers;
mod retention;
mod source;
pub(crate) mod ways;

pub(crate) use {feed::Handles, life::live, source::Source, ways::WayError};

use crate::{config::Config, config::report::Report, ground::Ground};
use culvert_telemetry::{access::AccessLog, log::LogHandle, metrics::Metrics};
use std::{path::PathBuf, sync::Arc};
use tokio::runtime::Handle;

/// What a node is made from.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) config: Config,
    pub(crate) report: Report,
    /// Manifests of the whole mesh, when the control plane is in this process.
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) ground: Ground,
    pub(crate) log: LogHandle,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) access: AccessLog,
    /// The runtime that carries connections.
    pub(crate) data: Handle,
}
