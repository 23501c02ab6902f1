//! What start-up still waits for.
use tokio::sync::watch;

/// Whether the process is ready, and if not, why; clones are one and the same.
///
/// Ready when nothing blocks, thus also before anything did: take the blockers before the first
/// task is started.
#[derive(Clone, Debug)]
pub struct Readiness(watch::Sender<Waiting>);

/// Something that start-up waits for; over when dropped.
#[derive(Debug)]
#[must_use = "nothing is waited for once this is dropped"]
pub struct Blocker {
    what: &'static str,
    id: u64,
    readiness: Readiness,
}

/// The blockers that live, in the order they were taken.
#[derive(Debug, Default)]
struct Waiting {
    next_id: u64,
    blockers: Vec<(u64, &'static str)>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self(watch::Sender::new(Waiting::default()))
    }
}

impl Readiness {
    /// Makes the process wait for `what` until the blocker is dropped.
    ///
    /// Also after it was ready: it is then not ready again.
    pub fn block(&self, what: &'static str) -> Blocker {
        let mut id = 0;
        self.0.send_modify(|waiting| {
            id = waiting.next_id;
            waiting.next_id += 1;
            waiting.blockers.push((id, what));
        });
        Blocker { what, id, readiness: self.clone() }
    }

    pub fn is_ready(&self) -> bool {
        self.0.borrow().blockers.is_empty()
    }

    /// What is waited for, oldest first.
    pub fn waiting(&self) -> Vec<&'static str> {
        self.0.borrow().blockers.iter().map(|&(_, what)| what).collect()
    }

    /// Resolves when nothing blocks.
    ///
    /// Cancel safe.
    pub async fn ready(&self) {
        // An error would mean that the sender is gone, and `self` is one.
        drop(self.0.subscribe().wait_for(|waiting| waiting.blockers.is_empty()).await);
    }
}

impl Blocker {
    pub fn what(&self) -> &'static str {
        self.what
    }
}

impl Drop for Blocker {
    fn drop(&mut self) {
        self.readiness.0.send_modify(|waiting| waiting.blockers.retain(|&(id, _)| id != self.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ready_once_nothing_blocks() {
        let readiness = Readiness::default();
        let pods = readiness.block("pods");
        let files = readiness.block("files");
        let again = readiness.block("pods");
        assert_eq!(readiness.waiting(), ["pods", "files", "pods"]);
        drop(pods);
        assert_eq!(readiness.waiting(), ["files", "pods"]);
        let (seen, ()) = tokio::join!(
            async {
                readiness.ready().await;
                readiness.is_ready()
            },
            async { drop((files, again)) }
        );
        assert!(seen);
    }

    #[tokio::test]
    async fn can_become_not_ready_again() {
        let readiness = Readiness::default();
        assert!(readiness.is_ready());
        let blocker = readiness.clone().block("pods");
        assert!(!readiness.is_ready());
        drop(blocker);
        readiness.ready().await;
    }
}
