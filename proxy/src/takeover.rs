//! Two generations of one instance: the newcomer takes over, and no connection notices.
//!
//! The newcomer connects to the older process's socket and says who it is. The older one stops
//! enrolling and hands over its listeners, keeps serving, and goes once the newcomer says that it
//! holds everything. If the newcomer ends before that, the older one goes on as if nothing had been.
//! Kernel maps need no handing over: they are pinned, and written by whoever claimed them last.
//!
//! Reading order: [`lock`] (who lives), [`wire`] (what is said), [`new`], [`old`].
pub(crate) mod lock;
pub(crate) mod new;
pub(crate) mod old;
mod wire;

pub(crate) use wire::Role;

/// The socket's name in the run folder.
pub(crate) const SOCKET: &str = "takeover.sock";

#[cfg(test)]
mod tests;
