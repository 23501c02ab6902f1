//! Whether others would believe a pod of this node.
//!
//! What is handed over on the node shows no certificate; but where a tunnel would not be opened,
//! nothing may be handed over either, and where one would be cut, neither may it go on.
use super::pod::Pod;
use crate::cut::Why;
use culvert_identity::{
    clock::{Clock as _, SystemClock},
    verify::{self, Side},
};
use culvert_model::path::Path;
use culvert_runtime::publish::Generation;
use parking_lot::Mutex;
use std::sync::Arc;

/// The last answer, and what it is of: a certificate and a trust.
#[derive(Debug, Default)]
pub(super) struct Belief(Mutex<Option<(u64, Generation, bool)>>);

impl Pod {
    /// Whether the pod has a certificate that is valid now: without one it would have no tunnel, and
    /// nothing new is handed over to or from it.
    pub(crate) fn is_certified(&self) -> bool {
        self.shared.identities.certificate_now(&self.identity()).is_some()
    }

    /// Whether it had one, and has none now.
    pub(crate) fn has_lost_certificate(&self) -> bool {
        let was_certified = self.belief.0.lock().is_some();
        was_certified && !self.is_certified()
    }

    /// Whether the pod's certificate leads to the mesh's roots and was not revoked; of a pod without
    /// one the last answer holds: what is open goes on when a certificate was not renewed.
    pub(crate) fn is_believed(&self) -> bool {
        let identities = &self.shared.identities;
        let Some(own) = identities.certificate_now(&self.identity()) else {
            // Who was revoked is not believed again for having become old.
            return self.belief.0.lock().is_none_or(|(_, _, answer)| answer);
        };
        let trust = identities.trust().pin();
        let (certificate, generation) = (own.generation(), trust.generation);
        let mut last = self.belief.0.lock();
        if let Some((of, under, answer)) = *last
            && (of, under) == (certificate, generation)
        {
            return answer;
        }
        let answer = own.chain().split_first().is_some_and(|(leaf, issuers)| {
            let now = SystemClock.now();
            verify::chain(&trust.value, leaf, issuers, Side::Client, now).is_ok()
        });
        *last = Some((certificate, generation, answer));
        answer
    }
}

/// Cuts what was handed over to or from pods that are no longer believed.
pub(crate) fn cut_disbelieved(pods: &[Arc<Pod>]) {
    let outcasts: Vec<_> = pods.iter().filter(|pod| !pod.is_believed()).collect();
    if outcasts.is_empty() {
        return;
    }
    let identities: Vec<_> = outcasts.iter().map(|pod| Some(pod.identity())).collect();
    for pod in pods {
        let is_outcast = outcasts.iter().any(|outcast| outcast.uid == pod.uid);
        pod.connections.cut(|conn| {
            conn.live.see(|facts| {
                let handed_over = facts.path == Path::Local;
                let of_an_outcast = is_outcast || identities.contains(&facts.source_identity);
                (handed_over && of_an_outcast).then_some(Why::Disbelieved)
            })
        });
    }
}
