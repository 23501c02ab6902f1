//! Kubernetes: how its API server is reached, and what of it is followed.
//!
//! The only importer of `kube`: everybody else sees words of this crate.
//!
//! Reading order: [`client`] (the way there, and back), [`fault`] (why a request failed, and what
//! to do about it), [`path`] (where objects are), [`kind`] (what is followed, and what of it is kept), [`trim`] (objects without
//! the rest), [`mirror`] (all objects of some kinds, as they are now), [`named`] (one Secret or
//! `ConfigMap`, followed and written), [`token`] (whose token it is that somebody shows), [`ask`]
//! (objects that are asked for once), [`forward`] (a port of a pod), [`write`](mod@write) (single
//! objects, written), [`lease`] (which of several replicas does), [`event`] (what is told of objects).

pub mod client;

pub mod fault;

pub mod path;

pub mod kind;

pub mod trim;

pub mod mirror;

pub mod named;

pub mod token;

pub mod ask;

pub mod forward;

pub mod write;

pub mod lease;

pub mod event;
