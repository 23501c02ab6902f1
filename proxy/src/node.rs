//! A node's parts, started in the order in which a connection meets them, and ended in the reverse.
mod advice;
mod life;
mod parts;

pub(crate) use life::live;

use crate::{config::Config, config::report::Report, ground::Ground};
use culvert_telemetry::{access::AccessLog, log::LogHandle, metrics::Metrics};
use std::{path::PathBuf, sync::Arc};
use tokio::runtime::Handle;

/// What a node is made from.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) config: Config,
    pub(crate) report: Report,
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) ground: Ground,
    pub(crate) log: LogHandle,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) access: AccessLog,
    /// The runtime that carries connections.
    pub(crate) data: Handle,
}
