//! Engines and gateways that follow L7: who is told what, and what is known of them.
use crate::plane::{PATIENCE, Plane, id, pod, upstream, way};
use culvert_control::status::{engines::EngineStatus, mesh::MeshStatus};
use culvert_proto::{
    Struct, Value,
    envoy::{
        config::core::v3::Node,
        service::discovery::v3::{
            DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest,
            aggregated_discovery_service_client::AggregatedDiscoveryServiceClient as Stub,
        },
    },
    google::rpc::Status as Refusal,
    value::Kind as Said,
};
use culvert_xds::{
    envoy::kind::Kind,
    transport::upstream::{Upstream, plain},
};
use std::{collections::BTreeMap, fs, time::Duration};
use tempfile::TempDir;
use tokio::{sync::mpsc, time};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

const SHOP: &str = "{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {culvert.dev/mesh: enabled, culvert.dev/l7: enabled}}}\n";
const BANK: &str = "{apiVersion: v1, kind: Namespace, metadata: {name: bank, labels: {culvert.dev/mesh: enabled, culvert.dev/l7: enabled}}}\n";

/// A service where HTTP is spoken.
fn service(name: &str, ip: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: shop}}, \
         spec: {{clusterIP: {ip}, selector: {{app: web}}, ports: [{{name: http, port: 80}}]}}}}\n"
    )
}

fn web(ip: usize) -> String {
    pod("web", "one", ip, ", labels: {app: web}")
}

/// As an engine of a namespace on a node calls itself.
fn engine(namespace: &str, node: &str) -> Node {
    let text = |text: &str| Value { kind: Some(Said::StringValue(text.to_owned())) };
    let fields = [("NAMESPACE", namespace), ("NODE_NAME", node)];
    Node {
        id: format!("sidecar~10.0.0.1~{node}.{namespace}~{namespace}.svc.cluster.local"),
        metadata: Some(Struct {
            fields: fields.map(|(key, value)| (key.to_owned(), text(value))).into(),
        }),
        ..Node::default()
    }
}

/// One that follows clusters and listeners by changes.
struct Engine {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
    held: BTreeMap<(Kind, String), String>,
}

impl Engine {
    async fn start(upstream: &Upstream, node: Node) -> Result<Self, Status> {
        let (requests, outgoing) = mpsc::channel(64);
        for kind in [Kind::Cluster, Kind::Listener] {
            let (node, type_url) = (Some(node.clone()), kind.type_url().to_owned());
            let request = DeltaDiscoveryRequest { node, type_url, ..Default::default() };
            requests.send(request).await.unwrap();
        }
        let mut stub = Stub::new(upstream.channel().await.unwrap());
        let call = upstream.request(ReceiverStream::new(outgoing)).unwrap();
        let responses = stub.delta_aggregated_resources(call).await?.into_inner();
        Ok(Self { requests, responses, held: BTreeMap::new() })
    }

    /// Takes one response, and accepts it unless it is refused for a reason.
    async fn take(&mut self, refuse: Option<&str>) -> Result<(), Status> {
        let response = time::timeout(PATIENCE, self.responses.message()).await.unwrap();
        let response = response?.expect("the stream goes on");
        let kind = Kind::of(&response.type_url).unwrap();
        for resource in response.resources {
            self.held.insert((kind, resource.name), resource.version);
        }
        for gone in response.removed_resources {
            self.held.remove(&(kind, gone));
        }
        let error_detail =
            refuse.map(|why| Refusal { code: 3, message: why.to_owned(), ..Refusal::default() });
        let answer = DeltaDiscoveryRequest {
            type_url: response.type_url,
            response_nonce: response.nonce,
            error_detail,
            ..Default::default()
        };
        // Where the stream has ended meanwhile, the next response is the status that says why.
        drop(self.requests.send(answer).await);
        Ok(())
    }

    async fn until(&mut self, wanted: impl Fn(&[&str]) -> bool) {
        while !wanted(&self.listeners()) {
            self.take(None).await.unwrap();
        }
    }

