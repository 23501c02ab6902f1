//! Where objects come from.

pub mod files;

mod walk;

pub mod watch;

mod settle;
