//! The HTTP engine's configuration: what Envoy's xDS says, parsed and checked once.
//!
//! Pure. Each type says what Envoy's defaults are; whoever decodes puts them in, so that no reader
//! of a value asks what an absent field means.
//!
//! Reading order: [`value`] (metadata), [`origin`] (where something was written), [`field`] (names of headers), [`matcher`] (strings, headers,
//! addresses, percentages), [`tree`] (the generic matcher), [`format`](mod@format) (`%…%`),
//! [`mutation`]; [`route`] with [`retry`] and [`cors`]; [`balance`] and [`outlier`]; [`rbac`],
//! [`fault`], [`ratelimit`]; [`source`], [`address`], [`protocol`]; [`secret`], [`tls`],
//! [`access_log`]; [`filter`], [`manager`], [`listener`]; [`endpoint`], [`health`], [`cluster`];
//! [`runtime`], [`snapshot`].

pub mod value;

pub mod origin;

pub mod field;

pub mod matcher;

pub mod tree;

pub mod format;

pub mod mutation;

pub mod route;

pub mod retry;

pub mod cors;

pub mod balance;

pub mod outlier;

pub mod rbac;

pub mod fault;

pub mod ratelimit;

pub mod source;

pub mod address;

pub mod protocol;

pub mod secret;

pub mod tls;

pub mod access_log;

pub mod filter;

pub mod manager;

pub mod listener;

pub mod endpoint;

pub mod health;

pub mod cluster;

pub mod runtime;

pub mod snapshot;
