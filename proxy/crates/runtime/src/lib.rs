//! Tasks and what they share: who owns a task, how it ends, what it reads.
//!
//! Knows nothing of kernels or configuration.
//!
//! Reading order: [`notice`] (what comes once), [`drain`] (every task has an owner), [`publish`] (one writer, many readers),
//! [`ready`] (what start-up still waits for), [`accept`] (the shape of every accept loop),
//! [`backoff`] (how long to wait before the next try; pure), [`alarm`] (moments that may not be set),
//! [`dice`] (luck), [`doors`] (between those who carry connections and HTTP engines).

pub mod notice;

pub mod drain;

pub mod publish;

pub mod ready;

pub mod accept;

pub mod backoff;

pub mod alarm;

pub mod dice;

pub mod doors;
