//! The sign of life without which nothing goes direct and no DNS is captured.
use crate::dataplane::Shared;
use culvert_kernel::Node;
use culvert_runtime::drain::Worker;
use culvert_telemetry::chain::Chain;
use std::{sync::Arc, time::Duration};
use tokio::time::{self, MissedTickBehavior};
use tracing::warn;

/// A quarter of the time for which one holds.
const EVERY: Duration = Duration::from_millis(500);

/// Gives it until the process finishes; not while the kernel has not been told of a change, for what
/// was decided before it must not hold.
pub(crate) async fn beat(shared: Arc<Shared>, kernel: Arc<Node>, worker: Worker) {
    let mut turns = time::interval(EVERY);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = false;
    loop {
        tokio::select! {
            biased;
            () = worker.finishing() => break,
            _ = turns.tick() => {}
        }
        // Not while another process takes over: then it is that one's to give.
        let given = match shared.direct.is_untold() {
            true => kernel.stop_beating(),
            false => kernel.beat().map(drop),
        };
        if let Err(error) = given
            && !said
        {
            warn!(error = %Chain(&error), "no sign of life: nothing goes direct");
            said = true;
        }
    }
    if let Err(error) = kernel.stop_beating() {
        warn!(error = %Chain(&error), "the sign of life holds for another two seconds");
    }
}
