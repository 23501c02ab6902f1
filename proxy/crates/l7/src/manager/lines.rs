//! Lines of a request: its own, those of its tries, and those while it is under way.
use crate::{
    alarm::Alarm,
    log::Logs,
    manager::{Manager, record::Record},
    outcome::{Ended, Exchanged},
};
use culvert_policy::http::{facts::Answer, format::Scene};
use std::task::{Context, Poll};

impl Record {
    /// Nothing is over yet, and so much has gone both ways: a line for those who wait for one.
    pub(crate) fn report(&mut self, received: u64, sent: u64) {
        self.exchanged = Some(Exchanged { ended: Ended::Whole, received, sent });
        self.write("DownstreamPeriodic");
        self.exchanged = None;
    }

    /// Ready when a line is due of what is under way.
    pub(crate) fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(alarm) = &mut self.ticks else { return Poll::Pending };
        if alarm.poll(cx).is_pending() {
            return Poll::Pending;
        }
        alarm.set(self.manager.config().log_options.interval);
        // Rings for the next one.
        let _set = alarm.poll(cx);
        Poll::Ready(())
    }

    /// Writes it down.
    pub(crate) fn write(&self, kind: &'static str) {
        let logs = self.manager.logs();
        if !logs.is_empty() {
            self.write_to(logs, kind);
        }
    }

    /// Writes down how the try went that is the answer, or the last.
    pub(super) fn write_upstream(&self) {
        if let Some(logs) = &self.upstream_logs
            && self.upstream_version.is_some()
        {
            self.write_to(logs, "UpstreamEnd");
        }
    }

    pub(crate) fn write_to(&self, logs: &Logs, kind: &'static str) {
        let seeing = self.seeing(kind);
        let trailers = self.trailers.as_ref().and_then(|trailers| trailers.lock().clone());
        let answer = self.status.zip(self.said.as_ref());
        let scene = Scene {
            request: (!self.headless).then(|| self.request()),
            response: answer.map(|(status, headers)| Answer { status, headers }),
            trailers: trailers.as_ref(),
            ..Scene::new(&seeing)
        };
        logs.write(&crate::log::Seen { scene, around: self.around() });
    }
}

/// Rings when the first line is due of what is under way, if any is.
pub(super) fn ticks(manager: &Manager) -> Option<Box<Alarm>> {
    let interval = manager.config().log_options.interval?;
    let mut alarm = Alarm::default();
    alarm.set(Some(interval));
    Some(Box::new(alarm))
}
