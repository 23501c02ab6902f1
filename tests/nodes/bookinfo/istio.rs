//! Istio's routes and rules.
use super::Bookinfo;
use crate::{
    laptop::Laptop,
    town::{NODES, Town, pod_on},
};
use culvert_cluster::eventually;
use e2e::bookinfo::{ALL_V1, SUBSETS};

/// Where Istio's tasks begin.
const FIRST: [&str; 3] = ["details-v1", "reviews-v1", "nobody"];

#[test]
fn routes_choose_versions_share_requests_out_and_inject_faults() {
    let town = Town::shared();
    let Some(bookinfo) = Bookinfo::open(&town) else { return };
    let rated = |reviews, ratings| ["details-v1", reviews, ratings];
    let (v2, v3) = (rated("reviews-v2", "ratings-v1"), rated("reviews-v3", "ratings-v1"));
    let apply = |name: &str| bookinfo.apply(&format!("networking/{name}.yaml"));
    bookinfo.apply(SUBSETS);
    bookinfo.apply(ALL_V1);
    bookinfo.shows("anybody", FIRST);

    // A version for one user; and what goes wrong on purpose goes wrong for that one.
    apply("virtual-service-reviews-test-v2");
    bookinfo.shows("jason", v2);
    bookinfo.shows("anybody", FIRST);
    apply("virtual-service-ratings-test-abort");
    bookinfo.shows("jason", rated("reviews-v2", "500"));
    bookinfo.shows("anybody", FIRST);
    apply("virtual-service-ratings-test-delay");
    eventually("seven seconds for jason", || {
        let said = bookinfo.ask("node-1", ("productpage:9080", "/productpage"), 1, "jason");
        let is_late = said["millis"].as_u64() >= Some(7000);
        (is_late && e2e::bookinfo::pages(&said) == [v2]).then_some(())
    });
    bookinfo.shows("anybody", FIRST);
    bookinfo.apply(ALL_V1);
    apply("virtual-service-reviews-jason-v2-v3");
    bookinfo.shows("jason", v2);
    bookinfo.shows("anybody", v3);
    is_explained(&bookinfo);

    shares_out(&bookinfo);
    // Nobody runs these versions here.
    apply("virtual-service-reviews-v3");
    bookinfo.shows("anybody", v3);
    apply("virtual-service-ratings-mysql");
    bookinfo.shows("anybody", rated("reviews-v3", "503"));
    bookinfo.apply(ALL_V1);
    apply("virtual-service-details-v2");
    bookinfo.shows("anybody", ["503", "reviews-v1", "nobody"]);
    apply("fault-injection-details-v1");
    bookinfo.shows("anybody", ["555", "reviews-v1", "nobody"]);
    takes_the_others(&bookinfo);
}

#[track_caller]
fn shares_out(bookinfo: &Bookinfo<'_>) {
    for (route, percent) in [
        ("50-v3", [50, 0, 50]),
        ("80-20", [80, 20, 0]),
        ("90-10", [90, 10, 0]),
        ("v2-v3", [0, 50, 50]),
    ] {
        bookinfo.apply(&format!("networking/virtual-service-reviews-{route}.yaml"));
        bookinfo.shares_out(percent);
    }
}

/// The manifests that change nothing inside are accepted as well, mutual TLS of the mesh among them.
#[track_caller]
fn takes_the_others(bookinfo: &Bookinfo<'_>) {
    bookinfo.apply(ALL_V1);
    for name in [
        "bookinfo-gateway",
        "destination-rule-reviews",
        "egress-rule-google-apis",
        "destination-rule-all-mtls",
    ] {
        bookinfo.apply(&format!("networking/{name}.yaml"));
    }
    // One says its own namespace.
    let cluster = &bookinfo.town.cluster;
    cluster.apply(ISTIO_SYSTEM);
    cluster.apply(&bookinfo.read("networking/certmanager-gateway.yaml"));
    bookinfo.shows("anybody", FIRST);
    cluster.delete(ISTIO_SYSTEM);
    let from = bookinfo.identity("bookinfo-productpage");
    let of_details = bookinfo.identity("bookinfo-details");
    let at = NODES.iter().find(|node| has(bookinfo, "productpage", node)).unwrap();
    bookinfo.town.proxy(at).await_access("of productpage's request to details", |line| {
        line["direction"] == "outbound"
            && line["http.method"] == "GET"
            && line["src.identity"] == from
            && line["dst.identity"] == of_details
    });
}

/// What is told of a request from afar has both sides, each from the node that knows it.
#[track_caller]
fn is_explained(bookinfo: &Bookinfo<'_>) {
    let laptop = Laptop { kubeconfig: bookinfo.town.cluster.kubeconfig() };
    let namespace = bookinfo.namespace.name();
    let node = NODES.into_iter().find(|node| !has(bookinfo, "reviews,version=v2", node)).unwrap();
    let client = format!("{namespace}/{}", pod_on(&bookinfo.namespace, "client", node));
    let reviews = format!("reviews.{namespace}:9080");
    // What is asked of the reviews' own L7 is so known on another node.
    bookinfo.namespace.apply(READERS);
    let why = ["why", &client, &reviews, "--path", "/0", "--header", "end-user:jason"];
    let said = eventually("a policy that is asked at the server", || {
        let said = laptop.does(&[&why[..], &["-o", "json"]].concat());
        let said: serde_json::Value = serde_json::from_slice(&said.stdout).ok()?;
        let arrival = &said["ways"][0]["arrivals"][0];
        let filters = arrival["server"]["filters"].as_array()?;
        let is_decided = |one: &serde_json::Value| {
            one["rule"]["policy"].as_str().is_some_and(|name| name.ends_with("/readers"))
        };
        filters.iter().any(is_decided).then_some(said)
    });
    assert_eq!(said["answer"], "permitted", "{said:#}");
    let [client, server] = [&said["ways"][0]["client"], &said["ways"][0]["arrivals"][0]["server"]];
    assert_eq!(client["route"]["object"], format!("VirtualService/{namespace}/reviews"));
    assert_eq!((&client["node"], client["node"] != server["node"]), (&node.into(), true));
    bookinfo.namespace.kubectl(&["delete", "authorizationpolicy", "readers"]);
}

const ISTIO_SYSTEM: &str = "{apiVersion: v1, kind: Namespace, metadata: {name: istio-system}}";

/// Reviews are read, and nothing else.
const READERS: &str = "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: readers}
spec:
  selector: {matchLabels: {app: reviews}}
  rules: [{to: [{operation: {methods: [GET]}}]}]
";

/// Whether a pod of an app is on a node.
fn has(bookinfo: &Bookinfo<'_>, app: &str, node: &str) -> bool {
    let on = format!("--field-selector=status.phase=Running,spec.nodeName={node}");
    let pods = bookinfo.namespace.get(&["pods", "--selector", &format!("app={app}"), &on]);
    pods["items"].as_array().is_some_and(|pods| !pods.is_empty())
}
