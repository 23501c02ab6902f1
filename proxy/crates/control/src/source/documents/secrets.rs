//! Which Secrets are followed: those that other objects name, and may.
//!
//! An object that begins to name one is as it was until that one is known, for as long as it takes
//! to ask: a certificate that is replaced by another leaves no moment without any.
use super::{Documents, Followed};
use crate::{
    compile::http::credentials,
    object::Objects,
    problem::{Mark, Origin, Source},
};
use culvert_kubernetes::{fault::Fault, kind::Kind, trim::Key};
use culvert_model::name::ObjectName;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// The place of the kind; `None`: none is followed.
    index: Option<usize>,
    /// Those that are named.
    named: BTreeMap<Key, Known>,
    /// Others may be named by now.
    is_open: bool,
}

#[derive(Debug)]
enum Known {
    Awaited,
    /// As it was told, or not there.
    Told,
    Unreadable(Fault),
}

impl Secrets {
    /// Of the kind that is called so, if it is among them; of that one all is known while none is
    /// named.
    pub(super) fn among(kinds: &mut [Followed]) -> Self {
        let index = kinds.iter().position(|followed| is_secret(&followed.kind));
        if let Some(followed) = index.and_then(|index| kinds.get_mut(index)) {
            (followed.is_known, followed.is_there) = (true, true);
        }
        Self { index, named: BTreeMap::new(), is_open: index.is_some() }
    }

    /// An object of a kind changed.
    pub(super) fn heard_of(&mut self, kind: &Kind) {
        self.is_open |= self.index.is_some() && credentials::is_asked(kind.group, kind.kind);
    }

    pub(super) fn looked(&mut self, key: &Key, why: Option<Fault>) {
        if let Some(known) = self.named.get_mut(key) {
            *known = why.map_or(Known::Told, Known::Unreadable);
        }
    }

    /// Whether an object of a kind is one that is to be known: not a Secret that nothing names.
    pub(super) fn may_be(&self, kind: usize, key: &Key) -> bool {
        self.index != Some(kind) || self.named.contains_key(key)
    }

    pub(super) fn is(&self, kind: &Kind) -> bool {
        self.index.is_some() && is_secret(kind)
    }

    pub(super) fn is_known(&self) -> bool {
        !self.is_open && self.named.values().all(|known| !matches!(known, Known::Awaited))
    }

    /// Whether one is still asked for that these objects name.
    pub(super) fn are_awaited_by(&self, objects: &Objects) -> bool {
        let is_awaited =
            |name: ObjectName| matches!(self.named.get(&key(name)), Some(Known::Awaited));
        self.index.is_some() && credentials::named(objects).into_iter().any(is_awaited)
    }

    /// They are to be named again.
    pub(super) fn renew(&mut self) {
        self.is_open = self.index.is_some();
    }

