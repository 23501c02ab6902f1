//! The objects of the Kubernetes API as they were read: each by itself.
//!
//! Of one that cannot be understood the last version that could stays; where there was none, a
//! policy closes what it could select, and everything else is left out.
use super::{Difference, kinds::NETWORKING};
use crate::{
    object::{Objects, closed},
    problem::{Mark, Origin, Problem, Source},
    status::{Counts, Instead, Invalid, KindState, KindStatus},
};
use culvert_kubernetes::{fault::Fault, kind::Kind, mirror::Event, trim::Key};
use culvert_model::name::ObjectName;
use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    sync::Arc,
};

mod gateways;
mod secrets;
mod standings;

use gateways::Heard;
use secrets::Secrets;
use standings::{Header, stands};

/// Everything that was told.
#[derive(Debug)]
pub(crate) struct Documents {
    kinds: Vec<Followed>,
    /// Told, and not read so far.
    queue: VecDeque<Event>,
    /// Those that differ from what was compiled last, and what was compiled of them.
    touched: BTreeMap<(usize, Key), Objects>,
    /// Some object of Istio was told of, or is gone, since it was asked how they stand.
    standings_changed: bool,
    secrets: Secrets,
    gateways: Heard,
}

/// What is known of one kind.
#[derive(Debug)]
struct Followed {
    kind: Kind,
    documents: BTreeMap<Key, Document>,
    /// All of it was told, at least once.
    is_known: bool,
    is_there: bool,
    unavailable: Option<Fault>,
}

/// One object of the API.
#[derive(Debug)]
struct Document {
    /// As they are in force.
    objects: Objects,
    /// It is not in force as it is.
    invalid: Option<(Instead, Vec<Problem>)>,
    /// Of those that are told what became of them.
    header: Option<Box<Header>>,
}

impl Documents {
    pub(crate) fn new(kinds: Vec<Kind>) -> Self {
        let followed = |kind| Followed {
            kind,
            documents: BTreeMap::new(),
            is_known: false,
            is_there: false,
            unavailable: None,
        };
        let mut kinds: Vec<_> = kinds.into_iter().map(followed).collect();
        let secrets = Secrets::among(&mut kinds);
        let (queue, touched) = (VecDeque::new(), BTreeMap::new());
        let gateways = Heard::default();
        Self { kinds, queue, touched, standings_changed: true, secrets, gateways }
    }

    /// Takes events in; they are read by [`read`](Self::read).
    pub(crate) fn hear(&mut self, events: impl IntoIterator<Item = Event>) {
        self.queue.extend(events);
    }

    /// Reads what was told.
    pub(crate) fn read(&mut self) {
        // Taken out first: should one be too much for the reader, the others are still there.
        while let Some(event) = self.queue.pop_front() {
            match event {
                Event::Applied { kind, key, json } => self.applied(kind, key, &json),
                Event::Deleted { kind, key } => self.deleted(kind, key),
                Event::Looked { kind, key, why } => self.secrets.looked(&(kind, key), why),
                Event::Synced { kind, is_there } => {
                    let Some(followed) = self.kinds.get_mut(kind) else { continue };
                    (followed.is_known, followed.is_there) = (true, is_there);
                    self.gateways.heard_of(&followed.kind);
                    followed.unavailable = None;
                }
                Event::Unavailable { kind, why } => {
                    let Some(followed) = self.kinds.get_mut(kind) else { continue };
                    followed.unavailable = Some(why);
                }
            }
        }
    }

    fn deleted(&mut self, index: usize, key: Key) {
        let Some(followed) = self.kinds.get_mut(index) else { return };
        if let Some(gone) = followed.documents.remove(&key) {
            self.standings_changed |= stands(&followed.kind);
            self.gateways.heard_of(&followed.kind);
            self.secrets.heard_of(&followed.kind);
            self.touched.entry((index, key)).or_insert(gone.objects);
        }
    }

    fn applied(&mut self, index: usize, key: Key, json: &Result<Arc<str>, Arc<str>>) {
        if !self.secrets.may_be(index, &key) {
            return;
        }
        let Some(Followed { kind, documents, .. }) = self.kinds.get_mut(index) else { return };
        self.secrets.heard_of(kind);
        let name = ObjectName::new(Arc::clone(&key.namespace), Arc::clone(&key.name));
        let header = Header::of(kind, json.as_deref().unwrap_or("{}"));
        self.standings_changed |= stands(kind);
        self.gateways.heard_of(kind);
        let source = Source::object(
            called(kind, &key),
            match json {
                Ok(json) => Arc::clone(json),
                Err(_) => "{}".into(),
            },
        );
        let (mut objects, mut problems) = match json {
            Ok(_) => Objects::of_api(&source),
            Err(why) => {
                let problem = Origin::new(&source, Mark::value(0)).error(&**why);
                (Objects::default(), vec![problem.of(object(kind.kind, &key))])
            }
        };
        secrets::forget_text(&mut objects);
        if self.secrets.has_place(index) {
            // They are followed where they are looked for.
            objects.settings.clear();
        }
        let before = documents.remove(&key);
        let document = if problems.is_empty() {
            Document { objects, invalid: None, header }
        } else {
            problems.sort();
            let earlier = before.as_ref().filter(|before| {
                // A stand-in is no version of it.
                before.invalid.as_ref().is_none_or(|(instead, _)| *instead == Instead::Earlier)
            });
            let (objects, instead) = match earlier {
                Some(earlier) => (earlier.objects.clone(), Instead::Earlier),
                None => match closed::stand_in(kind.kind, &name, &source) {
                    Some(closed) => (closed, Instead::Closed),
                    None => (Objects::default(), Instead::LeftOut),
                },
            };
            Document { objects, invalid: Some((instead, problems)), header }
        };
        documents.insert(key.clone(), document);
        let compiled = before.map(|before| before.objects).unwrap_or_default();
        self.touched.entry((index, key)).or_insert(compiled);
    }

