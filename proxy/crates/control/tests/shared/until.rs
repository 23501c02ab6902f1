//! Waiting until a mesh is as it should be: for several test programs.
use culvert_control::{control::Control, status::mesh::MeshStatus};
use std::time::Duration;
use tokio::time;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// Waits until the mesh is as `wanted` says, for `patience` at most.
pub(crate) async fn until(
    control: &Control,
    patience: Duration,
    wanted: impl Fn(&MeshStatus) -> bool,
) -> MeshStatus {
    let waiting = async {
        loop {
            let status = control.mesh_status();
            if wanted(&status) {
                return status;
            }
            time::sleep(LOOK).await;
        }
    };
    let waited = time::timeout(patience, waiting).await;
    waited.unwrap_or_else(|_| panic!("{:#?}", control.mesh_status()))
}
