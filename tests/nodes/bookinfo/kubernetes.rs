//! Routes of the Gateway API for services.
use super::Bookinfo;
use crate::town::Town;

#[test]
fn routes_of_the_gateway_api_choose_versions_and_share_requests_out() {
    let town = Town::shared();
    let Some(bookinfo) = Bookinfo::open(&town) else { return };
    let apply = |name: &str| bookinfo.apply(&format!("gateway-api/route-{name}.yaml"));
    bookinfo.apply("platform/bookinfo-versions.yaml");
    apply("all-v1");
    bookinfo.shows("anybody", ["details-v1", "reviews-v1", "nobody"]);
    apply("reviews-v3");
    bookinfo.shows("anybody", ["details-v1", "reviews-v3", "ratings-v1"]);
    for (route, percent) in [("50-v3", [50, 0, 50]), ("90-10", [90, 10, 0]), ("v1", [100, 0, 0])] {
        apply(&format!("reviews-{route}"));
        bookinfo.shares_out(percent);
    }
    let route = bookinfo.namespace.get(&["httproute", "reviews"]);
    let conditions = route["status"]["parents"][0]["conditions"].as_array().unwrap();
    let is_true =
        |kind: &str| conditions.iter().any(|one| one["type"] == kind && one["status"] == "True");
    assert!(is_true("Accepted") && is_true("ResolvedRefs"), "{route:#}");
}
