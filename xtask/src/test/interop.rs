//! The tests whose peers are Istio's own programs.
use anyhow::Result;

use super::{
    e2e,
    nextest::{self, Filter},
};
use crate::peers;

/// Builds the peers, runs the tests.
pub(super) fn run(filter: Filter<'_>) -> Result<()> {
    peers::istio()?;
    e2e::run_these(nextest::interop(filter))
}