    fn listeners(&self) -> Vec<&str> {
        let all = self.held.keys().filter(|(kind, _)| *kind == Kind::Listener);
        all.map(|(_, name)| &**name).collect()
    }
}

/// The way of node `one`, which has a token.
fn of_node(plane: &Plane) -> (Upstream, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let token = plane.control.join_token("one", Duration::from_secs(3600)).unwrap();
    fs::write(&file, token).unwrap();
    (upstream(way(plane.tls, &file), Some(&file)), folder)
}

fn here(plane: &Plane) -> Upstream {
    Upstream::try_new("http://control", plain(&plane.plain.to_string())).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_is_told_what_its_namespace_sees_and_what_changes() {
    let plane = Plane::start(&[SHOP, &web(1), &service("web", "10.96.0.1")]).await;
    let (upstream, _folder) = of_node(&plane);
    let mut engine = Engine::start(&upstream, engine("shop", "one")).await.unwrap();
    engine.until(|all| all.contains(&"10.96.0.1_80")).await;
    let before = engine.held.clone();
    let more = service("more", "10.96.0.2");
    plane.write(&[SHOP, &web(1), &service("web", "10.96.0.1"), &more]);
    engine.until(|all| all.contains(&"10.96.0.2_80")).await;
    let stays = |(key, version): (&(Kind, String), &String)| engine.held.get(key) == Some(version);
    assert!(before.iter().all(stays), "what did not change keeps its version");
    plane.write(&[SHOP, &web(1), &more]);
    engine.until(|all| !all.contains(&"10.96.0.1_80")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn how_far_engines_are_and_what_they_refuse_is_known() {
    let plane = Plane::start(&[SHOP, &web(1), &service("web", "10.96.0.1")]).await;
    let (upstream, _folder) = of_node(&plane);
    let mut engine = Engine::start(&upstream, engine("shop", "one")).await.unwrap();
    engine.until(|all| all.contains(&"10.96.0.1_80")).await;
    let is_current = |one: &EngineStatus| one.current;
    let status = plane.until(|status| status.engines.iter().any(is_current)).await;
    let [known] = &*status.engines else { panic!("{:#?}", status.engines) };
    assert_eq!((&*known.scope, &*known.protocol), ("namespace shop on one", "delta"));
    assert!(known.proven && known.nacks.is_empty() && known.generation > 0);
    let more = service("more", "10.96.0.2");
    plane.write(&[SHOP, &web(1), &service("web", "10.96.0.1"), &more]);
    // Clusters first.
    while !engine.listeners().contains(&"10.96.0.2_80") {
        engine.take(Some("such a thing")).await.unwrap();
    }
    let refused = |status: &MeshStatus| {
        status.engines.iter().any(|one| one.nacks.iter().any(|why| why == "listener: such a thing"))
    };
    plane.until(refused).await;
    plane.write(&[SHOP, &web(1), &service("web", "10.96.0.1")]);
    // What it led to goes last.
    while engine.held.keys().any(|(_, name)| name.contains("|more.")) {
        engine.take(None).await.unwrap();
    }
    assert!(!engine.listeners().contains(&"10.96.0.2_80"));
    plane.until(|status| status.engines.iter().all(|one| one.nacks.is_empty())).await;
    drop(engine);
    plane.until(|status| status.engines.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_told_of_no_namespace_whose_pods_it_has_not() {
    let plane = Plane::start(&[SHOP, BANK, &web(1)]).await;
    let (upstream, _folder) = of_node(&plane);
    for (namespace, node) in [("bank", "one"), ("shop", "two")] {
        let mut other = Engine::start(&upstream, engine(namespace, node)).await.unwrap();
        let status = other.take(None).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    }
    // Who has nothing to show.
    let file = tempfile::tempdir().unwrap();
    let token = file.path().join("token");
    fs::write(&token, plane.control.join_token("one", Duration::from_secs(60)).unwrap()).unwrap();
    let stranger = crate::plane::upstream(way(plane.tls, &token), None);
    let refused = Engine::start(&stranger, engine("shop", "one")).await;
    assert_eq!(refused.err().map(|status| status.code()), Some(Code::Unauthenticated));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_is_told_of_its_own_namespace() {
    let plane = Plane::start(&[SHOP, BANK, &web(1), &service("web", "10.96.0.1")]).await;
    let mut node = plane.node("one");
    node.follows().await;
    let own = id("web");
    let _held = node.identities.hold(own.clone());
    time::timeout(PATIENCE, node.identities.certificate(&own)).await.unwrap().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, plane.control.join_token("one", Duration::from_secs(60)).unwrap()).unwrap();
    let as_web = way(plane.tls, &token).with_own(node.identities.clone(), own);
    let as_web = upstream(as_web, None);
    let gateway = |name: &str| Node {
        id: format!("router~10.0.0.1~{name}.shop~shop.svc.cluster.local"),
        ..engine("shop", "")
    };
    let mut told = Engine::start(&as_web, gateway("web")).await.unwrap();
    told.take(None).await.unwrap();
    for other in [engine("bank", "one"), gateway("edge")] {
        let mut other = Engine::start(&as_web, other).await.unwrap();
        let status = other.take(None).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_told_by_its_token_of_itself() {
    let plane = Plane::start(&[SHOP, &web(1), &service("web", "10.96.0.1")]).await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    let made = plane.control.join_token("shop/edge", Duration::from_secs(60)).unwrap();
    fs::write(&token, made).unwrap();
    let as_edge = upstream(way(plane.tls, &token), Some(&token));
    let gateway = |name: &str| Node {
        id: format!("router~10.0.0.1~{name}.shop~shop.svc.cluster.local"),
        ..engine("shop", "")
    };
    let mut told = Engine::start(&as_edge, gateway("edge")).await.unwrap();
    told.take(None).await.unwrap();
    let mut other = Engine::start(&as_edge, gateway("other")).await.unwrap();
    let status = other.take(None).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    // What it came by is good no longer.
    plane.control.void_tokens("shop/edge").await.unwrap();
    let ended = loop {
        if let Err(status) = told.take(None).await {
            break status;
        }
    };
    assert_eq!(ended.code(), Code::Unauthenticated, "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_this_machine_anybody_may_listen_by_the_state_of_the_world() {
    let plane = Plane::start(&[SHOP, &web(1), &service("web", "10.96.0.1")]).await;
    let upstream = here(&plane);
    let (requests, outgoing) = mpsc::channel(64);
    let first = DiscoveryRequest {
        node: Some(engine("shop", "one")),
        type_url: Kind::Listener.type_url().to_owned(),
        ..DiscoveryRequest::default()
    };
    requests.send(first).await.unwrap();
    let mut stub = Stub::new(upstream.channel().await.unwrap());
    let call = upstream.request(ReceiverStream::new(outgoing)).unwrap();
    let mut responses = stub.stream_aggregated_resources(call).await.unwrap().into_inner();
    let response = time::timeout(PATIENCE, responses.message()).await.unwrap().unwrap().unwrap();
    // One outbound, one inbound.
    assert_eq!(response.resources.len(), 2);
    let status = plane.until(|status| !status.engines.is_empty()).await;
    assert_eq!(status.engines[0].protocol, "state of the world");
    assert!(!status.engines[0].proven);
}

/// However much changes, who does not answer is told little, and others all of it.
#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_answer_holds_up_nobody() {
    let plane = Plane::start(&[SHOP, &web(1), &service("web", "10.96.0.1")]).await;
    let (upstream, _folder) = of_node(&plane);
    let engine_of = async || Engine::start(&upstream, engine("shop", "one")).await.unwrap();
    let (slow, mut quick) = (engine_of().await, engine_of().await);
    for turn in 2..12_u8 {
        let address = format!("10.96.0.{turn}");
        plane.write(&[SHOP, &web(1), &service("web", &address)]);
        let listener = format!("{address}_80");
        quick.until(|all| all.contains(&&*listener)).await;
    }
    let lagging = |status: &MeshStatus| {
        status.engines.iter().any(|one| !one.current && one.unanswered <= 2)
            && status.engines.iter().any(|one| one.current)
    };
    plane.until(lagging).await;
    drop(slow);
}
