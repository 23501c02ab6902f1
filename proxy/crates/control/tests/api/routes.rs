//! What routes, rules and entries do not get is in their status, until it is mended.
use crate::{
    replica::Replica,
    shipped::{self, NAMESPACE, forbidden},
    writes::{events, stands, times},
};
use culvert_cluster::{Cluster, Crds, Namespace};
use serde_json::Value;

const ROUTES: &str = "virtualservices.networking.istio.io";
const RULES: &str = "destinationrules.networking.istio.io";
const GATEWAYS: &str = "gateways.networking.istio.io";

const DONE: [&str; 2] = ["Accepted", "Enforced"];
const LESS: [&str; 2] = ["Accepted", "DoesLess"];

const SERVICE: &str = "{apiVersion: v1, kind: Service, metadata: {name: web}, \
    spec: {ports: [{name: http, port: 80}]}}";

const SHOP: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a-first}
spec: {hosts: [web], http: [{route: [{destination: {host: web}}]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: b-second}
spec: {hosts: [web], http: [{route: [{destination: {host: web}}], timeout: 1s}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: c-lost}
spec: {hosts: [far.example], http: [{route: [{destination: {host: nowhere}}]}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: zones}
spec: {host: web, trafficPolicy: {loadBalancer: {zoneAwareLbSetting: {enabled: true}}}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: far}
spec:
  hosts: [far.example]
  resolution: DNS
  ports: [{number: 80, name: http, protocol: HTTP}]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: machine}
spec: {address: 192.0.2.9, serviceAccount: machine}
";

/// Makes a gateway, of which there is nothing to be said, and waits until that is written: what was
/// to be written before is, for gateways come last.
fn mark(shop: &Namespace<'_>, name: &str) {
    shop.apply(&format!(
        "{{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {{name: {name}}}, spec: \
         {{selector: {{app: {name}}}, servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, \
         hosts: ['*']}}]}}}}"
    ));
    stands(shop, GATEWAYS, name, DONE);
}

/// Why something is not done.
fn why(status: &Value) -> &str {
    status["conditions"][1]["message"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_an_object_does_not_get_is_in_its_status_until_it_is_mended() {
    let cluster = Cluster::api("control-routes");
    cluster.apply(&shipped::rules());
    cluster.install(Crds::Istio);
    let shop = cluster.namespace("shop");
    // Known before routes are: of these nothing else is to be said meanwhile.
    shop.apply(SERVICE);
    let kubeconfig = || cluster.kubeconfig_of(NAMESPACE, "culvert-control");
    let first = Replica::start_with_gateways(kubeconfig(), "first").await;
    first.writes().await;
    shop.apply(SHOP);
    for (kind, name) in [(ROUTES, "a-first"), ("serviceentry", "far"), ("workloadentry", "machine")]
    {
        stands(&shop, kind, name, DONE);
    }
    let second = stands(&shop, ROUTES, "b-second", LESS);
    let by = format!("VirtualService/{}/a-first is for web.", shop.name());
    assert!(why(&second).contains(&by), "{second}");
    let lost = stands(&shop, ROUTES, "c-lost", LESS);
    let place = "spec.http[0].route[0].destination.host: there is no service nowhere.";
    assert!(why(&lost).contains(place), "{lost}");
    let zones = stands(&shop, RULES, "zones", LESS);
    assert!(why(&zones).contains("zoneAwareLbSetting is not done"), "{zones}");
    let described = shop.kubectl(&["describe", RULES, "zones"]);
    assert!(described.contains("Warning  DoesLess"), "{described}");

    // Mended, it says so; of what changes nothing else nothing is written, by no replica.
    mark(&shop, "mark-1");
    let mut expected = times(&cluster);
    shop.kubectl(&["label", ROUTES, "a-first", "team=shop"]);
    shop.apply(
        "{apiVersion: v1, kind: Service, metadata: {name: other}, spec: {ports: [{port: 80}]}}",
    );
    let mended = r#"{"spec":{"trafficPolicy":{"loadBalancer":{"zoneAwareLbSetting":null,"simple":"RANDOM"}}}}"#;
    shop.kubectl(&["patch", RULES, "zones", "--type=merge", "-p", mended]);
    let now = stands(&shop, RULES, "zones", DONE);
    assert_eq!(now["observedGeneration"], 2);
    let (before, now) = (&zones["conditions"][0], &now["conditions"][0]);
    assert_eq!(before["lastTransitionTime"], now["lastTransitionTime"]);
    let replica = Replica::start_with_gateways(kubeconfig(), "second").await;
    first.end().await;
    replica.writes().await;
    shop.kubectl(&["delete", ROUTES, "a-first"]);
    stands(&shop, ROUTES, "b-second", DONE);
    mark(&shop, "mark-2");
    expected.remove("a-first");
    for (name, more) in [("zones", 1), ("b-second", 1), ("mark-2", 1)] {
        *expected.entry(name.to_owned()).or_default() += more;
    }
    let mut after = times(&cluster);
    after.remove("a-first");
    assert_eq!(after, expected);

    let told = ["b-second", "c-lost", "zones"].map(|name| (name, "DoesLess"));
    let events = events(&shop);
    let events: Vec<_> = events.iter().map(|(name, why, _)| (&**name, &**why)).collect();
    assert_eq!(events, told);
    assert_eq!(forbidden(&cluster), [""; 0]);
}
