//! The TLS of a cluster's ways, with the secrets of a moment.
use crate::pool::Speaks;
use culvert_identity::{
    clock::Clock,
    edge::{EdgeError, client::ClientSide},
};
use culvert_model::http::{
    secret::{Secret, SecretRef},
    snapshot::Table,
    tls::UpstreamTls,
};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

/// Made when first needed: few clusters of many are used.
pub(super) struct Sides {
    secrets: Table<Secret>,
    /// What was looked up, and what there was.
    used: Mutex<HashMap<Arc<str>, Option<Arc<Secret>>>>,
    /// By way, and by what is spoken.
    made: Vec<[OnceLock<Result<ClientSide, EdgeError>>; 4]>,
}

impl Sides {
    pub(super) fn new(ways: usize, secrets: Table<Secret>) -> Self {
        let made = (0..ways).map(|_| std::array::from_fn(|_| OnceLock::new())).collect();
        Self { secrets, used: Mutex::default(), made }
    }

    /// Others, if what was looked up is not the same in `secrets`.
    pub(super) fn after(&self, secrets: &Table<Secret>) -> Option<Self> {
        if self.secrets.is_same(secrets) {
            return None;
        }
        let used = self.used.lock();
        let same =
            |(name, before): (&Arc<str>, &Option<Arc<Secret>>)| match (before, secrets.value(name))
            {
                (Some(before), Some(now)) => Arc::ptr_eq(before, now) || before == now,
                (None, None) => true,
                _ => false,
            };
        let nothing_new = !used.is_empty() && used.iter().all(same);
        (!nothing_new).then(|| Self::new(self.made.len(), secrets.clone()))
    }

    /// The side that offers these protocols, whatever is spoken.
    pub(super) fn offering(
        &self,
        alpn: &[Arc<str>],
        context: &UpstreamTls,
        clock: &Arc<dyn Clock>,
    ) -> Result<ClientSide, EdgeError> {
        let alpn: Vec<&str> = alpn.iter().map(|name| &**name).collect();
        ClientSide::new(context, Some(&alpn), &|name: &SecretRef| self.find(name), clock)
    }

    fn find(&self, name: &SecretRef) -> Option<Secret> {
        let found = self.secrets.value(&name.name).cloned();
        self.used.lock().insert(Arc::clone(&name.name), found.clone());
        found.map(|secret| Secret::clone(&secret))
    }

    /// The side of a way; `speaks` is `None` for what is no HTTP.
    pub(super) fn side(
        &self,
        way: usize,
        context: &UpstreamTls,
        speaks: Option<Speaks>,
        clock: &Arc<dyn Clock>,
    ) -> Result<ClientSide, EdgeError> {
        let (kind, alpn): (usize, Option<&[&str]>) = match speaks {
            None => (0, None),
            Some(Speaks::Http1) => (1, Some(&["http/1.1"])),
            Some(Speaks::Http2) => (2, Some(&["h2"])),
            Some(Speaks::Negotiated) => (3, Some(&["h2", "http/1.1"])),
        };
        // What is configured goes first; only what is negotiated needs both.
        let configured = !context.common.alpn.is_empty() && speaks != Some(Speaks::Negotiated);
        let alpn = alpn.filter(|_| !configured);
        let find = |name: &SecretRef| self.find(name);
        let make = || ClientSide::new(context, alpn, &find, clock);
        match self.made.get(way).and_then(|kinds| kinds.get(kind)) {
            Some(kept) => kept.get_or_init(make).clone(),
            None => make(),
        }
    }
}
