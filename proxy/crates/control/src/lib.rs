//! The control plane: manifests in, snapshots out.
//!
//! Knows nothing of the kernel and of connections: it runs anywhere.
//!
//! Reading order: [`problem`] (what is wrong, and where), [`object`] (text to typed objects),
//! [`source`] (where texts come from), [`compile`] (objects to what a node needs; pure),
//! [`status`], [`control`] (all of it, running).

pub mod problem;

pub mod object;

pub mod source;

pub mod compile;

pub mod announce;

pub mod serve;

pub mod ca;

pub mod status;

pub mod manifests;

pub mod local;

pub mod control;
