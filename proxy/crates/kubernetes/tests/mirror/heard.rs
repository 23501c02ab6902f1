//! What somebody knows who hears a mirror.
use crate::api::Api;
use culvert_kubernetes::{
    fault::Fault,
    kind::Kind,
    mirror::{Chosen, Event, Mirror},
};
use std::{collections::BTreeMap, time::Duration};
use tokio::time;

/// Far longer than anything here takes.
const AT_MOST: Duration = Duration::from_secs(30);

pub(crate) struct Heard {
    mirror: Mirror,
    /// By kind and name: the JSON.
    pub(crate) objects: BTreeMap<(usize, String), String>,
    pub(crate) synced: BTreeMap<usize, bool>,
    pub(crate) unavailable: BTreeMap<usize, Fault>,
    /// By name, those that were looked for; and what was wrong then.
    pub(crate) looked: BTreeMap<String, Option<String>>,
    /// Objects that were told, each time.
    pub(crate) told: usize,
}

pub(crate) fn secrets() -> Kind {
    Kind::built_in("", &["v1"], "Secret", "secrets", &["spec"])
}

pub(crate) fn pods() -> Kind {
    Kind::built_in("", &["v1"], "Pod", "pods", &["spec"])
}

pub(crate) fn policies() -> Kind {
    let (group, versions) = ("security.istio.io", &["v1", "v1beta1"]);
    Kind::custom(group, versions, "AuthorizationPolicy", "authorizationpolicies", &["spec"])
}

impl Heard {
    pub(crate) async fn start(api: &Api, kinds: &[Kind]) -> Self {
        Self::of(Mirror::start(&api.client().await, kinds, &api.drain.worker()))
    }

    /// With secrets by their names.
    pub(crate) async fn start_with(api: &Api, kinds: &[Kind]) -> (Self, Chosen) {
        let (client, worker) = (api.client().await, api.drain.worker());
        let (mirror, chosen) = Mirror::start_with(&client, kinds, &[secrets()], &worker);
        (Self::of(mirror), chosen)
    }

    fn of(mirror: Mirror) -> Self {
        Self {
            mirror,
            objects: BTreeMap::new(),
            synced: BTreeMap::new(),
            unavailable: BTreeMap::new(),
            looked: BTreeMap::new(),
            told: 0,
        }
    }

    /// Listens until something is so.
    #[track_caller]
    pub(crate) fn until(
        &mut self,
        what: &'static str,
        is_so: impl Fn(&Self) -> bool,
    ) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            let listen = async {
                while !is_so(self) {
                    let event = self.mirror.next().await.expect("the mirror goes on");
                    self.hear(event);
                }
            };
            let late = time::timeout(AT_MOST, listen).await.is_err();
            assert!(!late, "{place}: never {what}: {:?} {:?}", self.objects, self.unavailable);
        }
    }

    /// Listens until these are the objects of a kind.
    #[track_caller]
    pub(crate) fn holds<'a>(
        &'a mut self,
        kind: usize,
        names: &'a [&'a str],
    ) -> impl Future<Output = ()> + 'a {
        self.until("the objects", move |heard| heard.names(kind) == names)
    }

    pub(crate) fn names(&self, kind: usize) -> Vec<&str> {
        self.objects.keys().filter(|(of, _)| *of == kind).map(|(_, name)| &**name).collect()
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Applied { kind, key, json } => {
                self.told += 1;
                let json = json.unwrap().to_string();
                assert!(!json.contains("managedFields") && !json.contains("status"), "{json}");
                self.objects.insert((kind, key.name.to_string()), json);
            }
            Event::Deleted { kind, key } => {
                let gone = self.objects.remove(&(kind, key.name.to_string()));
                assert!(gone.is_some(), "{key:?} was never there");
            }
            Event::Synced { kind, is_there } => {
                self.synced.insert(kind, is_there);
                self.unavailable.remove(&kind);
            }
            Event::Unavailable { kind, why } => drop(self.unavailable.insert(kind, why)),
            Event::Looked { key, why, .. } => {
                self.looked.insert(key.name.to_string(), why.map(|why| why.to_string()));
            }
        }
    }
}
