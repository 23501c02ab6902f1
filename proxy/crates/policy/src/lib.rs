//! Decisions, as pure functions of the model: no I/O, no clock, no task.
//!
//! What decides can also explain itself: both are the same walk, with another listener.
//!
//! Reading order: [`mod@route`] (where a connection goes) with [`balance`] (to which of several);
//! [`facts`] (what a verdict may depend on), [`authz`] (the verdict), [`mod@explain`] (the same for
//! people); [`why`] (both, from a person's question). [`http`] is a layer of its own: what an HTTP
//! engine decides.

pub mod facts;

pub mod authz;

pub mod explain;

pub mod balance;

pub mod route;

pub mod why;

pub mod http;

#[cfg(test)]
mod testing;

pub use {
    authz::{Decision, Denial, Permit, RuleRef, decide},
    explain::{Explanation, explain},
    facts::Facts,
    route::{Asking, NoRoute, Route, route},
};