    /// The first that cannot be read, and why.
    pub(super) fn trouble(&self, kind: &Kind) -> Option<(&Fault, String)> {
        let mut all = self.named.iter().filter_map(|(key, known)| match known {
            Known::Unreadable(why) => Some((key, why)),
            Known::Awaited | Known::Told => None,
        });
        let (Key { namespace, name }, why) = all.next()?;
        let more = match all.count() {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let words = match why.is_forbidden() {
            true => format!(
                "{why}; a Role in {namespace} needs apiGroups: [\"\"], resources: [{}], \
                 resourceNames: [{name}], verbs: [list, watch]",
                kind.plural
            ),
            false => why.to_string(),
        };
        Some((why, format!("{namespace}/{name}{more}: {words}")))
    }
}

impl Documents {
    /// The Secrets that are to be followed, when they may be others than at the last call.
    pub(crate) fn choose_secrets(&mut self) -> Option<BTreeSet<Key>> {
        // Who may name what is not known before everything is.
        if !self.secrets.is_open || !self.are_kinds_known() {
            return None;
        }
        self.secrets.is_open = false;
        let mut objects = Objects::default();
        let asked =
            |followed: &&Followed| credentials::is_asked(followed.kind.group, followed.kind.kind);
        for document in self.kinds.iter().filter(asked).flat_map(|one| one.documents.values()) {
            objects.append(document.objects.clone());
        }
        let named: BTreeSet<Key> = credentials::permitted(&objects).into_iter().map(key).collect();
        let before = std::mem::take(&mut self.secrets.named);
        let mut gone = Vec::new();
        for (key, known) in before {
            match named.contains(&key) {
                true => drop(self.secrets.named.insert(key, known)),
                false => gone.push(key),
            }
        }
        for key in &named {
            self.secrets.named.entry(key.clone()).or_insert(Known::Awaited);
        }
        if let Some(index) = self.secrets.index {
            gone.into_iter().for_each(|key| self.deleted(index, key));
        }
        Some(named)
    }
}

/// Has Secrets know their names and what is made of them, and not the text that had all of it.
pub(super) fn forget_text(objects: &mut Objects) {
    for secret in &mut objects.secrets {
        let meta = &mut Arc::make_mut(secret).meta;
        let source = Source::object(meta.origin.file(), "{}".into());
        meta.origin = Origin::new(&source, Mark::value(0));
    }
}

fn is_secret(kind: &Kind) -> bool {
    (kind.group, kind.kind) == ("", "Secret")
}

fn key(ObjectName { namespace, name }: ObjectName) -> Key {
    Key { namespace, name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{
        documents::Difference,
        kinds::{followed, named},
    };
    use culvert_kubernetes::{mirror::Event, trim::Trim};
    use serde_json::{Value, json, value::RawValue};

    fn all() -> Vec<Kind> {
        followed().into_iter().chain([named()]).collect()
    }

    fn place(group: &str, kind: &str) -> usize {
        all().iter().position(|one| (one.group, one.kind) == (group, kind)).unwrap()
    }

    /// Everything else is known.
    fn documents() -> Documents {
        let mut documents = Documents::new(all());
        let kinds = 0..followed().len();
        documents.hear(kinds.map(|kind| Event::Synced { kind, is_there: true }));
        documents.read();
        documents
    }

    fn applied(kind: usize, object: &Value) -> Event {
        let raw = RawValue::from_string(object.to_string()).unwrap();
        let trimmed = Trim::new(&all()[kind]).object(&all()[kind].api_version(0), &raw).unwrap();
        Event::Applied { kind, key: trimmed.key, json: trimmed.json }
    }

    fn gateway(secret: &str) -> Event {
        let tls = json!({"certificateRefs": [{"name": secret}]});
        let listener = json!({"name": "https", "port": 443, "protocol": "HTTPS", "tls": tls});
        applied(
            place("gateway.networking.k8s.io", "Gateway"),
            &json!({
                "metadata": {"name": "edge", "namespace": "shop"},
                "spec": {"gatewayClassName": "culvert", "listeners": [listener]},
            }),
        )
    }

    fn secret(name: &str) -> Event {
        applied(
            place("", "Secret"),
            &json!({
                "metadata": {"name": name, "namespace": "shop"}, "type": "kubernetes.io/tls",
                "data": {"tls.crt": "aHVudGVyMg==", "tls.key": "aHVudGVyMg==", "more": "aHVudGVyMg=="},
            }),
        )
    }

    fn looked(name: &str, why: Option<Fault>) -> Event {
        let key = Key { namespace: "shop".into(), name: name.into() };
        Event::Looked { kind: place("", "Secret"), key, why }
    }

    /// What came of events: the gateways and the secrets that are new.
    fn hear(documents: &mut Documents, events: impl IntoIterator<Item = Event>) -> (usize, usize) {
        documents.hear(events);
        documents.read();
        documents.choose_secrets();
        let Difference { new, .. } = documents.difference();
        (new.kubernetes_gateways.len(), new.secrets.len())
    }

    #[test]
    fn an_object_waits_until_what_it_names_is_known() {
        let mut documents = documents();
        assert_eq!(hear(&mut documents, [secret("web")]), (0, 0), "nothing names it");
        assert_eq!(hear(&mut documents, [gateway("web")]), (0, 0));
        assert!(!documents.is_known());
        assert_eq!(hear(&mut documents, [secret("web"), looked("web", None)]), (1, 1));
        assert!(documents.is_known());
        // It names another, and is as it was until that one is known to be missing.
        assert_eq!(hear(&mut documents, [gateway("new")]), (0, 0));
        assert_eq!(hear(&mut documents, [looked("new", None)]), (1, 0));
        // What came late of the one before is not taken in.
        assert_eq!(hear(&mut documents, [secret("web")]), (0, 0));
    }

    #[test]
    fn what_cannot_be_read_is_told_and_holds_up_nothing() {
        let mut documents = documents();
        let why = Fault::Answer { code: 403, message: "secrets is forbidden".into() };
        hear(&mut documents, [gateway("web")]);
        assert_eq!(hear(&mut documents, [looked("web", Some(why))]), (1, 0));
        assert!(documents.is_known());
        let kinds = documents.kinds();
        let because = kinds.last().unwrap().because.as_ref().unwrap();
        assert!(because.starts_with("shop/web: "), "{because}");
        assert!(because.contains("a Role in shop needs") && because.contains("[web]"), "{because}");
        hear(&mut documents, [secret("web"), looked("web", None)]);
        assert_eq!(documents.kinds().last().unwrap().because, None);
    }

    #[test]
    fn nothing_of_its_content_is_shown() {
        let mut documents = documents();
        hear(&mut documents, [gateway("web")]);
        documents.hear([secret("web"), looked("web", None)]);
        documents.read();
        let told = format!("{documents:?}");
        assert!(told.contains("(hidden)"), "{told}");
        assert!(!told.contains("hunter2") && !told.contains("aHVudGVyMg"), "{told}");
    }
}
