//! Whose a pod is, by every pair of labels of it and of its namespace.
use super::*;
use crate::{object::Objects, problem::Source};

#[test]
fn a_pod_with_a_sidecar_is_istios() {
    let read = |text: &str| {
        let (objects, problems) = Objects::of_api(&Source::object("x".to_owned(), text.into()));
        assert_eq!(problems.len(), 0);
        objects
    };
    let namespace = format!(
        r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"shop","labels":{IN}}}}}"#
    );
    let namespaces = read(&namespace).namespaces;
    let pods = read(
        r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"shop","annotations":{"sidecar.istio.io/status":"{}"}},"status":{"podIP":"10.0.0.1"}}"#,
    )
    .pods;
    let namespace = namespaces.first().map(AsRef::as_ref);
    for ambient in [Ambient::Ours, Ambient::Istio] {
        let wish = wish(pods.first().unwrap(), namespace, ambient);
        assert_eq!(wish.outside, Some(Outside::Sidecar));
    }
}

/// What becomes of a pod, and how many warnings of it and of its namespace there are.
fn asked(ambient: Ambient, namespace: &str, pod: &str) -> (Option<Outside>, usize) {
    let namespace = format!(
        r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"shop","labels":{namespace}}}}}"#
    );
    let pod = format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"a","namespace":"shop","labels":{pod}}},"status":{{"podIP":"10.0.0.1"}}}}"#
    );
    let read = |text: String| {
        let (objects, problems) = Objects::of_api(&Source::object("x".to_owned(), text.into()));
        assert_eq!(problems.len(), 0);
        objects
    };
    let (namespaces, pods) = (read(namespace).namespaces, read(pod).pods);
    let (namespace, pod) = (namespaces.first().unwrap(), pods.first().unwrap());
    let wish = wish(pod, Some(namespace.as_ref()), ambient);
    assert_eq!(wish.outside.is_none(), wish.enrolment == Enrolment::Enrolled);
    (wish.outside, notes(namespace, ambient).len() + wish.notes.len())
}

const NONE: &str = "{}";
const IN: &str = r#"{"culvert.dev/mesh":"enabled"}"#;
const OUT: &str = r#"{"culvert.dev/mesh":"disabled"}"#;
const AMBIENT: &str = r#"{"istio.io/dataplane-mode":"ambient"}"#;
const NOT_AMBIENT: &str = r#"{"istio.io/dataplane-mode":"none"}"#;
const BOTH: &str = r#"{"culvert.dev/mesh":"enabled","istio.io/dataplane-mode":"ambient"}"#;
const CROSSED: &str = r#"{"culvert.dev/mesh":"disabled","istio.io/dataplane-mode":"ambient"}"#;

#[test]
fn without_an_istio_its_labels_are_ours() {
    for (namespace, pod, outside) in [
        (NONE, NONE, Some(Outside::Namespace)),
        (IN, NONE, None),
        (AMBIENT, NONE, None),
        (BOTH, NONE, None),
        (OUT, NONE, Some(Outside::NamespaceDeclines)),
        (IN, OUT, Some(Outside::PodDeclines)),
        (IN, NOT_AMBIENT, Some(Outside::PodDeclines)),
        (IN, AMBIENT, None),
    ] {
        assert_eq!(asked(Ambient::Ours, namespace, pod), (outside, 0), "{namespace} {pod}");
    }
    let contradiction = (Some(Outside::NamespaceDeclines), 1);
    assert_eq!(asked(Ambient::Ours, CROSSED, NONE), contradiction);
}

#[test]
fn beside_an_istio_nobody_is_captured_twice() {
    for (namespace, pod, outside, warnings) in [
        // Istio takes it, and nobody asked for both.
        (AMBIENT, NONE, Some(Outside::Istio), 0),
        (AMBIENT, NOT_AMBIENT, Some(Outside::Istio), 0),
        (CROSSED, NONE, Some(Outside::NamespaceDeclines), 0),
        // Two are asked for.
        (BOTH, NONE, Some(Outside::Istio), 1),
        (IN, AMBIENT, Some(Outside::Istio), 1),
        // What keeps Istio off keeps nobody else off.
        (IN, NOT_AMBIENT, None, 0),
        (IN, NONE, None, 0),
        (IN, OUT, Some(Outside::PodDeclines), 0),
        (NONE, AMBIENT, Some(Outside::Namespace), 0),
    ] {
        let found = asked(Ambient::Istio, namespace, pod);
        assert_eq!(found, (outside, warnings), "{namespace} {pod}");
    }
}
