//! Configurations that are wrong.

pub(super) fn fifty() {}
