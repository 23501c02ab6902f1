//! Whether a pod is in the mesh, and what happens to it without a proxy.
use super::{
    l7,
    local::{NETNS, RESOLVERS},
};
use crate::{
    object::{guess, meta::Meta, namespace::Namespace, pod::Pod, spanned::Spanned},
    problem::{Mark, Problem},
};
use culvert_model::{pod::Fail, workload::Enrolment};
use std::{fmt, str::FromStr};

const MESH: &str = "culvert.dev/mesh";
const DATAPLANE_MODE: &str = "istio.io/dataplane-mode";
const FAIL: &str = "culvert.dev/fail";

/// What Istio's injector writes on a pod to which it gives a sidecar.
const SIDECAR: &str = "sidecar.istio.io/status";

/// What all our own labels and annotations begin with.
const OURS: &str = "culvert.dev/";

/// Our own keys, and what each is to be; one that is something else does nothing.
const OWN: [(&str, Place); 5] = [
    (MESH, Place::Label),
    (l7::LABEL, Place::Label),
    (FAIL, Place::Annotation),
    (NETNS, Place::Annotation),
    (RESOLVERS, Place::Annotation),
];

/// Where a key belongs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Label,
    Annotation,
    Nowhere,
}

/// Whose the namespaces and pods are that have Istio's label for its ambient mesh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ambient {
    /// Ours: there is no such mesh of Istio's here.
    #[default]
    Ours,
    /// Istio's, which captures them: nobody else may.
    Istio,
}

/// Why a pod is not in the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Outside {
    #[error("its namespace is not in the mesh")]
    Namespace,
    #[error("a label of its namespace declines")]
    NamespaceDeclines,
    #[error("a label of the pod declines")]
    PodDeclines,
    #[error("{DATAPLANE_MODE}=ambient gives it to Istio")]
    Istio,
    #[error("it has a sidecar of Istio")]
    Sidecar,
    #[error("it is in the network of its node, not in one of its own")]
    HostNetwork,
    #[error("its containers have ended")]
    Over,
}

/// What a pod's labels and annotations ask for, with its namespace's.
pub(super) struct Wish {
    pub(super) enrolment: Enrolment,
    /// Why it is outside.
    pub(super) outside: Option<Outside>,
    pub(super) fail: Fail,
    pub(super) notes: Vec<Problem>,
    pub(super) problems: Vec<Problem>,
}

/// What one object's labels say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Say {
    In,
    Out,
    /// They give it to Istio's mesh.
    Istio,
    Nothing,
}

/// Labels that enrol or decline, with the values that do.
const LABELS: [(&str, &str, &str); 2] =
    [(MESH, "enabled", "disabled"), (DATAPLANE_MODE, "ambient", "none")];

/// As the setting says it.
impl fmt::Display for Ambient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ours => "ours",
            Self::Istio => "istio",
        })
    }
}

impl FromStr for Ambient {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "ours" => Ok(Self::Ours),
            "istio" => Ok(Self::Istio),
            _ => Err(format!("{text:?} is neither ours nor istio")),
        }
    }
}

impl Ambient {
    /// The labels that enrol or decline.
    fn labels(self) -> &'static [(&'static str, &'static str, &'static str)] {
        match self {
            Self::Ours => &LABELS,
            Self::Istio => LABELS.split_at(1).0,
        }
    }
}

/// What is to be said of a namespace's own labels.
pub(super) fn notes(namespace: &Namespace, ambient: Ambient) -> Vec<Problem> {
    let of = format!("Namespace/{}", namespace.meta.name.name);
    let contradiction = says(&namespace.meta, ambient).1;
    let notes = unknown_values(&namespace.meta, ambient).into_iter().chain(contradiction);
    let notes = notes.chain(unknown_keys(&namespace.meta));
    let fail = fail(&namespace.meta).err().map(|problem| *problem);
    notes.chain(fail).map(|problem| problem.of(&of)).collect()
}

/// Whether the namespace enrols its pods.
pub(super) fn enrols(namespace: &Namespace, ambient: Ambient) -> bool {
    says(&namespace.meta, ambient).0 == Say::In
}

/// Declining wins over enrolling, and so does giving to another mesh; only a namespace enrols.
pub(super) fn wish(pod: &Pod, namespace: Option<&Namespace>, ambient: Ambient) -> Wish {
    let (pod_says, contradiction) = says(&pod.meta, ambient);
    let mut notes = unknown_values(&pod.meta, ambient);
    notes.extend(contradiction);
    notes.extend(unknown_keys(&pod.meta));
    let namespace_says = namespace.map_or(Say::Nothing, |it| says(&it.meta, ambient).0);
    if pod_says == Say::In && namespace_says != Say::In {
        notes.extend(alone(pod, ambient));
    }
    if pod_says == Say::Istio && namespace_says == Say::In {
        notes.push(taken(&pod.meta));
    }
    let outside = outside(pod, pod_says, namespace_says);
    let enrolment = if outside.is_none() { Enrolment::Enrolled } else { Enrolment::Outside };
    // The namespace's own mistake is reported with the namespace.
    let of_namespace = namespace.and_then(|namespace| fail(&namespace.meta).ok().flatten());
    let (fail, problems) = match fail(&pod.meta) {
        Ok(own) => (own.or(of_namespace).unwrap_or_default(), Vec::new()),
        Err(problem) => (Fail::Closed, vec![*problem]),
    };
    Wish { enrolment, outside, fail, notes, problems }
}

