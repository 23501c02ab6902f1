//! What a bootstrap names, and how it is shown.
use super::*;

/// What is said of a bootstrap's own resources.
fn of_statics(yaml: &str) -> Vec<String> {
    let read = bootstrap::read("e.yaml", yaml).unwrap_or_else(|bad| panic!("{bad}"));
    match crate::envoy::discover::Discovery::try_new(&read, Arc::new(Nothing)) {
        Ok(_) => Vec::new(),
        Err(bad) => bad.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn what_a_bootstrap_names_must_be_there() {
    let listener = |name: &str, cluster: &str| {
        let manager = manager_yaml(&format!(
            "stat_prefix: p\n{ROUTER}\nroute_config: {{name: r, virtual_hosts: [{{name: v, domains: \
             ['*'], routes: [{{match: {{prefix: /}}, route: {{cluster: {cluster}}}}}]}}]}}"
        ));
        manager.replace("name: l\n", &format!("name: {name}\n")).replace('\n', "\n    ")
    };
    let of = |listeners: &[String]| {
        let listeners: String =
            listeners.iter().map(|one| format!("\n  - {}", one.trim_start())).collect();
        let clusters = "[{name: there, load_assignment: {cluster_name: there}}]";
        of_statics(&format!("static_resources:\n  clusters: {clusters}\n  listeners:{listeners}"))
    };
    assert_eq!(of(&[listener("a", "there")]), Vec::<String>::new());
    assert_eq!(
        of(&[listener("a", "nowhere"), listener("b", "there")]),
        [
            "static_resources.listeners (a): filter_chains[0].filters[0].typed_config.\
             route_config.virtual_hosts[0].routes[0].route.cluster: no cluster \"nowhere\" is known",
            "static_resources.listeners (b): address: listener \"a\" is at 0.0.0.0:80 already",
        ]
    );
    assert_eq!(
        of_statics(
            "static_resources: {clusters: [{name: a}, {name: a, load_assignment: {cluster_name: a}}]}"
        ),
        [
            "static_resources.clusters[0] (a): load_assignment: not set; this type of cluster needs \
             its endpoints",
            "static_resources.clusters[1]: there is another one named \"a\"",
        ]
    );
}

#[test]
fn a_bootstrap_says_what_comes_from_where() {
    let read = bootstrap::read(
        "envoy.yaml",
        "
node: {id: n, cluster: c}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 9901}}}
dynamic_resources:
  ads_config:
    api_type: DELTA_GRPC
    grpc_services: [{envoy_grpc: {cluster_name: xds}}]
    set_node_on_first_message_only: true
  cds_config: {ads: {}, resource_api_version: V3}
  lds_config: {path_config_source: {path: /etc/lds.yaml, watched_directory: {path: /etc}}}
static_resources:
  clusters: [{name: xds, type: STATIC, load_assignment: {cluster_name: xds}}]
layered_runtime:
  layers:
  - {name: static, static_layer: {a: {b: 1}}}
  - {name: admin, admin_layer: {}}
",
    )
    .unwrap();
    assert!(matches!(&read.dynamic.ads, Some(From::Grpc(grpc)) if grpc.delta));
    assert!(matches!(&read.dynamic.listeners.unwrap().from, From::File(_)));
    assert_eq!(read.clusters.len(), 1);
    assert_eq!(read.runtime.len(), 2);
    let bad = bootstrap::read("e.yaml", "node: {idd: x}\nadmin: {adress: {}}").unwrap_err();
    assert_eq!(
        bad.to_string(),
        "e.yaml: admin.adress: no such field in envoy.config.bootstrap.v3.Admin; is address \
         meant?\ne.yaml: node.idd: no such field in envoy.config.core.v3.Node; is id meant?"
    );
}

#[test]
fn what_is_held_is_shown_as_envoys_admin_shows_it() {
    use crate::envoy::{discover::Discovery, dump};
    let manager = manager_yaml(&format!(
        "stat_prefix: p\n{ROUTER}\nroute_config: {{name: here, virtual_hosts: []}}"
    ));
    let listener = manager.trim_start().replace('\n', "\n    ");
    let read = bootstrap::read(
        "e.yaml",
        &format!(
            "
node: {{id: me}}
static_resources:
  clusters: [{{name: c, load_assignment: {{cluster_name: c}}}}]
  secrets: [{{name: s, generic_secret: {{secret: {{inline_string: HIDDEN}}}}}}]
  listeners:
  - {listener}"
        ),
    )
    .unwrap();
    let discovery = Discovery::try_new(&read, Arc::new(Nothing)).unwrap();
    let at = std::time::SystemTime::UNIX_EPOCH;
    let dump = discovery.inspect(|all| dump::config_dump(&read, at, all, true));
    let kinds: Vec<_> = dump["configs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|config| {
            let kind = config["@type"].as_str().unwrap();
            kind.strip_prefix("type.googleapis.com/envoy.admin.v3.").unwrap().to_owned()
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "BootstrapConfigDump",
            "ClustersConfigDump",
            "EndpointsConfigDump",
            "ListenersConfigDump",
            "RoutesConfigDump",
            "SecretsConfigDump",
            "EcdsConfigDump",
        ]
    );
    let configs = &dump["configs"];
    assert_eq!(configs[1]["static_clusters"][0]["cluster"]["name"], "c");
    assert_eq!(configs[3]["static_listeners"][0]["listener"]["name"], "l");
    assert_eq!(configs[4]["static_route_configs"][0]["route_config"]["name"], "here");
    assert_eq!(configs[5]["static_secrets"][0]["name"], "s");
    assert!(!dump.to_string().contains("HIDDEN"));
    let status = discovery.inspect(|all| dump::client_status(&read.node, all));
    assert_eq!(status.config[0].generic_xds_configs.len(), 3);
}
