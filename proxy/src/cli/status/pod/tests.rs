//! The decision list, one cause at a time.
use super::*;
use crate::cli::status::sample;
use serde_json::{Value, json};

fn status(change: &Value) -> Status {
    serde_json::from_value(sample::node(change)).unwrap()
}

fn control(uncaptured: &Value) -> ControlStatus {
    serde_json::from_value(sample::control(uncaptured)).unwrap()
}

/// A pod that is captured as it should be.
fn captured() -> Facts {
    Facts {
        namespace: "shop".to_owned(),
        name: "web-0".to_owned(),
        node: "worker-1".to_owned(),
        is_annotated: true,
        membership: Membership::Inside,
        machine: Some(Machine {
            is_ready: true,
            kernel: "6.1.0-13-amd64".to_owned(),
            is_foreign: false,
        }),
        proxy: Some(proxy(&json!({}))),
        control: Some(Ok(control(&json!([])))),
    }
}

fn proxy(change: &Value) -> Proxy {
    let said = Ok(Box::new(status(change)));
    Proxy { pod: "culvert-node-x".to_owned(), trouble: None, said }
}

/// The first thing that does not hold, and the last line of the list.
#[track_caller]
fn first_bad(facts: &Facts) -> String {
    let checks = checks(facts);
    let bad = checks.iter().find(|check| check.holds == Some(false));
    let Check { what, way_out, .. } = bad.expect("something does not hold");
    format!("{what}\n{}", way_out.as_deref().unwrap_or_default())
}

