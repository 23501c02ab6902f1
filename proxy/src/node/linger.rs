//! The end of a process that somebody may start again at once.
use crate::{
    failure::{Exit, Failure},
    signals::Signals,
    takeover::lock::Lock,
};
use std::time::{Duration, Instant};
use tokio::time;
use tracing::info;

/// How often to look whether somebody has the node.
const LOOK: Duration = Duration::from_secs(1);

/// How long the node may be nobody's before a process that stays idle ends, to be started again:
/// longer than a container takes to be.
const VACANCY: Duration = Duration::from_secs(5);

/// Whether somebody wants this process to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Nothing,
    /// It drains.
    ToEnd,
    /// It drained long enough.
    AtOnce,
}

impl Told {
    /// After one more signal.
    pub(super) const fn again(self) -> Self {
        match self {
            Self::Nothing => Self::ToEnd,
            Self::ToEnd | Self::AtOnce => Self::AtOnce,
        }
    }
}

/// Stays without doing anything: a container that ended would be started again, and take the node
/// back from the process that has it.
///
/// # Errors
///
/// When nobody has the node any more: then it is good to be started again.
pub(super) async fn linger(lock: &Lock, signals: &mut Signals) -> Result<(), Failure> {
    lock.leave();
    info!("another process has the node: this one stays, idle, until SIGTERM");
    let mut seen = Instant::now();
    while seen.elapsed() < VACANCY {
        if !lock.is_only() {
            seen = Instant::now();
        }
        tokio::select! {
            () = signals.next() => return Ok(()),
            () = time::sleep(LOOK) => {}
        }
    }
    Err(Failure::new(
        Exit::Cannot,
        "the process that took over has ended, and no other one has the node",
        "start one; a container is started again by its kubelet",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_taken_over_drains_on_when_it_is_told_to_end() {
        assert_eq!(Told::Nothing.again(), Told::ToEnd);
        assert_eq!(Told::ToEnd.again(), Told::AtOnce);
    }
}
