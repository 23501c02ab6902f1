//! The bootstrap: a file, what the command line puts over it, and who that makes us.
use super::options::{NodeOptions, Options};
use crate::failure::{Exit, Failure};
use culvert_proto::{api::envoy::config::core::v3 as core, json::yaml};
use culvert_xds::envoy::bootstrap::{self, Bootstrap};
use serde_json::{Map, Value};
use std::{fs, path::Path};

pub(super) const MEND: &str = "mend what is named; docs/compatibility.md has what is understood";

/// Reads what there is to be read.
///
/// # Errors
///
/// Everything that is wrong with it.
pub(super) fn read(options: &Options) -> Result<Bootstrap, Failure> {
    let text = options.path.as_deref().map(file).transpose()?;
    let text = match (text, &options.yaml) {
        (Some(text), None) => text,
        (None, Some(yaml)) => yaml.clone(),
        (Some(text), Some(yaml)) => merged(options, &text, yaml)?,
        (None, None) => {
            return Err(Failure::new(
                Exit::Usage,
                "nothing says what to serve",
                "name a bootstrap file with -c FILE (or --bootstrap FILE), or give --config-yaml",
            ));
        }
    };
    let source = options.source();
    let mut bootstrap =
        bootstrap::read(&source, &text).map_err(|bad| Failure::new(Exit::Found, bad, MEND))?;
    rename(&mut bootstrap, &options.node);
    check_node(&source, &bootstrap)?;
    Ok(bootstrap)
}

/// The text of a file in a form that is read.
fn file(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    if let Some(form @ ("pb" | "pb_text")) = path.extension().and_then(|form| form.to_str()) {
        return Err(Failure::new(
            Exit::Usage,
            format!("{shown}: files of the form .{form} are not read"),
            "write the bootstrap in YAML or JSON",
        ));
    }
    let bytes = fs::read(path).map_err(|error| {
        Failure::new(
            Exit::Cannot,
            format!("cannot read the bootstrap {shown}"),
            "name a file that this user can read with -c FILE",
        )
        .because(&error)
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let line = 1 + error
            .as_bytes()
            .iter()
            .take(error.utf8_error().valid_up_to())
            .filter(|b| **b == b'\n')
            .count();
        Failure::new(Exit::Found, format!("{shown}: line {line} is not UTF-8"), MEND)
    })
}

/// The file's with what the flag says over it: objects field by field, lists one after the other.
fn merged(options: &Options, text: &str, over: &str) -> Result<String, Failure> {
    let read = |name: &str, text: &str| {
        let value = yaml::read(text);
        value.map_err(|error| Failure::new(Exit::Found, format!("{name}: {error}"), MEND))
    };
    let path = options.path.as_deref().map(|path| path.display().to_string());
    let mut whole = read(&path.unwrap_or_default(), text)?;
    merge(&mut whole, read("--config-yaml", over)?);
    Ok(whole.to_string())
}

fn merge(into: &mut Value, over: Value) {
    match (into, over) {
        (_, Value::Null) => {}
        (Value::Object(into), Value::Object(over)) => {
            for (name, value) in over {
                merge(field(into, &name), value);
            }
        }
        (Value::Array(into), Value::Array(over)) => into.extend(over),
        (into, over) => *into = over,
    }
}

/// The field of this name, however it is written: `configPath`, `config_path`.
fn field<'a>(of: &'a mut Map<String, Value>, name: &str) -> &'a mut Value {
    let plain = |name: &str| name.replace('_', "").to_ascii_lowercase();
    let known = of.keys().find(|key| plain(key) == plain(name)).cloned();
    of.entry(known.unwrap_or_else(|| name.to_owned())).or_insert(Value::Null)
}

