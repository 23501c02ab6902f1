//! An aggregated stream, in both protocols.
use super::server::Server;
use culvert_model::http::snapshot::Snapshot;
use culvert_runtime::{
    drain::Drain,
    publish::{self, View},
};
use culvert_xds::envoy::{
    bootstrap,
    decode::Nothing,
    discover::{Discovery, Reach},
    kind::Kind,
};
use std::{sync::Arc, time::Duration};
use tokio::time;

/// What runs; it ends with this.
pub(crate) struct Followed {
    pub(crate) view: View<Snapshot>,
    pub(crate) discovery: Discovery,
    _drain: Drain,
}

/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

impl Followed {
    pub(crate) fn start(yaml: &str, reach: Arc<dyn Reach>) -> Self {
        let read = bootstrap::read("envoy.yaml", yaml).unwrap_or_else(|bad| panic!("{bad}"));
        let discovery = Discovery::try_new(&read, Arc::new(Nothing));
        let discovery = discovery.unwrap_or_else(|bad| panic!("{bad:?}"));
        let (publisher, view) = publish::channel(Snapshot::default());
        let drain = Drain::default();
        let worker = drain.worker();
        let running = discovery.clone().run(Arc::new(read), reach, publisher, worker.clone());
        worker.spawn(running);
        Self { view, discovery, _drain: drain }
    }

    /// The first snapshot from now on of which `is_it` holds.
    pub(crate) async fn until(&mut self, is_it: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let waiting = async {
            let mut seen = self.view.pin();
            while !is_it(&seen.value) {
                seen = self.view.newer_than(seen.generation).await.unwrap();
            }
            seen.value.clone()
        };
        let waited = time::timeout(PATIENCE, waiting).await;
        waited.unwrap_or_else(|_elapsed| {
            let waits = self.discovery.inspect(|all| format!("{:?}", all.states()));
            panic!("it did not come: {waits}; {:?}", self.discovery.status());
        })
    }
}

fn dynamic(api_type: &str) -> String {
    format!(
        "
node: {{id: test, cluster: test}}
dynamic_resources:
  ads_config:
    api_type: {api_type}
    grpc_services: [{{envoy_grpc: {{cluster_name: xds}}}}]
  cds_config: {{ads: {{}}}}
  lds_config: {{ads: {{}}}}
static_resources:
  clusters: [{{name: xds, type: STATIC, load_assignment: {{cluster_name: xds}}}}]
"
    )
}

const CLUSTER: &str = "{name: c, type: EDS, eds_cluster_config: {eds_config: {ads: {}}}}";

const LISTENER: &str = "
name: l
address: {socket_address: {address: 127.0.0.1, port_value: 80}}
filter_chains:
- filters:
  - name: h
    typed_config:
      '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
      stat_prefix: p
      rds: {route_config_name: r, config_source: {ads: {}}}
      http_filters: [{name: envoy.filters.http.router}]
";

fn routes(status: u32) -> String {
    format!(
        "{{name: r, virtual_hosts: [{{name: v, domains: ['*'], routes: \
         [{{match: {{prefix: /}}, direct_response: {{status: {status}}}}}]}}]}}"
    )
}

async fn follows(api_type: &str) {
    let server = Server::start().await;
    server.set(Kind::Cluster, &[CLUSTER]);
    server.set(Kind::Endpoint, &["{cluster_name: c}"]);
    server.set(Kind::Listener, &[LISTENER]);
    server.set(Kind::Route, &[&routes(200)]);
    let mut followed = Followed::start(&dynamic(api_type), Arc::new(server.clone()));
    let first = followed
        .until(|snapshot| {
            snapshot.clusters().get("c").is_some() && snapshot.listeners().get("l").is_some()
        })
        .await;
    assert!(first.assignments().get("c").is_some() && first.routes().get("r").is_some());

    // A route changes; everything else is the same.
    server.set(Kind::Route, &[&routes(204)]);
    let before = Arc::clone(first.routes().value("r").unwrap());
    let second = followed
        .until(|snapshot| {
            snapshot.routes().value("r").is_some_and(|routes| !Arc::ptr_eq(routes, &before))
        })
        .await;
    assert!(second.clusters().is_same(first.clusters()));
    assert!(second.listeners().is_same(first.listeners()));

    // Something wrong is refused with its place, and what was there stays.
    server.set(Kind::Route, &[&routes(99)]);
    let place = "r: virtual_hosts[0].routes[0].direct_response.status: is 99";
    time::timeout(PATIENCE, async {
        while !server.heard(place) {
            time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    assert!(followed.view.pin().value.routes().is_same(second.routes()));

    // What is gone is gone, with what only it needed.
    server.set(Kind::Listener, &[]);
    let last = followed.until(|snapshot| snapshot.listeners().is_empty()).await;
    assert!(last.routes().is_empty());
    assert!(last.clusters().is_same(first.clusters()));
}

#[tokio::test]
async fn the_state_of_the_world_is_followed() {
    follows("GRPC").await;
}

#[tokio::test]
async fn changes_are_followed() {
    follows("DELTA_GRPC").await;
}