fn outside(pod: &Pod, pod_says: Say, namespace_says: Say) -> Option<Outside> {
    match (namespace_says, pod_says) {
        (Say::Nothing, _) => Some(Outside::Namespace),
        (Say::Out, _) => Some(Outside::NamespaceDeclines),
        (Say::Istio, _) | (Say::In, Say::Istio) => Some(Outside::Istio),
        (Say::In, Say::Out) => Some(Outside::PodDeclines),
        (Say::In, Say::In | Say::Nothing) if pod.uses_host_network => Some(Outside::HostNetwork),
        (Say::In, Say::In | Say::Nothing) if pod.phase.is_over() => Some(Outside::Over),
        (Say::In, Say::In | Say::Nothing) => {
            pod.meta.annotation(SIDECAR).is_some().then_some(Outside::Sidecar)
        }
    }
}

fn says(meta: &Meta, ambient: Ambient) -> (Say, Option<Problem>) {
    let label = |(key, enrols, declines): (&str, &str, &str)| match meta.label(key) {
        Some(value) if value == enrols => Say::In,
        Some(value) if value == declines => Say::Out,
        Some(_) | None => Say::Nothing,
    };
    let own = meta.labels.get(MESH).map_or(meta.origin.clone(), |label| meta.at(label.at));
    match (LABELS.map(label), ambient) {
        ([Say::In, Say::Out] | [Say::Out, Say::In], Ambient::Ours) => {
            let message = format!("{MESH} and {DATAPLANE_MODE} contradict each other");
            let note = own.warning(message).with_fix("declining wins; keep one of the two labels");
            (Say::Out, Some(note))
        }
        ([Say::In, Say::In], Ambient::Istio) => (Say::Istio, Some(taken(meta))),
        ([Say::Out, _], _) | ([_, Say::Out], Ambient::Ours) => (Say::Out, None),
        ([_, Say::In], Ambient::Istio) => (Say::Istio, None),
        ([Say::In, _], _) | ([_, Say::In], Ambient::Ours) => (Say::In, None),
        ([Say::Nothing | Say::Istio, _], _) => (Say::Nothing, None),
    }
}

/// Two meshes are asked for, of which one may have it.
fn taken(meta: &Meta) -> Problem {
    let at = meta.labels.get(DATAPLANE_MODE).map_or(meta.origin.clone(), |it| meta.at(it.at));
    let message =
        format!("{DATAPLANE_MODE}=ambient gives this to Istio, so it is not captured here");
    at.warning(message).with_fix(format!("keep one of {MESH} and {DATAPLANE_MODE}"))
}

fn unknown_values(meta: &Meta, ambient: Ambient) -> Vec<Problem> {
    let label = |(key, enrols, declines): (&str, &str, &str)| {
        let Spanned { value, at } = meta.labels.get(key)?;
        let known = value == enrols || value == declines;
        (!known).then(|| {
            let message = format!("label {key} is neither `{enrols}` nor `{declines}`: ignored");
            meta.at(*at).warning(message)
        })
    };
    ambient.labels().iter().copied().filter_map(label).collect()
}

/// Labels and annotations under our name that mean nothing where they stand.
fn unknown_keys(meta: &Meta) -> Vec<Problem> {
    let labels = meta.labels.iter().filter_map(|(key, value)| {
        let at = ours(key)?;
        (at != Place::Label).then(|| misplaced(meta, key, value.at, Place::Label, at))
    });
    let annotations = meta.annotations.iter().filter_map(|(key, value)| {
        let at = ours(key)?;
        (at != Place::Annotation).then(|| misplaced(meta, key, value.at, Place::Annotation, at))
    });
    labels.chain(annotations).collect()
}

/// Where a key of ours belongs; `None` when it is somebody else's.
fn ours(key: &str) -> Option<Place> {
    let own = OWN.iter().find(|(own, _)| *own == key);
    key.starts_with(OURS).then(|| own.map_or(Place::Nowhere, |(_, place)| *place))
}

fn misplaced(meta: &Meta, key: &str, at: Mark, here: Place, belongs: Place) -> Problem {
    let at = meta.at(at);
    let (here_is, there) = match here {
        Place::Annotation => ("annotation", "label"),
        Place::Label | Place::Nowhere => ("label", "annotation"),
    };
    if belongs != Place::Nowhere {
        let note = at.warning(format!("{key} means nothing as {here_is}: ignored"));
        return note.with_fix(format!("move it to metadata.{there}s"));
    }
    let candidates: Vec<_> =
        OWN.iter().filter(|(_, place)| *place == here).map(|(key, _)| *key).collect();
    let note = at.warning(format!("unknown {here_is} {key}: ignored"));
    match guess::closest(key, &candidates) {
        Some(meant) => note.with_fix(format!("did you mean `{meant}`?")),
        None => note,
    }
}

/// A pod that asks for the mesh while its namespace does not.
fn alone(pod: &Pod, ambient: Ambient) -> Option<Problem> {
    let label = ambient.labels().iter().find_map(|(key, ..)| pod.meta.labels.get(*key))?;
    let namespace = &pod.meta.name.namespace;
    let message = format!("the label enrols nothing: namespace {namespace} is not enrolled");
    let fix = format!("label the namespace {MESH}: enabled");
    Some(pod.meta.at(label.at).warning(message).with_fix(fix))
}

/// Not guessed when it is misspelt: either guess may be the dangerous one.
fn fail(meta: &Meta) -> Result<Option<Fail>, Box<Problem>> {
    let Some(Spanned { value, at }) = meta.annotations.get(FAIL) else { return Ok(None) };
    match value.as_str() {
        "open" => Ok(Some(Fail::Open)),
        "closed" => Ok(Some(Fail::Closed)),
        other => {
            let message = format!("annotation {FAIL} is `{other}`, neither `open` nor `closed`");
            Err(Box::new(meta.at(*at).error(message)))
        }
    }
}

#[cfg(test)]
mod tests;
