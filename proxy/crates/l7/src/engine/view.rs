//! What people see of an engine's listeners: the data of `/listeners` and `/config_dump`.
use culvert_model::http::{address::Address, listener::Listener};
use std::sync::Arc;

/// A listener at a moment.
#[derive(Clone, Debug)]
pub struct ListenerView {
    pub name: Arc<str>,
    /// Of the resource that is wanted.
    pub version: Arc<str>,
    /// What it is; `None`: it has never been anything.
    pub config: Option<Arc<Listener>>,
    /// Where it takes connections; a port of 0 has become another.
    pub addresses: Vec<Address>,
    /// Why it is not what is wanted, or why a filter chain takes no connections.
    pub error: Option<String>,
}
