//! What a person reads when manifests mean nothing, or not what they seem to.
use super::told;

#[test]
fn two_pods_with_one_address() {
    let text = r#"
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {culvert.dev/mesh: enabled}}
---
apiVersion: v1
kind: Pod
metadata:
  name: a
  namespace: shop
  labels: {}
  annotations: {culvert.dev/netns: /run/netns/a}
status: {podIP: 10.0.0.1}
---
apiVersion: v1
kind: Pod
metadata:
  name: b
  namespace: shop
  labels: {}
  annotations: {culvert.dev/netns: /run/netns/b}
status: {podIP: "::ffff:10.0.0.1"}
---
"#;
    insta::assert_snapshot!(told(text), @r#"
        shop.yaml:22:17: the address 10.0.0.1 is already that of shop/a (shop.yaml:13)
         22 | status: {podIP: "::ffff:10.0.0.1"}
            |                 ^
        "#);
}

#[test]
fn two_pods_in_one_network_namespace() {
    let text = r#"
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {culvert.dev/mesh: enabled}}
---
apiVersion: v1
kind: Pod
metadata:
  name: a
  namespace: shop
  labels: {}
  annotations: {culvert.dev/netns: /run/netns/a}
status: {podIP: 10.0.0.1}
---
apiVersion: v1
kind: Pod
metadata:
  name: b
  namespace: shop
  labels: {}
  annotations: {culvert.dev/netns: /run//netns/./a}
status: {podIP: 10.0.0.2}
---
"#;
    insta::assert_snapshot!(told(text), @r#"
        shop.yaml:21:36: the network namespace /run/netns/a is already that of shop/a (shop.yaml:12)
         21 |   annotations: {culvert.dev/netns: /run//netns/./a}
            |                                    ^
        "#);
}

#[test]
fn an_object_that_is_there_twice() {
    let text = r#"
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {culvert.dev/mesh: enabled}}
---
apiVersion: v1
kind: Pod
metadata:
  name: a
  namespace: shop
  labels: {}
  annotations: {culvert.dev/netns: /run/netns/a}
status: {podIP: 10.0.0.1}
---
apiVersion: v1
kind: Pod
metadata:
  name: a
  namespace: shop
  labels: {}
  annotations: {culvert.dev/netns: /run/netns/a2}
status: {podIP: 10.0.0.2}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {culvert.dev/mesh: enabled}}
---
"#;
    insta::assert_snapshot!(told(text), @r#"
        shop.yaml:18:9: shop/a is there already (shop.yaml:9)
         18 |   name: a
            |         ^
        shop.yaml:26:18: shop is there already (shop.yaml:4)
         26 | metadata: {name: shop, labels: {culvert.dev/mesh: enabled}}
            |                  ^
        "#);
}

#[test]
fn an_enrolled_pod_without_address_or_network_namespace() {
    let text = r#"
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {culvert.dev/mesh: enabled}}
---
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: shop, annotations: {culvert.dev/netns: /run/netns/a}}
---
apiVersion: v1
kind: Pod
metadata: {name: b, namespace: shop}
status: {podIP: 10.0.0.2}
"#;
    insta::assert_snapshot!(told(text), @r#"
        shop.yaml:8:18: an enrolled pod needs an address
         8 | metadata: {name: a, namespace: shop, annotations: {culvert.dev/netns: /run/netns/a}}
           |                  ^
           = set status.podIP, or status.podIPs for two
        shop.yaml:12:18: an enrolled pod of this node needs its network namespace
         12 | metadata: {name: b, namespace: shop}
            |                  ^
            = annotate it with culvert.dev/netns: /run/netns/NAME
        "#);
}

#[test]
fn a_network_namespace_that_is_no_plain_absolute_path() {
    let text = r#"
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {culvert.dev/mesh: enabled}}
---
apiVersion: v1
kind: Pod
metadata:
  name: a
  namespace: shop
  labels: {}
  annotations: {culvert.dev/netns: netns/a}
status: {podIP: 10.0.0.1}
---
apiVersion: v1
kind: Pod
metadata:
  name: b
  namespace: shop
  labels: {}
  annotations: {culvert.dev/netns: /run/netns/../b}
status: {podIP: 10.0.0.2}
---
apiVersion: v1
kind: Pod
metadata:
  name: c
  namespace: shop
  labels: {}
  annotations: {culvert.dev/netns: "/"}
status: {podIP: 10.0.0.3}
---
"#;
    insta::assert_snapshot!(told(text), @r#"
        shop.yaml:12:36: annotation culvert.dev/netns is not an absolute path
         12 |   annotations: {culvert.dev/netns: netns/a}
            |                                    ^
            = write the whole path: /run/netns/NAME
        shop.yaml:21:36: annotation culvert.dev/netns contains `..`
         21 |   annotations: {culvert.dev/netns: /run/netns/../b}
            |                                    ^
            = write the whole path: /run/netns/NAME
        shop.yaml:30:36: annotation culvert.dev/netns names no file
         30 |   annotations: {culvert.dev/netns: "/"}
            |                                    ^
            = write the whole path: /run/netns/NAME
        "#);
}

#[test]
fn an_unknown_answer_to_what_happens_without_a_proxy() {
    let text = r#"
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {culvert.dev/mesh: enabled}}
---
apiVersion: v1
kind: Pod
metadata:
  name: a
  namespace: shop
  labels: {}
  annotations: {culvert.dev/netns: /run/netns/a, culvert.dev/fail: opne}
