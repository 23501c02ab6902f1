//! Where connections find the certificate of their workload.
use crate::{
    certificate::Certificate,
    clock::Clock,
    issue::IssueError,
    trust::{Trust, TrustStore},
};
use arc_swap::ArcSwap;
use culvert_model::identity::Identity;
use culvert_runtime::publish::View;
use rustls_pki_types::UnixTime;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::{mpsc, oneshot};

/// The door to certificates; cheap to clone.
///
/// Reading one takes no lock. The keeper behind it has one task, and ends with its worker.
#[derive(Clone, Debug)]
pub struct Identities {
    pub(crate) shared: Arc<Shared>,
}

/// While it lives, the certificate of its identity is kept fresh.
#[derive(Debug)]
#[must_use = "the certificate is given up when this is dropped"]
pub struct Hold {
    identity: Identity,
    asks: mpsc::UnboundedSender<Ask>,
}

/// Why a connection cannot be made in the name of an identity; others are not concerned.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unavailable {
    #[error("there is no certificate for {identity}")]
    Missing {
        identity: Identity,
        #[source]
        cause: Arc<IssueError>,
    },
    #[error("the certificate for {identity} has expired and was not renewed")]
    Expired {
        identity: Identity,
        not_after: UnixTime,
        /// The last failure to renew it, if there was one.
        #[source]
        cause: Option<Arc<IssueError>>,
    },
    #[error("no certificates are given out any more")]
    Closed,
}

/// One certificate of this node, for people.
#[derive(Clone, Debug)]
pub struct Status {
    pub identity: Identity,
    /// `None`: there never was one so far.
    pub certificate: Option<Arc<Certificate>>,
    /// Why the last attempt to have one failed, if it did.
    pub failure: Option<Arc<IssueError>>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) slots: ArcSwap<HashMap<Identity, Arc<Slot>>>,
    pub(crate) asks: mpsc::UnboundedSender<Ask>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) trust: TrustStore,
}

/// The place of one identity.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) state: View<State>,
    /// Whether a connection asked since the last request went out.
    pub(crate) used: AtomicBool,
}

/// What is known of one identity. Both empty: asked, and no answer so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) certificate: Option<Arc<Certificate>>,
    pub(crate) failure: Option<Arc<IssueError>>,
}

/// What the keeper is asked to do.
#[derive(Debug)]
pub(crate) enum Ask {
    Hold(Identity),
    Release(Identity),
    /// A connection needs it and nobody holds it. Answered when there is a slot.
    Want(Identity, oneshot::Sender<()>),
}

impl Identities {
    /// Keeps the certificate of `identity` fresh from now on, as that of a workload of this node.
    pub fn hold(&self, identity: Identity) -> Hold {
        let asks = self.shared.asks.clone();
        // Nobody is there to hear it only when the process ends.
        asks.send(Ask::Hold(identity.clone())).unwrap_or_default();
        Hold { identity, asks }
    }

    /// The certificate of `identity`: the one there is, or the first one when it has come.
    ///
    /// What nobody holds is asked for, and forgotten when it was renewed in vain.
    ///
    /// # Errors
    ///
    /// When the issuer's last answer was no and there is none left that is valid; at once, for
    /// the keeper goes on asking by itself.
    ///
    /// Cancel safe. Without an answer it waits at most as long as the keeper waits for the issuer.
    pub async fn certificate(&self, identity: &Identity) -> Result<Arc<Certificate>, Unavailable> {
        loop {
            let slot = self.shared.slots.load().get(identity).map(Arc::clone);
            let Some(slot) = slot else {
                let (answer, made) = oneshot::channel();
                let ask = Ask::Want(identity.clone(), answer);
                self.shared.asks.send(ask).map_err(|_closed| Unavailable::Closed)?;
                made.await.map_err(|_closed| Unavailable::Closed)?;
                continue;
            };
            slot.used.store(true, Ordering::Relaxed);
            let mut view = slot.state.clone();
            let pinned = view.pin();
            if let Some(answer) = pinned.value.answer(identity, self.shared.clock.now()) {
                return answer;
            }
            let given_up = view.newer_than(pinned.generation).await.is_none();
            let still = self.shared.slots.load().get(identity).map(Arc::clone);
            // A slot that was given up is no longer there, unless the keeper itself has ended.
            if given_up && still.is_some_and(|still| Arc::ptr_eq(&still, &slot)) {
                return Err(Unavailable::Closed);
            }
        }
    }