/// What the command line says of the node counts.
pub(super) fn rename(bootstrap: &mut Bootstrap, said: &NodeOptions) {
    let NodeOptions { id, cluster, zone } = said;
    let Bootstrap { node, node_facts, message, .. } = bootstrap;
    if let Some(id) = id {
        node.id.clone_from(id);
        node_facts.id = id.as_str().into();
    }
    if let Some(cluster) = cluster {
        node.cluster.clone_from(cluster);
        node_facts.cluster = cluster.as_str().into();
    }
    if let Some(zone) = zone {
        let locality = node.locality.get_or_insert_with(core::Locality::default);
        locality.zone.clone_from(zone);
        node_facts.locality.zone = zone.as_str().into();
    }
    if id.is_some() || cluster.is_some() || zone.is_some() {
        message.node = Some(node.clone());
    }
}

/// Servers of discovery do not talk to somebody without a name.
fn check_node(source: &str, bootstrap: &Bootstrap) -> Result<(), Failure> {
    use culvert_model::http::source::From;

    let asks = |from: &From| matches!(from, From::Ads | From::Grpc(_) | From::Rest(_));
    let dynamic = &bootstrap.dynamic;
    let sources = [&dynamic.listeners, &dynamic.clusters].into_iter().flatten();
    let asked = dynamic.ads.is_some() || sources.into_iter().any(|source| asks(&source.from));
    let missing: Vec<_> = [("id", &bootstrap.node.id), ("cluster", &bootstrap.node.cluster)]
        .into_iter()
        .filter(|(_, value)| value.is_empty())
        .map(|(name, _)| format!("node.{name}"))
        .collect();
    if !asked || missing.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Found,
        format!("{source}: {}: not set, and servers of discovery want it", missing.join(", ")),
        "set node.id and node.cluster, or give --service-node and --service-cluster",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn options(yaml: &str) -> Options {
        Options { yaml: Some(yaml.to_owned()), ..Options::default() }
    }

    #[test]
    fn the_flag_counts_over_the_file_and_lists_are_joined() {
        let mut whole = json!({"node": {"id": "a", "cluster": "c"}, "layers": [1], "x": 1});
        merge(&mut whole, json!({"node": {"id": "b"}, "layers": [2], "x": null}));
        assert_eq!(whole, json!({"node": {"id": "b", "cluster": "c"}, "layers": [1, 2], "x": 1}));
        let mut whole = json!({"staticResources": {"clusters": [1]}});
        merge(&mut whole, json!({"static_resources": {"clusters": [2]}}));
        assert_eq!(whole, json!({"staticResources": {"clusters": [1, 2]}}));
    }

    #[test]
    fn the_command_line_names_the_node() {
        let node = NodeOptions {
            id: Some("n".to_owned()),
            cluster: Some("c".to_owned()),
            zone: Some("z".to_owned()),
        };
        let options = Options { node, ..options("node: {id: other, locality: {region: r}}") };
        let bootstrap = read(&options).unwrap();
        assert_eq!((bootstrap.node.id.as_str(), &*bootstrap.node_facts.cluster), ("n", "c"));
        let locality = bootstrap.message.node.unwrap().locality.unwrap();
        assert_eq!((locality.region.as_str(), locality.zone.as_str()), ("r", "z"));
    }

    #[test]
    fn who_asks_a_server_must_have_a_name() {
        let ads = "dynamic_resources: {ads_config: {api_type: GRPC, grpc_services: \
                   [{envoy_grpc: {cluster_name: xds}}]}, lds_config: {ads: {}}}";
        let said = read(&options(ads)).unwrap_err().to_string();
        assert!(said.contains("node.id, node.cluster: not set"), "{said}");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let missing =
            Options { path: Some("/nonexistent/envoy.yaml".into()), ..Options::default() };
        let said = read(&missing).unwrap_err().to_string();
        assert!(
            said.contains("/nonexistent/envoy.yaml") && said.contains("No such file"),
            "{said}"
        );
        let said = read(&Options::default()).unwrap_err().to_string();
        assert!(said.contains("-c FILE"), "{said}");
        let said = read(&options("static_resources: {listenerz: []}")).unwrap_err().to_string();
        assert!(said.contains("static_resources") && said.contains("listenerz"), "{said}");
    }
}
