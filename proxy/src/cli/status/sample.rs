//! What a node and a control plane say of themselves when all is well, for tests.
use serde_json::{Value, json};

/// A node with one captured pod, `shop/web-0`; `change` are other fields.
pub(crate) fn node(change: &Value) -> Value {
    let mut document = json!({
        "instance": "node", "version": "0.1.0", "abi": 1, "pid": 7, "generation": 3,
        "node": "worker-1", "cluster": "Kubernetes", "trust_domain": "cluster.local",
        "ready": true,
        "configuration": {"paths": [], "generation": 2, "since_unix_ms": 0},
        "mesh": {
            "control": "https://culvert-control", "connected": true, "generation": 5,
            "workloads": 3, "services": 1,
        },
        "cni": {
            "conf_dir": "/etc/cni/net.d", "file": "/etc/cni/net.d/10-x.conflist",
            "plugins": ["bridge", "culvert-cni"],
        },
        "pods": [{
            "uid": "x", "namespace": "shop", "name": "web-0", "ips": [], "state": "captured",
            "connections": 2,
        }],
    });
    for (field, value) in change.as_object().unwrap() {
        document[field] = value.clone();
    }
    document
}

/// A control plane; these pods are enrolled, and not captured.
pub(crate) fn control(uncaptured: &Value) -> Value {
    json!({
        "role": "control", "instance": "control", "version": "0.1.0", "pid": 1,
        "cluster": "Kubernetes", "ready": true,
        "configuration": {"paths": [], "generation": 2, "since_unix_ms": 0},
        "control": {
            "trust_domain": "cluster.local", "workloads": 3, "services": 1, "policies": 1,
            "enrolled": 3, "announced": 2, "nodes": [], "uncaptured": uncaptured, "closing": [],
            "authority": {
                "not_after": "2036-01-01T00:00:00Z", "expires_in_seconds": 300_000_000, "roots": 1,
                "serving_not_after": "2036-01-01T00:00:00Z",
            },
            "certificates_issued": 3, "certificates_refused": 0,
            "writer": {"replica": "control-0_1-1", "is_own": true},
        },
    })
}
