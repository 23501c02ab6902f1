//! `http_connection_manager`: connections whose bytes are requests.
use crate::{connection::Connection, io::Io};
use culvert_model::http::manager::Manager;
use std::{future::Future, pin::Pin, sync::Arc};

/// Serves the connections of a filter chain.
pub trait Http: Send + Sync {
    /// To its end.
    fn serve(&self, io: Io, connection: Arc<Connection>) -> Serving;
}

pub type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Makes one of a configuration.
pub type Managers = dyn Fn(&Arc<Manager>) -> Arc<dyn Http> + Send + Sync;
