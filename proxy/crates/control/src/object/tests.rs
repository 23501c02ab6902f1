//! What a person reads when a manifest is wrong.

mod istio;
mod kinds;

use super::{Because, Objects, pod::Phase};
use proptest::prelude::*;

fn told(text: &str) -> String {
    let (_, problems) = Objects::parse("shop.yaml", text.as_bytes());
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

fn read(text: &str) -> Objects {
    let (objects, problems) = Objects::parse("shop.yaml", text.as_bytes());
    assert!(problems.is_empty(), "{problems:?}");
    objects
}

#[test]
fn unknown_fields_are_named_with_a_guess() {
    let text = r#"
apiVersion: v1
kind: Pod
metadata:
  name: client
  namspace: shop
spec:
  nodename: a
  replicas: 2
  containers:
  - image: web
    port: []
"#;
    insta::assert_snapshot!(told(text), @r#"
        shop.yaml:6:3: unknown field `namspace`
         6 |   namspace: shop
           |   ^
           = did you mean `namespace`?
        shop.yaml:8:3: unknown field `nodename`
         8 |   nodename: a
           |   ^
           = did you mean `nodeName`?
        shop.yaml:9:3: unknown field `replicas`
         9 |   replicas: 2
           |   ^
        shop.yaml:12:5: unknown field `port`
         12 |     port: []
            |     ^
            = did you mean `ports`?
        "#);
}

#[test]
fn values_of_the_wrong_type_are_all_told_at_once() {
    let text = r#"
apiVersion: v1
kind: Pod
metadata: {name: client, labels: {app: yes, version: 1.10}}
spec:
  hostNetwork: on
  containers:
  - ports:
    - containerPort: 70000
    - containerPort: "80"
    - {containerPort: 0, protocol: tcp}
status: {podIP: 10.0.0, phase: Runing}
"#;
    insta::assert_snapshot!(told(text), @r#"
        shop.yaml:4:40: want text, not the boolean yes
         4 | metadata: {name: client, labels: {app: yes, version: 1.10}}
           |                                        ^
           = quote it: "yes"
        shop.yaml:4:54: want text, not the number 1.10
         4 | metadata: {name: client, labels: {app: yes, version: 1.10}}
           |                                                      ^
           = quote it: "1.10"
        shop.yaml:6:16: want true or false, not on
         6 |   hostNetwork: on
           |                ^
           = write true
        shop.yaml:9:22: want a number from 0 to 65535, not the number 70000
         9 |     - containerPort: 70000
           |                      ^
        shop.yaml:10:22: want a whole number, not text
         10 |     - containerPort: "80"
            |                      ^
        shop.yaml:11:23: 0 is not a port
         11 |     - {containerPort: 0, protocol: tcp}
            |                       ^
        shop.yaml:11:36: `tcp` is not one of TCP, UDP, SCTP
         11 |     - {containerPort: 0, protocol: tcp}
            |                                    ^
        shop.yaml:12:17: `10.0.0` is not an IP address
         12 | status: {podIP: 10.0.0, phase: Runing}
            |                 ^
        shop.yaml:12:32: `Runing` is not one of Pending, Running, Succeeded, Failed, Unknown
         12 | status: {podIP: 10.0.0, phase: Runing}
            |                                ^
        "#);
}

#[test]
fn a_key_that_is_set_twice_does_not_hide_the_rest() {
    let text = r#"
apiVersion: v1
kind: Pod
metadata: {name: client}
spec: {nodeName: a, nodeName: b, nope: 1}
"#;
    insta::assert_snapshot!(told(text), @r#"
        shop.yaml:5:21: `nodeName` is set twice
         5 | spec: {nodeName: a, nodeName: b, nope: 1}
           |                     ^
           = keep one of the two
        shop.yaml:5:34: unknown field `nope`
         5 | spec: {nodeName: a, nodeName: b, nope: 1}
           |                                  ^
        "#);
}

#[test]
fn a_document_that_cannot_be_read_does_not_hide_the_next() {
    let text = r#"
apiVersion: v1
kind: Pod
metadata:
  name: x
   labels: {}
---
just text
---
kind: Pod
---
apiVersion: v1
kind: Pod
metadata:
"#;
    insta::assert_snapshot!(told(text), @r#"
        shop.yaml:6:10: mapping values are not allowed in this context
         6 |    labels: {}
           |          ^
        shop.yaml:8:1: want an object with apiVersion and kind, not text
         8 | just text
           | ^
        shop.yaml:10:1: `apiVersion` is missing
         10 | kind: Pod
            | ^
        shop.yaml:12:1: `metadata` is missing
         12 | apiVersion: v1
            | ^
        "#);
}

#[test]
fn a_version_that_does_not_exist_is_not_skipped() {
    let text = r#"
apiVersion: v1beta1
kind: Namespace
metadata: {name: shop, labels: {culvert.dev/mesh: enabled}}
"#;
    insta::assert_snapshot!(told(text), @r#"
        shop.yaml:2:13: Namespace has no version v1beta1
         2 | apiVersion: v1beta1
           |             ^
           = write apiVersion: v1
        "#);
}

#[test]
fn names_are_those_of_kubernetes() {
    let text = r#"
apiVersion: v1
kind: Pod
metadata: {name: My_Pod, namespace: shop.eu}
spec: {serviceAccountName: a/b}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop.eu, namespace: x}
"#;
    insta::assert_snapshot!(told(text), @r#"
        shop.yaml:4:18: `My_Pod` is no name: want lower-case letters, digits and inner hyphens
         4 | metadata: {name: My_Pod, namespace: shop.eu}
           |                  ^
        shop.yaml:4:37: `shop.eu` is no name: want lower-case letters, digits and inner hyphens
         4 | metadata: {name: My_Pod, namespace: shop.eu}
           |                                     ^
        shop.yaml:5:28: `a/b` is no name: want lower-case letters, digits and inner hyphens
         5 | spec: {serviceAccountName: a/b}
           |                            ^
        shop.yaml:9:18: `shop.eu` is no name: want lower-case letters, digits and inner hyphens
         9 | metadata: {name: shop.eu, namespace: x}
           |                  ^
        shop.yaml:9:38: this kind has no namespace
         9 | metadata: {name: shop.eu, namespace: x}
           |                                      ^
           = leave it out
        "#);
}

#[test]
fn items_of_a_list_have_their_own_lines() {
    let text = r#"
apiVersion: v1
kind: PodList
items:
- metadata: {name: a}
- metadata: {name: b, uidd: 1}
- 7
extra: 1
"#;
    insta::assert_snapshot!(told(text), @r#"
        shop.yaml:6:23: unknown field `uidd`
         6 | - metadata: {name: b, uidd: 1}
           |                       ^
           = did you mean `uid`?
        shop.yaml:7:3: want an object with apiVersion and kind, not the number 7
         7 | - 7
           |   ^
        shop.yaml:8:1: unknown field `extra`
         8 | extra: 1
           | ^
        "#);
}

#[test]
fn a_line_of_a_secret_is_not_shown() {
    let text = r#"
apiVersion: v1
kind: Secret
stringData:
  password: "hunter2
"#;
    insta::assert_snapshot!(told(text), @"shop.yaml:6:1: invalid indentation in multiline quoted scalar");
}

#[test]
fn aliases_that_multiply_are_refused() {
    let text = r#"
a: &a [x, x, x, x, x, x, x, x, x, x]
b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]
c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]
d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]
e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]
f: [*e, *e, *e, *e, *e, *e, *e, *e, *e, *e]
"#;
    insta::assert_snapshot!(told(text), @r#"
        shop.yaml:6:36: aliases multiply this document beyond 100000 parts
         6 | e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]
           |                                    ^
        "#);
}

#[test]
fn bytes_that_are_no_text_are_told_with_their_line() {
    let (_, problems) = Objects::parse("shop.yaml", b"kind: Pod\nx: \xff\n");
    insta::assert_snapshot!(problems[0], @r"
    shop.yaml:2:1: this is not UTF-8 text
       = save it as UTF-8, or move it out of the folder
    ");
}

#[test]
fn reads_all_that_the_mesh_uses_of_a_pod() {
    let objects = read(POD);
    let [pod] = &objects.pods[..] else { panic!("{objects:?}") };
    assert_eq!(pod.meta.name.to_string(), "shop/reviews-v1-7f9-abcde");
    assert_eq!((pod.meta.origin.line(), pod.meta.named().line()), (3, 6));
    assert_eq!(pod.meta.label("app"), Some("reviews"));
    assert_eq!(pod.node.as_deref(), Some("node-a"));
    assert_eq!(pod.service_account, "reviews");
    assert_eq!(pod.phase, Phase::Running);
    assert!(pod.uses_host_network);
    let ips: Vec<_> = pod.ips.iter().map(|ip| ip.value.to_string()).collect();
    assert_eq!(ips, ["10.0.0.1", "fd00::1"]);
    assert_eq!(pod.tcp_ports, [80, 9080]);
    assert_eq!(pod.meta.owners[0].name, "reviews-v1-7f9");
}

#[test]
fn what_kubectl_prints_as_json_is_read_like_yaml() {
    let json = r#"{"apiVersion": "v1", "items": [
	{"apiVersion": "v1", "kind": "Pod",
	 "metadata": {"name": "a", "annotations": {"smile": "\ud83d\ude00\/\t"}, "labels": null}},
	{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
], "kind": "List", "metadata": {"resourceVersion": ""}}"#;
    let objects = read(json);
    assert_eq!(objects.pods[0].meta.annotations["smile"].value, "\u{1f600}/\t");
    assert_eq!(objects.pods[0].meta.origin.line(), 2);
    assert_eq!(&*objects.namespaces[0].meta.name.name, "shop");
}

#[test]
fn kinds_that_are_not_used_are_listed() {
    let objects = read(
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web}\n---\n\
             # nothing but a comment\n---\n\
             apiVersion: example.org/v1\nkind: Pod\nmetadata: {name: web, namespace: shop}\n",
    );
    let skipped: Vec<_> = objects.skipped.iter().map(|s| (&*s.kind, &*s.name, s.because)).collect();
    assert_eq!(
        skipped,
        [("ServiceAccount", "web", Because::NotYetUsed), ("Pod", "shop/web", Because::UnknownKind)]
    );
}

#[test]
fn directives_and_document_ends_are_understood() {
    let text = "\u{feff}%YAML 1.2\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n\
                    ...\n--- # another\napiVersion: v1\nkind: Namespace\nmetadata: {name: b}\n";
    assert_eq!(read(text).namespaces.len(), 2);
    assert_eq!(read(&text.replace('\n', "\r\n")).namespaces.len(), 2);
}

#[test]
fn deep_nesting_is_refused_and_harmless() {
    for text in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000)] {
        assert_ne!(told(&text), "");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        Objects::parse("x", text.as_bytes());
        Objects::parse("x", &bytes);
    }

    /// Likelier to reach the inner parts than noise is.
    #[test]
    fn no_damaged_pod_makes_the_reader_panic(
        cuts in prop::collection::vec((0..POD.len(), 0..8_usize, "[-:{}\\[\\]&*!|>'\"%# \n\ta-c0-9]{0,4}"), 1..4),
    ) {
        let mut bytes = POD.as_bytes().to_vec();
        for (at, len, with) in cuts {
            let at = at.min(bytes.len());
            let end = (at + len).min(bytes.len());
            bytes.splice(at..end, with.bytes());
        }
        for problem in Objects::parse("x", &bytes).1 {
            prop_assert!(problem.line > 0 && problem.column > 0);
            problem.to_string();
        }
    }
}

