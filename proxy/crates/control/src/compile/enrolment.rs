//! Whether a pod is in the mesh, and what happens to it without a proxy.
use super::local::{NETNS, RESOLVERS};
use crate::{
    object::{guess, meta::Meta, namespace::Namespace, pod::Pod, spanned::Spanned},
    problem::{Mark, Problem},
};
use culvert_model::{pod::Fail, workload::Enrolment};

const MESH: &str = "culvert.dev/mesh";
const DATAPLANE_MODE: &str = "istio.io/dataplane-mode";
const FAIL: &str = "culvert.dev/fail";
const L7: &str = "culvert.dev/l7";

/// What all our own labels and annotations begin with.
const OURS: &str = "culvert.dev/";

/// Our own keys, and what each is to be; one that is something else does nothing.
const OWN: [(&str, Place); 5] = [
    (MESH, Place::Label),
    (L7, Place::Label),
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

/// What a pod's labels and annotations ask for, with its namespace's.
pub(super) struct Wish {
    pub(super) enrolment: Enrolment,
    pub(super) fail: Fail,
    pub(super) notes: Vec<Problem>,
    pub(super) problems: Vec<Problem>,
}

/// What one object's labels say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Say {
    In,
    Out,
    Nothing,
}

/// Labels that enrol or decline, with the values that do.
const LABELS: [(&str, &str, &str); 2] =
    [(MESH, "enabled", "disabled"), (DATAPLANE_MODE, "ambient", "none")];

/// What is to be said of a namespace's own labels.
pub(super) fn notes(namespace: &Namespace) -> Vec<Problem> {
    let of = format!("Namespace/{}", namespace.meta.name.name);
    let contradiction = says(&namespace.meta).1;
    let notes = unknown_values(&namespace.meta).into_iter().chain(contradiction);
    let notes = notes.chain(unknown_keys(&namespace.meta));
    let fail = fail(&namespace.meta).err().map(|problem| *problem);
    notes.chain(fail).map(|problem| problem.of(&of)).collect()
}

/// Whether the namespace enrols its pods.
pub(super) fn enrols(namespace: &Namespace) -> bool {
    says(&namespace.meta).0 == Say::In
}

/// Declining wins over enrolling; only a namespace enrols.
pub(super) fn wish(pod: &Pod, namespace: Option<&Namespace>) -> Wish {
    let (pod_says, contradiction) = says(&pod.meta);
    let mut notes = unknown_values(&pod.meta);
    notes.extend(contradiction);
    notes.extend(unknown_keys(&pod.meta));
    let is_enrolled = namespace.is_some_and(enrols);
    let asks = is_enrolled && pod_says != Say::Out;
    if pod_says == Say::In && !is_enrolled {
        notes.extend(alone(pod));
    }
    let is_candidate = !pod.uses_host_network && !pod.phase.is_over();
    let enrolment = if asks && is_candidate { Enrolment::Enrolled } else { Enrolment::Outside };
    // The namespace's own mistake is reported with the namespace.
    let of_namespace = namespace.and_then(|namespace| fail(&namespace.meta).ok().flatten());
    let (fail, problems) = match fail(&pod.meta) {
        Ok(own) => (own.or(of_namespace).unwrap_or_default(), Vec::new()),
        Err(problem) => (Fail::Closed, vec![*problem]),
    };
    Wish { enrolment, fail, notes, problems }
}

fn says(meta: &Meta) -> (Say, Option<Problem>) {
    let label = |(key, enrols, declines): (&str, &str, &str)| match meta.label(key) {
        Some(value) if value == enrols => Say::In,
        Some(value) if value == declines => Say::Out,
        Some(_) | None => Say::Nothing,
    };
    match LABELS.map(label) {
        [Say::In, Say::Out] | [Say::Out, Say::In] => {
            let at = meta.labels.get(MESH).map_or(meta.origin.clone(), |label| meta.at(label.at));
            let message = format!("{MESH} and {DATAPLANE_MODE} contradict each other");
            let note = at.warning(message).with_fix("declining wins; keep one of the two labels");
            (Say::Out, Some(note))
        }
        [Say::Out, _] | [_, Say::Out] => (Say::Out, None),
        [Say::In, _] | [_, Say::In] => (Say::In, None),
        [Say::Nothing, Say::Nothing] => (Say::Nothing, None),
    }
}

fn unknown_values(meta: &Meta) -> Vec<Problem> {
    let label = |(key, enrols, declines): (&str, &str, &str)| {
        let Spanned { value, at } = meta.labels.get(key)?;
        let known = value == enrols || value == declines;
        (!known).then(|| {
            let message = format!("label {key} is neither `{enrols}` nor `{declines}`: ignored");
            meta.at(*at).warning(message)
        })
    };
    LABELS.into_iter().filter_map(label).collect()
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
fn alone(pod: &Pod) -> Option<Problem> {
    let label = LABELS.iter().find_map(|(key, ..)| pod.meta.labels.get(*key))?;
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
