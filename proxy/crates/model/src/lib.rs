//! The words: what a workload, a local pod, a snapshot and the end of a connection are.
//!
//! Pure: no I/O, no clock, no tokio, no serde, no protocol types. A value that exists is valid.
//!
//! Reading order: [`name`], [`identity`], [`addr`], [`workload`], [`network`], [`locality`],
//! [`l7`], [`service`] and [`member`] (what every node knows of the mesh), [`share`] and [`shards`] (at little cost), [`pod`] (what this node must
//! hold), [`authz`] (who may talk to whom), [`snapshot`] (what a worker reads), [`path`],
//! [`tunnel`] and [`facts`] (what is known of one connection), [`party`] (as whom others are opened for it), [`close`] (how it ended); beside them
//! [`http`] (what the HTTP engine is told).

pub mod name;

pub mod identity;

pub mod addr;

pub mod workload;

pub mod network;

pub mod locality;

pub mod l7;

pub mod service;

pub mod member;

pub mod share;

pub mod shards;

pub mod pod;

pub mod authz;

pub mod snapshot;

pub mod path;

pub mod tunnel;

pub mod facts;

pub mod party;

pub mod close;

pub mod http;
