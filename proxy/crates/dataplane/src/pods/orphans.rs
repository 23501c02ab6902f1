//! Pods that an earlier generation enrolled and this one does not want.
use culvert_kernel::{EnrolError, Node, Orphan};
use culvert_model::name::WorkloadUid;
use culvert_telemetry::chain::Chain;
use tracing::{info, warn};

/// Lets their new connections go direct; those that an earlier process still serves run on.
pub(super) fn release(kernel: &Node, which: impl Fn(&WorkloadUid) -> bool) {
    each(kernel, which, |orphan| orphan.release());
}

/// Undoes what was done for them.
pub(super) fn finish(kernel: &Node, which: impl Fn(&WorkloadUid) -> bool) {
    each(kernel, which, Orphan::finish);
}

fn each(
    kernel: &Node,
    which: impl Fn(&WorkloadUid) -> bool,
    let_go: impl Fn(Orphan) -> Result<(), EnrolError>,
) {
    for orphan in kernel.orphans().into_iter().filter(|orphan| which(orphan.uid())) {
        let uid = orphan.uid().clone();
        match let_go(orphan) {
            Ok(()) => info!(pod = %uid, "pod of an earlier generation let go"),
            Err(error) => {
                warn!(pod = %uid, error = %Chain(&error), "pod of an earlier generation not let go");
            }
        }
    }
}
