//! The tests whose peers are Istio's own programs.
use anyhow::Result;

use super::{e2e, nextest};
use crate::peers;

/// Builds the peers, runs the tests.
pub(super) fn run(filter: &[String]) -> Result<()> {
    peers::istio()?;
    e2e::run_these(nextest::interop(filter))
}
