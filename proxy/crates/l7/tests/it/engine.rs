//! An engine over real sockets: listeners, filter chains and network filters.
mod filters;
mod laws;
mod lifecycle;
mod logs;
mod tcp;
mod tls;
pub(crate) mod world;
