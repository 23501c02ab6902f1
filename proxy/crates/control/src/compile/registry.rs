//! All services: who has a host where several claim it, and who gets which address.
use super::{
    mesh::Offered,
    select::{Labels, Selectors},
    service::Draft,
    store::{Key, Kind},
    vip::{self, Asking, Place},
};
use crate::problem::Problem;
use culvert_model::{
    name::{ObjectName, ServiceName},
    network::NetworkRange,
    service::Visibility,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// Every service that is offered.
#[derive(Debug, Default)]
pub(super) struct Registry {
    drafts: BTreeMap<Key, Vec<Arc<Draft>>>,
    by_host: HashMap<Arc<str>, BTreeSet<(Arc<str>, Key)>>,
    /// Hosts that are claimed more than once.
    disputed: BTreeSet<Arc<str>>,
    /// In which namespaces a host has winners.
    won: HashMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// The draft that counts for a name.
    winners: BTreeMap<ServiceName, Winner>,
    asking: Asking,
    places: BTreeMap<ServiceName, Place>,
    selectors: Selectors<ServiceName>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Winner {
    draft: Arc<Draft>,
    canonical: bool,
}

/// What a change of some drafts has changed.
#[derive(Debug, Default)]
pub(super) struct Changed {
    /// What is offered anew, or no longer.
    pub(super) offered: BTreeMap<ServiceName, Option<Arc<Offered>>>,
    /// Namespaces in which other workloads than before may be endpoints.
    pub(super) namespaces: BTreeSet<Arc<str>>,
}

impl Registry {
    /// Takes over what some objects offer now.
    pub(super) fn change(&mut self, drafts: BTreeMap<Key, Vec<Draft>>) -> Changed {
        let mut hosts = BTreeSet::new();
        for (key, new) in drafts {
            for old in self.drafts.remove(&key).unwrap_or_default() {
                hosts.insert(Arc::clone(&old.service.host.hostname));
                self.disclaim(&old);
            }
            for draft in &new {
                let host = &draft.service.host;
                let claims = self.by_host.entry(Arc::clone(&host.hostname)).or_default();
                claims.insert((Arc::clone(&host.namespace), key.clone()));
                hosts.insert(Arc::clone(&host.hostname));
            }
            if !new.is_empty() {
                self.drafts.insert(key, new.into_iter().map(Arc::new).collect());
            }
        }
        let mut changed = Changed::default();
        let mut renew = BTreeSet::new();
        let mut asking_changed = false;
        for host in hosts {
            match self.by_host.get(&host).is_some_and(|claims| claims.len() > 1) {
                true => _ = self.disputed.insert(Arc::clone(&host)),
                false => _ = self.disputed.remove(&host),
            }
            asking_changed |= self.decide(&host, &mut renew, &mut changed);
        }
        if asking_changed {
            let places = vip::places(&self.asking);
            let moved = places.iter().filter(|(name, place)| self.places.get(*name) != Some(place));
            renew.extend(moved.map(|(name, _)| name.clone()));
            self.places = places;
        }
        for name in renew {
            let offered = self.winners.get(&name).map(|winner| Arc::new(self.offer(winner)));
            changed.offered.insert(name, offered);
        }
        changed
    }

    fn disclaim(&mut self, draft: &Draft) {
        let host = &draft.service.host;
        let Some(claims) = self.by_host.get_mut(&host.hostname) else { return };
        claims.remove(&(Arc::clone(&host.namespace), draft.key.clone()));
        if claims.is_empty() {
            self.by_host.remove(&host.hostname);
        }
    }

    /// Finds out who has a host now; says whether other addresses are asked for.
    fn decide(
        &mut self,
        host: &Arc<str>,
        renew: &mut BTreeSet<ServiceName>,
        changed: &mut Changed,
    ) -> bool {
        let winners = self.winners_of(host);
        let namespaces: BTreeSet<Arc<str>> =
            winners.keys().map(|name| Arc::clone(&name.namespace)).collect();
        let before = match namespaces.is_empty() {
            true => self.won.remove(host),
            false => self.won.insert(Arc::clone(host), namespaces.clone()),
        };
        let mut asking_changed = false;
        for namespace in before.unwrap_or_default().union(&namespaces) {
            let hostname = Arc::clone(host);
            let name = ServiceName { namespace: Arc::clone(namespace), hostname };
            let (old, new) = (self.winners.get(&name).cloned(), winners.get(&name).cloned());
            if new != old {
                asking_changed |= self.replace(&name, old.as_ref(), new, changed);
                renew.insert(name);
            }
        }
        asking_changed
    }

    /// Puts a winner in the place of another; says whether other addresses are asked for.
    fn replace(
        &mut self,
        name: &ServiceName,
        old: Option<&Winner>,
        new: Option<Winner>,
        changed: &mut Changed,
    ) -> bool {
        let serves =
            |winner: &Winner| (Arc::clone(&winner.draft.selector), Arc::clone(&winner.draft.ports));
        if old.map(serves) != new.as_ref().map(serves)
            || old.map(|old| &old.draft.key) != new.as_ref().map(|new| &new.draft.key)
        {
            changed.namespaces.insert(Arc::clone(&name.namespace));
        }
        let asks = |winner: &Winner| {
            winner.draft.allocate.then(|| (winner.draft.created.clone(), name.clone()))
        };
        let (asked, asks) = (old.and_then(asks), new.as_ref().and_then(asks));
        let other = asked != asks;
        if let Some(asked) = asked {
            self.asking.remove(&asked);
        }
        self.asking.extend(asks);
        if let Some(old) = old
            && !old.draft.selector.is_empty()
        {
            self.selectors.remove(&name.namespace, name, &old.draft.selector);
        }
        let Some(new) = new else {
            self.winners.remove(name);
            return other;
        };
        if !new.draft.selector.is_empty() {
            self.selectors.insert(&name.namespace, name.clone(), &new.draft.selector);
        }
        self.winners.insert(name.clone(), new);
        other
    }

    /// The draft that has a name.
    pub(super) fn get(&self, name: &ServiceName) -> Option<&Arc<Draft>> {
        self.winners.get(name).map(|winner| &winner.draft)
    }

    /// The services that a workload with `labels` is chosen by.
    pub(super) fn choosing(&self, namespace: &str, labels: &Labels<'_>) -> Vec<&Arc<Draft>> {
        let names = self.selectors.choosing(namespace, labels);
        names.iter().filter_map(|name| self.get(name)).collect()
    }

    /// The drafts of an object that have their names.
    pub(super) fn of(&self, kind: Kind, name: &ObjectName) -> impl Iterator<Item = &Arc<Draft>> {
        let drafts = self.drafts.get(&(kind, name.clone())).into_iter().flatten();
        drafts.filter(|draft| {
            self.get(&draft.service.host).is_some_and(|winner| winner.key == draft.key)
        })
    }

    /// Warnings about hosts that are claimed twice in one namespace.
    pub(super) fn notes(&self) -> impl Iterator<Item = Problem> {
        let twice = self.disputed.iter().filter_map(|host| self.by_host.get(host)).flatten();
        let drafts = twice.flat_map(|(_, key)| self.drafts.get(key).into_iter().flatten());
        drafts.filter_map(|draft| {
            let winner = self.get(&draft.service.host)?;
            (winner.key != draft.key).then(|| {
                let message = format!(
                    "the host {} is that of {} already: ignored here",
                    draft.service.host.hostname, winner.origin
                );
                draft.origin.warning(message)
            })
        })
    }

    /// Who has a host, namespace by namespace: a Kubernetes service before others, then the oldest.
    fn winners_of(&self, host: &Arc<str>) -> BTreeMap<ServiceName, Winner> {
        let claims = self.by_host.get(host).into_iter().flatten();
        let mut best: BTreeMap<ServiceName, Arc<Draft>> = BTreeMap::new();
        for (namespace, key) in claims {
            let drafts = self.drafts.get(key).into_iter().flatten();
            let Some(draft) = drafts.into_iter().find(|draft| draft.service.host.hostname == *host)
            else {
                continue;
            };
            let name = ServiceName { namespace: Arc::clone(namespace), hostname: Arc::clone(host) };
            let is_better = best.get(&name).is_none_or(|best| rank(draft) < rank(best));
            if is_better {
                best.insert(name, Arc::clone(draft));
            }
        }
        let public = best.values().filter(|draft| {
            draft.key.0 == Kind::Service || draft.service.visibility == Visibility::Public
        });
        let canonical = public.min_by_key(|draft| rank(draft)).cloned();
        let is_canonical =
            |draft: &Arc<Draft>| canonical.as_ref().is_some_and(|one| Arc::ptr_eq(one, draft));
        best.into_iter()
            .map(|(name, draft)| {
                let canonical = is_canonical(&draft);
                (name, Winner { draft, canonical })
            })
            .collect()
    }

    fn offer(&self, winner: &Winner) -> Offered {
        let Winner { draft, canonical } = winner;
        let mut service = draft.service.clone();
        service.canonical = *canonical;
        if let (true, Some(place)) = (draft.allocate, self.places.get(&service.host)) {
            let network = || Arc::clone(&draft.network);
            service.vips = (vip::addresses(*place).into_iter())
                .map(|ip| NetworkRange::new(network(), ip.into()))
                .collect();
        }
        Offered { service: Arc::new(service), origin: draft.origin.to_string().into() }
    }
}

/// What decides between drafts of one host, the least first.
fn rank(draft: &Draft) -> impl Ord + '_ {
    (&draft.key.0, draft.created.as_deref(), &draft.key.1)
}