status: {podIP: 10.0.0.1}
---
apiVersion: v1
kind: Namespace
metadata: {name: bank, annotations: {culvert.dev/fail: "yes"}}
"#;
    insta::assert_snapshot!(told(text), @r#"
        shop.yaml:12:68: annotation culvert.dev/fail is `opne`, neither `open` nor `closed`
         12 |   annotations: {culvert.dev/netns: /run/netns/a, culvert.dev/fail: opne}
            |                                                                    ^
        shop.yaml:17:56: annotation culvert.dev/fail is `yes`, neither `open` nor `closed`
         17 | metadata: {name: bank, annotations: {culvert.dev/fail: "yes"}}
            |                                                        ^
        "#);
}

#[test]
fn addresses_no_pod_can_have() {
    let text = r#"
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {culvert.dev/mesh: enabled}}
---
apiVersion: v1
kind: Pod
metadata:
  name: a
  namespace: shop
  labels: {}
  annotations: {culvert.dev/netns: /run/netns/a}
status: {podIP: 127.0.0.1}
---
apiVersion: v1
kind: Pod
metadata:
  name: b
  namespace: shop
  labels: {}
  annotations: {culvert.dev/netns: /run/netns/b}
status: {podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.2}]}
---
"#;
    insta::assert_snapshot!(told(text), @r#"
        shop.yaml:13:17: 127.0.0.1 cannot be a pod's address
         13 | status: {podIP: 127.0.0.1}
            |                 ^
        shop.yaml:22:17: 10.0.0.1 and 10.0.0.2 are of one family; a pod has at most one address of each
         22 | status: {podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.2}]}
            |                 ^
        "#);
}

#[test]
fn labels_that_do_not_do_what_they_seem_to() {
    let text = r#"
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {culvert.dev/mesh: enable}}
---
apiVersion: v1
kind: Namespace
metadata: {name: bank, labels: {culvert.dev/mesh: disabled, istio.io/dataplane-mode: ambient}}
---
apiVersion: v1
kind: Pod
metadata:
  name: a
  namespace: shop
  labels: {istio.io/dataplane-mode: ambient}
  annotations: {}
status: {podIP: 10.0.0.1}
---
apiVersion: v1
kind: Pod
metadata:
  name: b
  namespace: bank
  labels: {culvert.dev/mesh: off-please}
  annotations: {}
status: {podIP: 10.0.0.2}
---
"#;
    insta::assert_snapshot!(told(text), @r#"
        shop.yaml:4:51: warning: label culvert.dev/mesh is neither `enabled` nor `disabled`: ignored
         4 | metadata: {name: shop, labels: {culvert.dev/mesh: enable}}
           |                                                   ^
        shop.yaml:8:51: warning: culvert.dev/mesh and istio.io/dataplane-mode contradict each other
         8 | metadata: {name: bank, labels: {culvert.dev/mesh: disabled, istio.io/dataplane-mode: ambient}}
           |                                                   ^
           = declining wins; keep one of the two labels
        shop.yaml:15:37: warning: the label enrols nothing: namespace shop is not enrolled
         15 |   labels: {istio.io/dataplane-mode: ambient}
            |                                     ^
            = label the namespace culvert.dev/mesh: enabled
        shop.yaml:24:30: warning: label culvert.dev/mesh is neither `enabled` nor `disabled`: ignored
         24 |   labels: {culvert.dev/mesh: off-please}
            |                              ^
        "#);
}

#[test]
fn a_misspelt_kind_is_skipped_with_a_warning() {
    insta::assert_snapshot!(told("apiVersion: v1\nkind: Namespce\nmetadata: {name: shop}\n"), @r"
    shop.yaml:2:7: warning: unknown kind `Namespce`: skipped
     2 | kind: Namespce
       |       ^
       = did you mean `Namespace`?
    ");
    assert_eq!(told("apiVersion: example.org/v1\nkind: Pods\nmetadata: {name: x}\n"), "");
}

#[test]
fn labels_and_annotations_of_ours_that_mean_nothing_are_warned_of() {
    let text = "
apiVersion: v1
kind: Namespace
metadata:
  name: shop
  labels: {culvert.dev/msh: enabled, culvert.dev/fail: open, example.org/msh: x}
  annotations: {culvert.dev/mesh: enabled, culvert.dev/fail: open, culvert.dev/color: red}
";
    insta::assert_snapshot!(told(text), @r"
    shop.yaml:6:29: warning: unknown label culvert.dev/msh: ignored
     6 |   labels: {culvert.dev/msh: enabled, culvert.dev/fail: open, example.org/msh: x}
       |                             ^
       = did you mean `culvert.dev/mesh`?
    shop.yaml:6:56: warning: culvert.dev/fail means nothing as label: ignored
     6 |   labels: {culvert.dev/msh: enabled, culvert.dev/fail: open, example.org/msh: x}
       |                                                        ^
       = move it to metadata.annotations
    shop.yaml:7:35: warning: culvert.dev/mesh means nothing as annotation: ignored
     7 |   annotations: {culvert.dev/mesh: enabled, culvert.dev/fail: open, culvert.dev/color: red}
       |                                   ^
       = move it to metadata.labels
    shop.yaml:7:87: warning: unknown annotation culvert.dev/color: ignored
     7 |   annotations: {culvert.dev/mesh: enabled, culvert.dev/fail: open, culvert.dev/color: red}
       |                                                                                       ^
    ");
}