    /// Waits until there is a valid certificate of `identity`, which somebody holds, however often
    /// the issuer says no before; `None`: there will be none, for the keeper has ended.
    ///
    /// Cancel safe.
    pub async fn certified(&self, identity: &Identity) -> Option<Arc<Certificate>> {
        self.certified_beside(identity, None).await
    }

    /// Waits until there is another one than `seen`, in the same way.
    ///
    /// Cancel safe.
    pub async fn renewed(&self, seen: &Certificate) -> Option<Arc<Certificate>> {
        self.certified_beside(seen.identity(), Some(seen.generation())).await
    }

    async fn certified_beside(
        &self,
        identity: &Identity,
        known: Option<u64>,
    ) -> Option<Arc<Certificate>> {
        loop {
            // Before it is asked for: what comes meanwhile is seen.
            let view = self.shared.slots.load().get(identity).map(|slot| slot.state.clone());
            let seen = view.as_ref().map(|view| view.pin().generation);
            match self.certificate(identity).await {
                Ok(new) if Some(new.generation()) != known => return Some(new),
                Err(Unavailable::Closed) => return None,
                // The one that is known, or none so far.
                Ok(_) | Err(_) => {}
            }
            if let (Some(mut view), Some(seen)) = (view, seen)
                && view.newer_than(seen).await.is_none()
                && self.shared.asks.is_closed()
            {
                return None;
            }
        }
    }

    /// The certificate of `identity` if there is a valid one this moment; asks nobody.
    pub fn certificate_now(&self, identity: &Identity) -> Option<Arc<Certificate>> {
        let slot = self.shared.slots.load().get(identity).map(Arc::clone)?;
        slot.used.store(true, Ordering::Relaxed);
        slot.state.pin().value.answer(identity, self.shared.clock.now())?.ok()
    }

    /// What is believed of peers; who re-checks open connections waits here for a newer one.
    pub fn trust(&self) -> View<Trust> {
        self.shared.trust.view()
    }

    /// Every identity of this node, in the order of their names.
    pub fn status(&self) -> Vec<Status> {
        let slots = self.shared.slots.load();
        let mut all: Vec<Status> = slots
            .iter()
            .map(|(identity, slot)| {
                let State { certificate, failure } = slot.state.pin().value.clone();
                Status { identity: identity.clone(), certificate, failure }
            })
            .collect();
        all.sort_unstable_by(|a, b| a.identity.cmp(&b.identity));
        all
    }
}

impl Hold {
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.asks.send(Ask::Release(self.identity.clone())).unwrap_or_default();
    }
}

impl State {
    /// What a connection gets; `None` while there is no answer.
    fn answer(
        &self,
        identity: &Identity,
        now: UnixTime,
    ) -> Option<Result<Arc<Certificate>, Unavailable>> {
        let identity = || identity.clone();
        match (&self.certificate, &self.failure) {
            (Some(own), _) if !own.validity().has_ended(now) => Some(Ok(Arc::clone(own))),
            (Some(own), cause) => Some(Err(Unavailable::Expired {
                identity: identity(),
                not_after: own.validity().not_after,
                cause: cause.clone(),
            })),
            (None, Some(cause)) => {
                let cause = Arc::clone(cause);
                Some(Err(Unavailable::Missing { identity: identity(), cause }))
            }
            (None, None) => None,
        }
    }
}
