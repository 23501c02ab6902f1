//! Who follows Envoy's discovery, and how far each one is.
use super::door::Peer;
use crate::envoy::serve::session::Progress;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc, time::Instant};

/// All who have a stream; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Followers(Arc<Mutex<BTreeMap<u64, Follower>>>);

/// Somebody who follows.
#[derive(Clone, Debug)]
pub struct Follower {
    pub whose: Whose,
    pub peer: Peer,
    /// `delta`, or `state of the world`.
    pub protocol: &'static str,
    pub since: Instant,
    pub progress: Progress,
}

/// Who somebody is, and what it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whose {
    /// As it calls itself.
    pub id: Arc<str>,
    /// The node that it is on, as far as that is known.
    pub node: Arc<str>,
    /// For people: a namespace, or a gateway.
    pub scope: Arc<str>,
    /// It proved to be of there; else it only listens.
    pub proven: bool,
}

/// Keeps one stream listed; taken off when dropped.
#[derive(Debug)]
pub(crate) struct Listed {
    followers: Followers,
    key: u64,
    whose: Whose,
}

impl Followers {
    /// In the order in which they came.
    pub fn list(&self) -> Vec<Follower> {
        self.0.lock().values().cloned().collect()
    }

    pub(crate) fn enter(&self, whose: Whose, peer: Peer, protocol: &'static str) -> Listed {
        let mut all = self.0.lock();
        let key = all.last_key_value().map_or(0, |(key, _)| key.wrapping_add(1));
        let (since, progress) = (Instant::now(), Progress::default());
        all.insert(key, Follower { whose: whose.clone(), peer, protocol, since, progress });
        drop(all);
        Listed { followers: self.clone(), key, whose }
    }
}

impl Listed {
    pub(crate) fn whose(&self) -> &Whose {
        &self.whose
    }

    /// How far it is now.
    pub(crate) fn set(&self, progress: Progress) {
        if let Some(follower) = self.followers.0.lock().get_mut(&self.key) {
            follower.progress = progress;
        }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let gone = self.followers.0.lock().remove(&self.key);
        drop(gone);
    }
}
