//! What is wrong only for what is around it: the bootstrap, the other fields of a manager.
use super::*;

#[test]
fn what_routes_say_to_a_filter_of_another_type() {
    let filter = |kind: &str| {
        format!("{{'@type': type.googleapis.com/envoy.extensions.filters.http.{kind}}}")
    };
    let chain = |named: &str| {
        format!(
            "stat_prefix: p\nhttp_filters: [{{name: guard, typed_config: {}}}, {{name: \
             envoy.filters.http.router}}]\nroute_config: {{name: r, virtual_hosts: [{{name: v, \
             domains: ['*'], routes: [{{match: {{prefix: /}}, route: {{cluster: a}}, \
             typed_per_filter_config: {{{named}: {}}}}}]}}]}}",
            filter("rbac.v3.RBAC"),
            filter("fault.v3.HTTPFault"),
        )
    };
    assert_eq!(
        manager_of(&chain("guard")).unwrap_err().to_string(),
        "filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[0].\
         typed_per_filter_config[\"guard\"]: is for a filter of another type than the one of this \
         name in http_filters"
    );
    // Nobody of that name is there; for Envoy too that is as good as nothing.
    manager_of(&chain("somebody")).unwrap();
}

#[test]
fn what_only_a_bootstrap_can_have() {
    let bare = Bootstrapped::of(Arc::new(Nothing), false, &[]);
    let eds = "{name: c, type: EDS, eds_cluster_config: {eds_config: {ads: {}}}}";
    let eds = bytes::<cluster_pb::Cluster>(eds);
    assert_eq!(
        cluster(&eds, &bare).unwrap_err().to_string(),
        "eds_cluster_config.eds_config.ads: the bootstrap has no dynamic_resources.ads_config; \
         give it, or another source here"
    );
    let tls = "{name: c, load_assignment: {cluster_name: c}, transport_socket: {name: t, \
               typed_config: {'@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, \
               common_tls_context: {tls_certificate_sds_secret_configs: [{name: mine}]}}}}";
    let tls = bytes::<cluster_pb::Cluster>(tls);
    assert_eq!(
        cluster(&tls, &bare).unwrap_err().to_string(),
        "transport_socket.typed_config.common_tls_context.tls_certificate_sds_secret_configs[0].\
         name: the bootstrap has no secret \"mine\"; give it in static_resources.secrets, or say \
         in sds_config who has it"
    );
    let secret = Any {
        type_url: "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret".to_owned(),
        value: bytes::<tls_pb::Secret>("{name: mine}"),
    };
    let world = Bootstrapped::of(Arc::new(Nothing), true, &[secret]);
    cluster(&eds, &world).unwrap();
    cluster(&tls, &world).unwrap();
}
