//! `/config_dump`: all of it, one kind of resource, or some fields.
use super::{Admin, Answer, mask, query::Query};
use axum::http::StatusCode;
use culvert_xds::envoy::dump::config_dump;
use regex::Regex;
use serde_json::{Map, Value, json};

/// What an element of each list is called, after its dump's name.
const ELEMENTS: [(&str, &str); 13] = [
    ("static_clusters", "StaticCluster"),
    ("dynamic_active_clusters", "DynamicCluster"),
    ("dynamic_warming_clusters", "DynamicCluster"),
    ("static_listeners", "StaticListener"),
    ("dynamic_listeners", "DynamicListener"),
    ("static_route_configs", "StaticRouteConfig"),
    ("dynamic_route_configs", "DynamicRouteConfig"),
    ("static_secrets", "StaticSecret"),
    ("dynamic_active_secrets", "DynamicSecret"),
    ("dynamic_warming_secrets", "DynamicSecret"),
    ("static_endpoint_configs", "StaticEndpointConfig"),
    ("dynamic_endpoint_configs", "DynamicEndpointConfig"),
    ("ecds_filters", "EcdsFilterConfig"),
];

/// Where a resource has its name.
const NAMED: [&str; 8] = [
    "cluster",
    "listener",
    "route_config",
    "endpoint_config",
    "ecds_filter",
    "active_state",
    "warming_state",
    "secret",
];

pub(super) fn answer(admin: &Admin, query: &Query) -> Answer {
    let name = match query.some("name_regex").map(Regex::new).transpose() {
        Ok(name) => name,
        Err(error) => return Answer::bad(format!("Error while parsing name_regex: {error}")),
    };
    let around = &admin.around;
    let resource = query.some("resource");
    // Who asks for endpoints by name wants them.
    let endpoints =
        query.has("include_eds") || resource.is_some_and(|name| name.contains("endpoint"));
    let whole = around
        .discovery
        .inspect(|all| config_dump(&around.bootstrap, admin.started, all, endpoints));
    let dumps = whole.get("configs").and_then(Value::as_array).cloned().unwrap_or_default();
    let dumps: Vec<_> = dumps.into_iter().map(|dump| tidy(dump, name.as_ref())).collect();
    let mask = query.some("mask");
    let configs = match resource {
        None => masked(dumps, mask),
        Some(resource) => match elements(&dumps, resource) {
            Ok(found) => {
                let cut = |one: Value| mask.map_or(one.clone(), |mask| mask::keep(&one, mask));
                found.into_iter().map(cut).collect()
            }
            Err(answer) => return answer,
        },
    };
    if configs.is_empty() {
        return Answer::json(&json!({}));
    }
    Answer::json(&json!({ "configs": configs }))
}

/// Dumps that have one of the fields of a mask, with those.
fn masked(dumps: Vec<Value>, mask: Option<&str>) -> Vec<Value> {
    let Some(mask) = mask else { return dumps };
    let cut = dumps.iter().map(|dump| mask::keep(dump, mask));
    cut.filter(|dump| dump.as_object().is_some_and(|fields| 1 < fields.len())).collect()
}

/// Each element of the list of this name.
fn elements(dumps: &[Value], resource: &str) -> Result<Vec<Value>, Answer> {
    let known = ELEMENTS.iter().find(|(name, _)| *name == resource);
    let Some((_, kind)) = known else {
        return Err(match dumps.iter().any(|dump| dump.get(resource).is_some()) {
            true => Answer::bad(format!(
                "{resource} is not a repeated field. Use ?mask={resource} to get only this field"
            )),
            false => {
                Answer::text(StatusCode::NOT_FOUND, format!("{resource} not found in config dump"))
            }
        });
    };
    let Some(dump) = dumps.iter().find(|dump| dump.get(resource).is_some()) else {
        return Ok(Vec::new());
    };
    let of = dump.get("@type").and_then(Value::as_str).unwrap_or_default();
    let list = dump.get(resource).and_then(Value::as_array);
    let typed = |one: &Value| {
        let mut fields = one.as_object().cloned().unwrap_or_default();
        fields.insert("@type".to_owned(), json!(format!("{of}.{kind}")));
        Value::Object(fields)
    };
    Ok(list.into_iter().flatten().map(typed).collect())
}

/// Without lists that are empty, and without what has another name.
fn tidy(dump: Value, name: Option<&Regex>) -> Value {
    let Value::Object(fields) = dump else { return dump };
    let mut kept = Map::new();
    for (field, value) in fields {
        let value = match value {
            Value::Array(items) => {
                let wanted = |item: &Value| name.is_none_or(|name| has_name(item, name));
                let items: Vec<_> = items.into_iter().filter(wanted).collect();
                if items.is_empty() {
                    continue;
                }
                Value::Array(items)
            }
            value @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_)) => value,
        };
        kept.insert(field, value);
    }
    Value::Object(kept)
}

fn has_name(item: &Value, wanted: &Regex) -> bool {
    let own = |value: &Value| {
        let name = value.get("name").or_else(|| value.get("cluster_name"))?;
        name.as_str().map(|name| wanted.is_match(name))
    };
    own(item).or_else(|| NAMED.iter().find_map(|field| own(item.get(field)?))).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dumps() -> Vec<Value> {
        let of = |name: &str| json!({"cluster": {"name": name}, "last_updated": "t"});
        vec![
            json!({"@type": "x.BootstrapConfigDump", "bootstrap": {}}),
            json!({"@type": "x.ClustersConfigDump", "static_clusters": [of("a"), of("b")],
                   "dynamic_active_clusters": []}),
        ]
    }

    #[test]
    fn one_kind_of_resource_is_its_elements_with_their_types() {
        let found = elements(&dumps(), "static_clusters").unwrap();
        assert_eq!(found[1]["@type"], "x.ClustersConfigDump.StaticCluster");
        assert_eq!(found[1]["cluster"]["name"], "b");
        assert_eq!(elements(&dumps(), "dynamic_listeners").unwrap(), [Value::Null; 0]);
        assert_eq!(elements(&dumps(), "nothing").unwrap_err().status, StatusCode::NOT_FOUND);
        assert!(elements(&dumps(), "bootstrap").unwrap_err().body.contains("not a repeated field"));
    }

    #[test]
    fn names_and_masks_leave_out() {
        let name = Regex::new("^a$").unwrap();
        let tidied: Vec<_> = dumps().into_iter().map(|dump| tidy(dump, Some(&name))).collect();
        assert_eq!(tidied[1]["static_clusters"].as_array().unwrap().len(), 1);
        assert!(tidied[1].get("dynamic_active_clusters").is_none());
        let cut = masked(dumps(), Some("static_clusters.cluster.name"));
        assert_eq!(cut.len(), 1);
        assert_eq!(cut[0]["static_clusters"][0], json!({"cluster": {"name": "a"}}));
    }
}
