//! Decisions, as pure functions of the model: no I/O, no clock, no task.
//!
//! What decides can also explain itself: both are the same walk, with another listener.
//!
//! Reading order: [`facts`] (what a decision may depend on), [`authz`] (the decision),
//! [`mod@explain`] (the same for people).

pub mod facts;

pub mod authz;

pub mod explain;

#[cfg(test)]
mod testing;

pub use {
    authz::{Decision, Denial, Permit, RuleRef, decide},
    explain::{Explanation, explain},
    facts::Facts,
};
