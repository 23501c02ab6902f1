//! What stands in for a policy that cannot be understood: one that closes what it could select.
use super::{
    Objects,
    authorization_policy::{
        AuthorizationPolicy, DRY_RUN, PolicyAction, PolicyRule, Selects, Target,
    },
    json,
    meta::Meta,
    node::{Node, Value},
    peer_authentication::{Mode, PeerAuthentication},
    spanned::Spanned,
};
use crate::problem::{Mark, Origin, Source};
use culvert_model::name::ObjectName;
use std::{collections::BTreeMap, sync::Arc};

/// The stand-in for an object of `kind`, of which `source` has whatever is there; `None`: it
/// narrows nothing, and is left out.
pub(crate) fn stand_in(kind: &str, name: &ObjectName, source: &Arc<Source>) -> Option<Objects> {
    let tree = json::parse(source).ok();
    let tree = tree.as_ref();
    let created = tree.and_then(|tree| tree.get("metadata")?.text("creationTimestamp"));
    let origin = Origin::new(source, Mark::value(0));
    let meta = Meta::bare(origin, name.clone(), created.map(str::to_owned));
    let spec = tree.and_then(|tree| tree.get("spec"));
    match kind {
        "AuthorizationPolicy" => {
            let policy = authorization(meta, tree, spec)?;
            let authorization_policies = vec![Arc::new(policy)];
            Some(Objects { authorization_policies, ..Objects::default() })
        }
        "PeerAuthentication" => {
            let (selector, mode) = (labels(spec).unwrap_or_default(), Mode::Strict);
            let policy = PeerAuthentication { meta, selector, mode, ports: BTreeMap::new() };
            Some(Objects { peer_authentications: vec![Arc::new(policy)], ..Objects::default() })
        }
        _ => None,
    }
}

/// Denies everything where the policy could have denied anything, or allowed nothing else.
fn authorization(
    meta: Meta,
    tree: Option<&Node>,
    spec: Option<&Node>,
) -> Option<AuthorizationPolicy> {
    if spec.and_then(|spec| spec.text("action")) == Some("AUDIT") {
        return None;
    }
    let annotations = tree.and_then(|tree| tree.get("metadata")?.get("annotations"));
    let dry_run = annotations.and_then(|all| all.text(DRY_RUN)) == Some("true");
    let rule = PolicyRule { from: None, to: None, when: Vec::new(), origin: meta.origin.clone() };
    let (action, rules) = (PolicyAction::Deny, vec![rule]);
    let (selects, provider) = (selects(spec), None);
    Some(AuthorizationPolicy { selects, action, provider, dry_run, rules, meta })
}

fn selects(spec: Option<&Node>) -> Selects {
    let field = |name| spec.and_then(|spec| spec.get(name)).filter(|node| !is_null(node));
    match (labels(spec), field("selector"), field("targetRef").or_else(|| field("targetRefs"))) {
        (Some(labels), Some(_), None) => Selects::Labels(labels),
        (_, None, Some(target)) if !matches!(&target.value, Value::Seq(all) if all.is_empty()) => {
            // Not enforced at L4 if it could be understood, either.
            let value =
                Target { group: String::new(), kind: "its targets".into(), name: String::new() };
            Selects::Targets(vec![Spanned { value, at: target.at }])
        }
        _ => Selects::Everything,
    }
}

/// The labels of a selector, when all of it can be understood.
fn labels(spec: Option<&Node>) -> Option<BTreeMap<String, String>> {
    let Value::Map(entries) = &spec?.get("selector")?.get("matchLabels")?.value else {
        return None;
    };
    let label = |key: &str, node: &Node| match &node.value {
        Value::Text(text) if !key.is_empty() && !key.contains('*') && !text.contains('*') => {
            Some((key.to_owned(), String::from(&**text)))
        }
        Value::Null
        | Value::Bool { .. }
        | Value::Int { .. }
        | Value::Float { .. }
        | Value::Text(_)
        | Value::Seq(_)
        | Value::Map(_) => None,
    };
    entries.iter().map(|entry| label(&entry.key, &entry.node)).collect()
}

fn is_null(node: &Node) -> bool {
    matches!(node.value, Value::Null)
}
