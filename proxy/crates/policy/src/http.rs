//! What an HTTP engine decides, as pure functions of [`culvert_model::http`].
//!
//! No clock and no dice inside: who asks brings the time and a random number. Where Envoy documents
//! how something is decided, it is decided so, bit by bit where others compute the same (hashes,
//! rings, tables).
//!
//! Reading order: [`facts`] (what may be asked about), [`field`] (headers compared), [`query`],
//! [`chance`]; [`route`]; [`flags`], [`grpc`], [`format`](mod@format), [`mutate`]; [`path`],
//! [`host`], [`client`]; [`retry`], [`timeout`], [`hash`], [`balance`], [`outlier`]; [`bucket`] and
//! [`descriptor`], [`fault`], [`cors`]; [`tree`], [`rbac`]; [`chain`]; [`log`], [`reply`],
//! [`follow`], [`health`].

pub mod facts;

pub mod field;

pub mod query;

pub mod chance;

pub mod route;

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

pub mod chain;

pub mod log;

pub mod reply;

pub mod follow;

pub mod health;
