//! What somebody is told of, by what it calls itself.
use crate::{
    compile::http::{emit::Scope, plan::Labels},
    gateways::GATEWAY_NAME,
};
use culvert_model::{locality::Locality, name::ObjectName};
use culvert_proto::{
    Struct,
    envoy::config::core::v3::{self, Node},
    value::Kind,
};

/// Why nobody knows what to tell somebody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoScope {
    #[error(
        "the node id `{0}` is not of the form sidecar~IP~NAME.NAMESPACE~DOMAIN or router~IP~NAME.NAMESPACE~DOMAIN"
    )]
    Form(String),
    #[error("the node id `{0}` names no namespace, and there is no NAMESPACE in its metadata")]
    Namespace(String),
}

/// An engine, a sidecar or a gateway, as Istio's proxies call themselves:
/// `sidecar~IP~NAME.NAMESPACE~NAMESPACE.svc.cluster.local`, or `router~…` for the gateway NAME.
///
/// Metadata, where there is any, counts before the id: `NAMESPACE`, `NODE_NAME`, and of `LABELS` the
/// gateway's name; by the others a gateway is chosen. `GENERATOR: grpc` is a client without a proxy.
pub(super) fn of(node: &Node) -> Result<Scope, NoScope> {
    let form = || NoScope::Form(node.id.clone());
    let parts: Vec<&str> = node.id.split('~').collect();
    let [kind, _ip, name, domain] = *parts else { return Err(form()) };
    let is_gateway = match kind {
        "sidecar" => false,
        "router" => true,
        _ => return Err(form()),
    };
    let empty = Struct::default();
    let metadata = node.metadata.as_ref().unwrap_or(&empty);
    let namespace = text(metadata, "NAMESPACE")
        .or_else(|| domain.split_once(".svc").map(|(namespace, _)| namespace))
        .or_else(|| name.rsplit_once('.').map(|(_, namespace)| namespace))
        .filter(|namespace| !namespace.is_empty())
        .ok_or_else(|| NoScope::Namespace(node.id.clone()))?;
    let labels = metadata.fields.get("LABELS").and_then(|value| match &value.kind {
        Some(Kind::StructValue(labels)) => Some(labels),
        _ => None,
    });
    let gateway = is_gateway.then(|| {
        let own = name.strip_suffix(namespace).and_then(|name| name.strip_suffix('.'));
        let called = labels.and_then(|labels| text(labels, GATEWAY_NAME));
        ObjectName::new(namespace, called.or(own).unwrap_or(name))
    });
    let labels = labels.filter(|_| is_gateway).map(all).unwrap_or_default();
    let v3::Locality { region, zone, sub_zone } = node.locality.clone().unwrap_or_default();
    Ok(Scope {
        namespace: namespace.into(),
        node: text(metadata, "NODE_NAME").unwrap_or_default().into(),
        locality: Locality { region: region.into(), zone: zone.into(), subzone: sub_zone.into() },
        gateway,
        labels,
        api: text(metadata, "GENERATOR") == Some("grpc"),
    })
}

fn all(labels: &Struct) -> Labels {
    let known = |key: &String| Some((key.clone(), text(labels, key)?.to_owned()));
    labels.fields.keys().filter_map(known).collect()
}

fn text<'a>(of: &'a Struct, key: &str) -> Option<&'a str> {
    match &of.fields.get(key)?.kind {
        Some(Kind::StringValue(text)) if !text.is_empty() => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use culvert_proto::Value;

    fn node(id: &str, metadata: &[(&str, &str)]) -> Node {
        let value = |text: &str| Value { kind: Some(Kind::StringValue(text.to_owned())) };
        let fields = metadata.iter().map(|(key, text)| ((*key).to_owned(), value(text)));
        Node {
            id: id.to_owned(),
            metadata: Some(Struct { fields: fields.collect() }),
            ..Node::default()
        }
    }

    #[test]
    fn an_engine_is_of_a_namespace_and_a_node() {
        let id = "sidecar~10.0.0.1~n1.shop~shop.svc.cluster.local";
        let scope = of(&node(id, &[("NAMESPACE", "shop"), ("NODE_NAME", "n1")])).unwrap();
        assert_eq!((&*scope.namespace, &*scope.node, scope.gateway), ("shop", "n1", None));
        assert_eq!(of(&node(id, &[])).unwrap().node, "".into(), "an id is no proof of a node");
        assert_eq!(&*of(&node("sidecar~~a.b.shop~", &[])).unwrap().namespace, "shop");
    }

    #[test]
    fn a_gateway_is_called_by_its_id_or_its_label() {
        let id = "router~10.0.0.1~edge.shop~shop.svc.cluster.local";
        let gateway = |node: &Node| of(node).unwrap().gateway.unwrap();
        assert_eq!(gateway(&node(id, &[])), ObjectName::new("shop", "edge"));
        let mut labelled = node(id, &[]);
        let label = node("", &[(GATEWAY_NAME, "front")]).metadata.unwrap();
        let labels = Value { kind: Some(Kind::StructValue(label)) };
        labelled.metadata.as_mut().unwrap().fields.insert("LABELS".into(), labels);
        assert_eq!(gateway(&labelled), ObjectName::new("shop", "front"));
        let labels = [(GATEWAY_NAME.to_owned(), "front".to_owned())].into();
        assert_eq!(of(&labelled).unwrap().labels, labels);
    }

    #[test]
    fn nobody_else_is_told_anything() {
        for id in ["", "node-1", "ztunnel~1~a.b~b.svc", "sidecar~a~b", "sidecar~1~2~3~4"] {
            assert_eq!(of(&node(id, &[])), Err(NoScope::Form(id.to_owned())));
        }
        let id = "sidecar~1~alone~";
        assert_eq!(of(&node(id, &[])), Err(NoScope::Namespace(id.to_owned())));
    }
}
