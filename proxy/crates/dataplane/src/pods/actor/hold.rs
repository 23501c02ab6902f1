//! How a captured pod is held: watched over, changed, and enrolled anew where that is needed.
//!
//! To enrol anew, nothing is let go: listeners accept and the kernel captures as before until the
//! new enrolment has taken their place.
use super::{Actor, Held, Service, looks};
use crate::pods::{plan::Change, status::PodPhase};
use culvert_kernel::{EnrolError, Enrolled};
use culvert_model::pod::LocalPod;
use std::{sync::Arc, time::Duration};
use tracing::info;

/// Why a pod is pending one of whose listeners was destroyed.
const LOST: &str = "a listener of the proxy in the pod was closed, and not by the proxy";

impl Actor {
    /// Watches over an enrolled pod until it is no more, is to be enrolled anew, or the process has
    /// finished.
    pub(super) async fn hold(&mut self, mut held: Arc<LocalPod>, service: Service) -> Held {
        if self.enter(PodPhase::Captured) {
            info!(pod = %self.pod.uid, "captured");
        }
        let lost = Arc::clone(&service.lost);
        let mut reopened = self.gate.reopened();
        let mut looks = looks();
        loop {
            tokio::select! {
                biased;
                () = self.worker.finishing() => {
                    drop(self.retire(service.tasks, Duration::MAX));
                    return Held::Over;
                }
                // Somebody may have put other listeners in the place of ours, and be gone.
                _ = reopened.changed() => return self.anew(service),
                () = lost.notified() => {
                    self.pending(LOST);
                    self.former = Some(service);
                    return Held::Troubled;
                }
                _ = self.want.changed() => {}
                _ = looks.tick() => {
                    self.pod.write_rest();
                    if self.pod.netns_is_gone() {
                        return self.gone(service).await;
                    }
                    continue;
                }
            }
            let Some(wanted) = self.want.borrow_and_update().clone() else {
                self.leave(service.tasks).await;
                return Held::Over;
            };
            match Change::between(&held, &wanted) {
                Change::None => {}
                Change::Update => {
                    if let Err(error) = self.update(&wanted).await {
                        // Part of it may be done; enrolling anew does all of it.
                        self.report(&error);
                        self.former = Some(service);
                        return Held::Troubled;
                    }
                }
                Change::Readdress if !self.pod.netns_is_gone() => return self.anew(service),
                Change::Readdress | Change::Replace => return self.gone(service).await,
            }
            self.describe(&wanted);
            held = wanted;
        }
    }

    /// Has the pod enrolled once more; `service` goes on until that is done.
    fn anew(&mut self, service: Service) -> Held {
        self.former = Some(service);
        Held::Over
    }

    async fn gone(&mut self, service: Service) -> Held {
        self.bury(service.tasks).await;
        Held::Over
    }

    /// Tells the kernel of a change that concerns no connection.
    async fn update(&self, wanted: &LocalPod) -> Result<(), EnrolError> {
        let spec = self.spec(wanted);
        // None: there is nobody to tell, or the next process reads it by itself.
        self.change(move |enrolled| enrolled.update(&spec)).await.unwrap_or(Ok(()))
    }

    /// Changes the kernel's side, when there is one and the process does not finish before.
    pub(super) async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Enrolled) -> T + Send + 'static,
    ) -> Option<T> {
        let mut enrolled = self.pod.take()?;
        let pass = self.gate.pass(move |_| {
            let done = change(&mut enrolled);
            (enrolled, done)
        });
        let (enrolled, done) = pass.await?;
        self.pod.put(enrolled);
        Some(done)
    }
}
