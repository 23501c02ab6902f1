//! Memory that was needed for a moment is given back.
use culvert_kernel::memory;
use std::{pin::pin, time::Duration};
use tokio::time;

/// How often it is given back.
const PAUSE: Duration = Duration::from_secs(1);

/// Lives, and gives free memory back now and then.
///
/// What a change of ten thousand workloads took for a moment would else be kept until the next one.
pub(crate) async fn tidied<T>(life: impl Future<Output = T>) -> T {
    let mut life = pin!(life);
    loop {
        match time::timeout(PAUSE, &mut life).await {
            Ok(end) => return end,
            Err(_elapsed) => memory::give_back_free(),
        }
    }
}