#[test]
fn a_captured_pod_has_every_tick() {
    let facts = captured();
    insta::assert_snapshot!(render(&facts, &checks(&facts)), @r"
    pod shop/web-0
      ✓ namespace shop is in the mesh, and the pod does not decline
      ✓ it is on node worker-1, which is ready
      ✓ the proxy's pod there, culvert-node-x, is ready
      ✓ the proxy knows the mesh, and serves
      ✓ it is connected to https://culvert-control
      ✓ new pods are handed over by the CNI plugin
      ✓ it is captured, with 2 connections now
      ✓ the control plane knows, and others reach it encrypted
    captured
    ");
}

#[test]
fn a_namespace_without_the_label_ends_the_list() {
    let membership = Membership::Outside(Outside::Namespace);
    let proxy = Some(proxy(&json!({"pods": []})));
    let facts = Facts { membership, proxy, ..captured() };
    insta::assert_snapshot!(render(&facts, &checks(&facts)), @r"
    pod shop/web-0
      ✗ it is not to be in the mesh: its namespace is not in the mesh
          kubectl label namespace shop culvert.dev/mesh=enabled
    not captured: begin with the first ✗
    ");
}

#[test]
fn each_way_to_be_outside_has_a_way_out() {
    let outs = [
        (Outside::NamespaceDeclines, "culvert.dev/mesh=enabled"),
        (Outside::PodDeclines, "kubectl -n shop label pod web-0 culvert.dev/mesh-"),
        (Outside::Istio, "istio.io/dataplane-mode-"),
        (Outside::Sidecar, "without injection"),
        (Outside::HostNetwork, "without hostNetwork"),
        (Outside::Over, "nothing"),
    ];
    for (outside, word) in outs {
        let facts = Facts { membership: Membership::Outside(outside), ..captured() };
        let said = first_bad(&facts);
        assert!(said.contains(word) && said.contains(&outside.to_string()), "{said}");
        assert_eq!(checks(&facts).len(), 1, "what follows would only follow from that");
    }
}

#[test]
fn a_node_that_cannot_capture() {
    let on = |machine: Machine| first_bad(&Facts { machine: Some(machine), ..captured() });
    let well = || Machine { is_ready: true, kernel: "6.1.0".to_owned(), is_foreign: false };
    assert!(on(Machine { is_foreign: true, ..well() }).contains("does not run Linux"));
    assert!(on(Machine { is_ready: false, ..well() }).contains("kubectl describe node worker-1"));
    let old = on(Machine { kernel: "4.18.0-477.el8".to_owned(), ..well() });
    assert!(old.contains("4.18.0-477.el8") && old.contains("5.10"), "{old}");
    let none = Facts { node: String::new(), ..captured() };
    assert!(first_bad(&none).contains("describe pod web-0"));
}

#[test]
fn a_proxy_that_is_not_there_not_ready_or_silent() {
    let none = first_bad(&Facts { proxy: None, ..captured() });
    assert!(none.contains("no pod of culvert-node") && none.contains("tolerations"), "{none}");
    let silent = Proxy {
        pod: "culvert-node-x".to_owned(),
        trouble: Some("container culvert waits: CrashLoopBackOff".to_owned()),
        said: Err("nobody answers".to_owned()),
    };
    let facts = Facts { proxy: Some(silent), ..captured() };
    insta::assert_snapshot!(render(&facts, &checks(&facts)), @r"
    pod shop/web-0
      ✓ namespace shop is in the mesh, and the pod does not decline
      ✓ it is on node worker-1, which is ready
      ✗ the proxy's pod there, culvert-node-x, is not ready: container culvert waits: CrashLoopBackOff
          kubectl -n culvert-system logs culvert-node-x --all-containers; kubectl -n culvert-system describe pod culvert-node-x
      ✗ it does not answer: nobody answers
          kubectl -n culvert-system logs culvert-node-x --all-containers; kubectl -n culvert-system describe pod culvert-node-x
    not captured: begin with the first ✗
    ");
}

#[test]
fn a_pod_that_waits_says_for_what() {
    let pod = |state: &str, reason: &str| {
        json!({"pods": [{
            "uid": "x", "namespace": "shop", "name": "web-0", "ips": [], "state": state,
            "reason": reason, "connections": 0,
        }]})
    };
    let said = |change: &Value| first_bad(&Facts { proxy: Some(proxy(change)), ..captured() });
    let taken = said(&pod("pending", "a proxy of Istio listens at 15001 and 15006 in it"));
    assert!(taken.contains("rollout restart"), "{taken}");
    let settings =
        said(&pod("pending", "cannot write /proc/sys/net/ipv4/x: read-only file system"));
    assert!(settings.contains("capabilities of the chart"), "{settings}");
    assert!(said(&pod("leaving", "")).contains("let go"));
    assert!(said(&json!({"pods": []})).contains("does not know it"));
    let waits = said(&json!({"ready": false, "waiting": ["certificates"]}));
    assert!(waits.contains("the proxy waits: certificates"), "{waits}");
}

#[test]
fn what_the_control_plane_does_not_know() {
    let uncaptured = json!([{
        "pod": "shop/web-0", "node": "worker-1", "reason": "its node is not connected",
        "origin": "", "announced": false,
    }]);
    let facts = Facts { control: Some(Ok(control(&uncaptured))), ..captured() };
    assert!(first_bad(&facts).contains("its node is not connected"));
    let silent = Facts { control: Some(Err("x".to_owned())), ..captured() };
    assert!(checks(&silent).iter().all(|check| check.holds != Some(false)), "traffic goes on");
}

#[test]
fn a_node_with_two_meshes_says_whose_label_has_to_be_told() {
    let both = json!({
        "ambient_namespaces": "ours",
        "cni": {
            "conf_dir": "/etc/cni/net.d", "file": "/etc/cni/net.d/10-x.conflist",
            "plugins": ["bridge", "istio-cni", "culvert-cni"],
        },
    });
    let facts = Facts { proxy: Some(proxy(&both)), ..captured() };
    assert!(first_bad(&facts).contains("mesh.ambientNamespaces=istio"));
    let mut told = both;
    told["ambient_namespaces"] = json!("istio");
    let facts = Facts { proxy: Some(proxy(&told)), ..captured() };
    assert!(is_well(&checks(&facts)));
}

#[test]
fn without_the_plugin_the_list_says_what_that_means() {
    let bare = json!({"cni": {"conf_dir": "/etc/cni/net.d", "file": "/etc/cni/net.d/10-x.conflist", "plugins": ["bridge"]}});
    let facts = Facts { proxy: Some(proxy(&bare)), ..captured() };
    let list = checks(&facts);
    let unsure: Vec<_> = list.iter().filter(|check| check.holds.is_none()).collect();
    assert!(unsure[0].what.contains("not in /etc/cni/net.d/10-x.conflist"), "{unsure:?}");
    assert_eq!(unsure.len(), 1);
}
