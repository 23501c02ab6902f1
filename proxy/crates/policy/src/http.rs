//! What an HTTP engine decides, as pure functions of [`culvert_model::http`].
//!
//! No clock and no dice inside: who asks brings the time and a random number. Where Envoy documents
//! how something is decided, it is decided so, bit by bit where others compute the same (hashes,
//! rings, tables).
//!
//! Reading order: [`facts`] (what may be asked about), [`handed`], [`field`] (headers compared), [`query`],
//! [`chance`]; [`route`], [`routed`]; [`flags`], [`grpc`], [`format`](mod@format), [`mutate`]; [`path`],
//! [`host`], [`client`]; [`retry`], [`timeout`], [`hash`], [`balance`], [`outlier`]; [`bucket`] and
//! [`descriptor`], [`fault`], [`cors`]; [`tree`], [`rbac`]; [`directory`], [`chain`]; [`log`], [`reply`],
//! [`follow`], [`health`]; [`why`] (all of it, from a person's question).

pub mod facts;

pub mod handed;

pub mod field;

pub mod query;

pub mod chance;

pub mod route;

pub mod routed;

pub mod flags;

pub mod grpc;

pub mod format;

pub mod mutate;

pub mod path;

pub mod host;

pub mod client;

pub mod retry;

pub mod timeout;

pub mod hash;

pub mod balance;

pub mod outlier;

pub mod bucket;

pub mod descriptor;

pub mod fault;

pub mod cors;

pub mod tree;

pub mod rbac;

pub mod directory;

pub mod chain;

pub mod log;

pub mod reply;

pub mod follow;

pub mod health;

pub mod why;
