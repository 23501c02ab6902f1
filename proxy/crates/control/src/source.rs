//! Where objects come from.

mod cache;

pub mod files;

mod walk;

pub mod watch;

mod settle;