    /// What changed since the last call.
    pub(crate) fn difference(&mut self) -> Difference {
        let mut difference = Difference::default();
        for ((kind, key), before) in mem::take(&mut self.touched) {
            let now = self.kinds.get(kind).and_then(|followed| followed.documents.get(&key));
            if now.is_some_and(|now| self.secrets.are_awaited_by(&now.objects)) {
                self.touched.insert((kind, key), before);
                continue;
            }
            difference.gone.append(before);
            if let Some(now) = now {
                difference.new.append(now.objects.clone());
            }
        }
        difference
    }

    /// Nothing of it counts as compiled any more.
    pub(crate) fn renew(&mut self) {
        self.touched.clear();
        self.secrets.renew();
        for (index, followed) in self.kinds.iter().enumerate() {
            let keys = followed.documents.keys();
            self.touched.extend(keys.map(|key| ((index, key.clone()), Objects::default())));
        }
    }

    /// Whether everything was told at least once.
    pub(crate) fn is_known(&self) -> bool {
        self.are_kinds_known() && self.secrets.is_known()
    }

    fn are_kinds_known(&self) -> bool {
        self.kinds.iter().all(|followed| followed.is_known)
    }

    /// How the kinds are, in the order in which they are followed.
    pub(crate) fn kinds(&self) -> Vec<KindStatus> {
        let of = |followed: &Followed| {
            let Followed { kind, documents, is_known, is_there, unavailable } = followed;
            let Kind { group, plural, .. } = kind;
            let selector = kind.selector.as_deref().unwrap_or_default();
            let because = match (unavailable, self.secrets.is(kind)) {
                (Some(why), _) => Some((why, why.in_words(kind))),
                (None, true) => self.secrets.trouble(kind),
                (None, false) => None,
            };
            let state = match (&because, is_known, is_there) {
                (Some(_), ..) => KindState::Unavailable,
                (None, false, _) => KindState::Unknown,
                (None, true, true) => KindState::Followed,
                (None, true, false) => KindState::Undefined,
            };
            KindStatus {
                kind: match (*group, selector) {
                    ("", "") => (*plural).to_owned(),
                    ("", selector) => format!("{plural} {selector}"),
                    (group, _) => format!("{plural}.{group}"),
                },
                state,
                is_reachable: !matches!(because, Some((Fault::Unreachable(_), _))),
                because: because.map(|(_, words)| words),
                objects: documents.len(),
            }
        };
        self.kinds.iter().map(of).collect()
    }

    /// Objects that are not in force as they are.
    pub(crate) fn invalid(&self) -> Vec<Invalid> {
        let of = |(followed, key, document): (&Followed, &Key, &Document)| {
            let (instead, problems) = document.invalid.clone()?;
            Some(Invalid { object: object(followed.kind.kind, key), instead, problems })
        };
        let all = self.kinds.iter().flat_map(|followed| {
            followed.documents.iter().map(move |(key, document)| (followed, key, document))
        });
        all.filter_map(of).collect()
    }

    /// How much is there.
    pub(crate) fn counts(&self) -> Counts {
        let of = |kind: &str| {
            let followed = self.kinds.iter().filter(|followed| followed.kind.kind == kind);
            followed.map(|followed| followed.documents.len()).sum()
        };
        Counts { namespaces: of("Namespace"), pods: of("Pod"), local: 0, skipped: 0 }
    }
}

/// `Kind/namespace/name`
fn object(kind: &str, Key { namespace, name }: &Key) -> String {
    if namespace.is_empty() {
        format!("{kind}/{name}")
    } else {
        format!("{kind}/{namespace}/{name}")
    }
}

/// For people, and like no other object.
fn called(kind: &Kind, Key { namespace, name }: &Key) -> String {
    let of = if (kind.group, kind.kind) == (NETWORKING, "Gateway") { "Istio " } else { "" };
    let slash = if namespace.is_empty() { "" } else { "/" };
    format!("{of}{} {namespace}{slash}{name} in the Kubernetes API", kind.kind)
}

#[cfg(test)]
mod tests;
