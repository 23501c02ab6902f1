//! Which Secrets, and `ConfigMap`s with roots, are followed: those that other objects name, and may.
//!
//! An object that begins to name one is as it was until that one is known, for as long as it takes
//! to ask: a certificate that is replaced by another leaves no moment without any.
use super::{Documents, Followed};
use crate::{
    compile::http::credentials::{self, Holder},
    object::Objects,
    problem::{Mark, Origin, Source},
};
use culvert_kubernetes::{fault::Fault, kind::Kind, mirror::Choice, trim::Key};
use culvert_model::name::ObjectName;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// The places of their kinds; none: none is followed.
    places: BTreeMap<Holder, usize>,
    /// Those that are named.
    named: BTreeMap<Choice, Known>,
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
    /// Of the kinds that are called so, if they are among them; of those all is known while none is
    /// named.
    pub(super) fn among(kinds: &mut [Followed]) -> Self {
        let mut places = BTreeMap::new();
        for (index, followed) in kinds.iter_mut().enumerate() {
            if let Some(holder) = holder(&followed.kind) {
                (followed.is_known, followed.is_there) = (true, true);
                places.insert(holder, index);
            }
        }
        Self { is_open: !places.is_empty(), places, named: BTreeMap::new() }
    }

    /// An object of a kind changed.
    pub(super) fn heard_of(&mut self, kind: &Kind) {
        self.is_open |= !self.places.is_empty() && credentials::is_asked(kind.group, kind.kind);
    }

    pub(super) fn looked(&mut self, choice: &Choice, why: Option<Fault>) {
        if let Some(known) = self.named.get_mut(choice) {
            *known = why.map_or(Known::Told, Known::Unreadable);
        }
    }

    /// Whether an object of a kind is one that is to be known: not a Secret that nothing names.
    pub(super) fn may_be(&self, kind: usize, key: &Key) -> bool {
        !self.has_place(kind) || self.named.contains_key(&(kind, key.clone()))
    }

    /// Whether a kind is one of which only what is named is followed.
    pub(super) fn has_place(&self, kind: usize) -> bool {
        self.places.values().any(|place| *place == kind)
    }

    pub(super) fn is(&self, kind: &Kind) -> bool {
        holder(kind).is_some_and(|holder| self.places.contains_key(&holder))
    }

    pub(super) fn is_known(&self) -> bool {
        !self.is_open && self.named.values().all(|known| !matches!(known, Known::Awaited))
    }

    /// Whether one is still asked for that these objects name.
    pub(super) fn are_awaited_by(&self, objects: &Objects) -> bool {
        let is_awaited = |choice: Choice| matches!(self.named.get(&choice), Some(Known::Awaited));
        !self.places.is_empty() && self.choices(credentials::named(objects)).any(is_awaited)
    }

    fn choices(
        &self,
        named: impl IntoIterator<Item = (Holder, ObjectName)>,
    ) -> impl Iterator<Item = Choice> {
        named.into_iter().filter_map(|(holder, ObjectName { namespace, name })| {
            Some((*self.places.get(&holder)?, Key { namespace, name }))
        })
    }

    /// They are to be named again.
    pub(super) fn renew(&mut self) {
        self.is_open = !self.places.is_empty();
    }

    /// The first of a kind that cannot be read, and why.
    pub(super) fn trouble(&self, kind: &Kind) -> Option<(&Fault, String)> {
        let place = self.places.get(&holder(kind)?)?;
        let of_kind = self.named.iter().filter(|((of, _), _)| of == place);
        let mut all = of_kind.filter_map(|((_, key), known)| match known {
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
    /// Those that are to be followed, when they may be others than at the last call.
    pub(crate) fn choose_secrets(&mut self) -> Option<BTreeSet<Choice>> {
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
        let named: BTreeSet<Choice> =
            self.secrets.choices(credentials::permitted(&objects)).collect();
        let before = std::mem::take(&mut self.secrets.named);
        let mut gone = Vec::new();
        for (choice, known) in before {
            match named.contains(&choice) {
                true => drop(self.secrets.named.insert(choice, known)),
                false => gone.push(choice),
            }
        }
        for choice in &named {
            self.secrets.named.entry(choice.clone()).or_insert(Known::Awaited);
        }
        gone.into_iter().for_each(|(index, key)| self.deleted(index, key));
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

/// What a kind is followed for by names; of the settings of the mesh all are.
fn holder(kind: &Kind) -> Option<Holder> {
    match (kind.group, kind.kind, &kind.selector) {
        ("", "Secret", _) => Some(Holder::Secret),
        ("", "ConfigMap", None) => Some(Holder::ConfigMap),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{
        Difference,
        kinds::{followed, named},
    };
    use culvert_kubernetes::{mirror::Event, trim::Trim};
    use serde_json::{Value, json, value::RawValue};

    fn all() -> Vec<Kind> {
        followed().into_iter().chain(named()).collect()
    }

    fn place(group: &str, kind: &str) -> usize {
        let is_it = |one: &Kind| (one.group, one.kind, &one.selector) == (group, kind, &None);
        all().iter().position(is_it).unwrap()
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
        looked_at("Secret", name, why)
    }

    fn looked_at(kind: &str, name: &str, why: Option<Fault>) -> Event {
        let key = Key { namespace: "shop".into(), name: name.into() };
        Event::Looked { kind: place("", kind), key, why }
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
    fn roots_in_a_config_map_are_followed_as_secrets_are() {
        let mut documents = documents();
        let roots = |name: &str| {
            let data = json!({"ca.crt": "-----BEGIN CERTIFICATE-----", "more": "kept by others"});
            let object = json!({"metadata": {"name": name, "namespace": "shop"}, "data": data});
            applied(place("", "ConfigMap"), &object)
        };
        let named = json!([{"group": "", "kind": "ConfigMap", "name": "roots"}]);
        let policy = applied(
            place("gateway.networking.k8s.io", "BackendTLSPolicy"),
            &json!({
                "metadata": {"name": "web", "namespace": "shop"},
                "spec": {
                    "targetRefs": [{"group": "", "kind": "Service", "name": "web"}],
                    "validation": {"hostname": "web", "caCertificateRefs": named},
                },
            }),
        );
        let mut hear = |events: &[Event]| {
            documents.hear(events.iter().cloned());
            documents.read();
            let chosen = documents.choose_secrets().map(|chosen| chosen.len());
            let Difference { new, .. } = documents.difference();
            (chosen, new.backend_tls_policies.len(), new.roots.len())
        };
        assert_eq!(hear(&[roots("roots")]).2, 0, "nothing names it");
        assert_eq!(hear(&[policy]), (Some(1), 0, 0));
        // A Secret of that name is another thing.
        assert_eq!(hear(&[secret("roots"), looked("roots", None)]), (None, 0, 0));
        let told = looked_at("ConfigMap", "roots", None);
        assert_eq!(hear(&[roots("roots"), roots("other"), told]), (None, 1, 1));
        assert!(documents.is_known());
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