/// A pod as a cluster has it.
const POD: &str = "---
# a comment
apiVersion: v1
kind: Pod
metadata:
  name: reviews-v1-7f9-abcde
  generateName: reviews-v1-7f9-
  namespace: shop
  uid: 0b1c
  creationTimestamp: 2026-01-01T00:00:00Z
  labels: {app: reviews, version: v1, pod-template-hash: 7f9}
  annotations:
    culvert.dev/netns: /run/netns/reviews
  ownerReferences:
  - {apiVersion: apps/v1, kind: ReplicaSet, name: reviews-v1-7f9, uid: x, controller: true, blockOwnerDeletion: true}
spec:
  nodeName: node-a
  serviceAccountName: reviews
  serviceAccount: reviews
  hostNetwork: true
  restartPolicy: Always
  priority: 0
  terminationGracePeriodSeconds: 30
  initContainers:
  - name: init
    image: init
  containers:
  - name: reviews
    image: reviews:1
    env: [{name: A, value: b}]
    resources: {limits: {cpu: 1}}
    livenessProbe: {httpGet: {path: /, port: http}}
    ports:
    - {containerPort: 9080, name: http, protocol: TCP}
    - containerPort: 80
    - {containerPort: 53, protocol: UDP}
  volumes:
  - {name: token, projected: {defaultMode: 0644}}
status:
  phase: Running
  hostIP: 192.0.2.1
  podIP: 10.0.0.1
  podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]
  qosClass: Burstable
  conditions: [{type: Ready, status: 'True'}]
";
