//! The objects that are made for a Gateway.
use super::{
    GATEWAY_NAME,
    order::{MADE_OF, Order, Wanted},
    template::{CONTAINER, ROOTS, Template},
};
use culvert_kubernetes::trim::Key;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, sync::Arc};

/// Labels of everything that is made.
const CLASS: &str = "gateway.networking.k8s.io/gateway-class-name";
pub(crate) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
pub(crate) const US: &str = "culvert";

/// In the `ConfigMap`: what the control plane is known by.
const ROOT: &str = "root.pem";

/// One object, as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) kind: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) api_version: &'static str,
    pub(crate) key: Key,
    /// Of everything in it.
    pub(crate) made_of: String,
    pub(crate) body: Value,
}

/// What is made for a gateway, in the order in which it is needed; `roots` are those by which the
/// control plane is known.
pub(crate) fn all(order: &Order, wanted: &Wanted, template: &Template, roots: &str) -> [Made; 4] {
    let maker = Maker { order, wanted };
    let name = order.made_name();
    [
        maker.make("ServiceAccount", order.account(), &account()),
        maker.make("ConfigMap", &name, &json!({ "data": { ROOT: roots } })),
        maker.make("Deployment", &name, &maker.deployment(template)),
        maker.make("Service", &name, &maker.service()),
    ]
}

struct Maker<'a> {
    order: &'a Order,
    wanted: &'a Wanted,
}

fn account() -> Value {
    // The one token that is shown is projected by itself, and not for the API server.
    json!({ "automountServiceAccountToken": false })
}

impl Maker<'_> {
    fn make(&self, kind: &'static str, name: &str, fields: &Value) -> Made {
        let (plural, api_version) = match kind {
            "ServiceAccount" => ("serviceaccounts", "v1"),
            "ConfigMap" => ("configmaps", "v1"),
            "Deployment" => ("deployments", "apps/v1"),
            _ => ("services", "v1"),
        };
        let Order { key, uid, api_version: of, .. } = self.order;
        let mut metadata = json!({
            "name": name,
            "namespace": &*key.namespace,
            "labels": self.labels(),
            // Whoever removes the Gateway removes it.
            "ownerReferences": [{
                "apiVersion": of,
                "kind": "Gateway",
                "name": &*key.name,
                "uid": uid,
                "controller": true,
                "blockOwnerDeletion": false,
            }],
        });
        let mut annotations = self.annotations();
        metadata["annotations"] = Value::Object(annotations.clone());
        let mut body = json!({ "apiVersion": api_version, "kind": kind });
        if let (Some(body), Some(fields)) = (body.as_object_mut(), fields.as_object()) {
            body.extend(fields.clone());
        }
        let hash = Sha256::digest(format!("{metadata}{body}").as_bytes());
        let made_of: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        annotations.insert(MADE_OF.to_owned(), made_of.clone().into());
        metadata["annotations"] = Value::Object(annotations);
        body["metadata"] = metadata;
        let key = Key { namespace: Arc::clone(&key.namespace), name: name.into() };
        Made { kind, plural, api_version, key, made_of, body }
    }

    fn labels(&self) -> Value {
        let mut labels: Map<String, Value> = texts(&self.wanted.labels);
        labels.insert(GATEWAY_NAME.to_owned(), self.order.label().into());
        labels.insert(CLASS.to_owned(), (*self.order.class).into());
        labels.insert(MANAGED_BY.to_owned(), US.into());
        Value::Object(labels)
    }

    fn annotations(&self) -> Map<String, Value> {
        texts(&self.wanted.annotations)
    }

    fn selector(&self) -> Value {
        json!({ GATEWAY_NAME: self.order.label() })
    }

    fn deployment(&self, template: &Template) -> Value {
        let mut pod = template.pod();
        let merge = |into: &mut Value, more: &Map<String, Value>| {
            if !into.is_object() {
                *into = json!({});
            }
            into.as_object_mut().into_iter().for_each(|into| into.extend(more.clone()));
        };
        let labels = self.labels();
        merge(&mut pod["metadata"]["labels"], labels.as_object().unwrap_or(&Map::new()));
        merge(&mut pod["metadata"]["annotations"], &self.annotations());
        pod["spec"]["serviceAccountName"] = self.order.account().into();
        let ports = self.wanted.ports.iter().map(|(port, word)| {
            json!({ "name": format!("{word}-{port}"), "containerPort": port, "protocol": "TCP" })
        });
        let ports: Vec<Value> = ports.collect();
        let Key { namespace, name } = &self.order.key;
        edit(&mut pod["spec"], "containers", |containers| {
            let mut all = containers.iter_mut();
            let Some(own) = all.find(|container| container["name"] == CONTAINER) else { return };
            own["args"] = json!(["gateway", format!("{namespace}/{name}")]);
            edit(own, "ports", |all| all.extend(ports));
        });
        edit(&mut pod["spec"], "volumes", |volumes| {
            let mut all = volumes.iter_mut();
            let Some(roots) = all.find(|volume| volume["name"] == ROOTS) else { return };
            roots["configMap"] = json!({ "name": self.order.made_name() });
        });
        // How many there are is somebody else's to say: an autoscaler's, or a person's.
        json!({ "spec": { "selector": { "matchLabels": self.selector() }, "template": pod } })
    }

    fn service(&self) -> Value {
        let ports = self.wanted.ports.iter().map(|(port, word)| {
            let name = format!("{word}-{port}");
            json!({ "name": name, "port": port, "targetPort": port, "protocol": "TCP" })
        });
        let ports: Vec<Value> = ports.collect();
        let kind = &self.wanted.service_type;
        json!({ "spec": { "type": kind, "selector": self.selector(), "ports": ports } })
    }
}

/// Edits a list in an object, which may not be there yet.
fn edit(of: &mut Value, name: &str, edit: impl FnOnce(&mut Vec<Value>)) {
    let mut all = if let Value::Array(all) = of[name].take() { all } else { Vec::new() };
    edit(&mut all);
    of[name] = Value::Array(all);
}

fn texts(all: &BTreeMap<String, String>) -> Map<String, Value> {
    all.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect()
}
