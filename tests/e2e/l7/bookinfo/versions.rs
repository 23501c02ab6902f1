//! Which version answers: of whom, for whom.
use super::stage::Bookinfo;
use e2e::bookinfo::{ALL_V1, SUBSETS};
use std::collections::BTreeSet;

/// The names of all that tell of reviews on these pages.
fn reviewers(pages: &[[String; 3]]) -> BTreeSet<&str> {
    pages.iter().map(|[_, reviews, _]| reviews.as_str()).collect()
}

#[test]
fn routes_choose_versions() {
    let Some(bookinfo) = Bookinfo::start("bookversions") else { return };
    let all = ["reviews-v1", "reviews-v2", "reviews-v3"];
    // Without routes any version answers; subsets, mutual TLS of the mesh and a way of balancing
    // change nothing about that.
    for rules in [
        SUBSETS,
        "networking/destination-rule-all-mtls.yaml",
        "networking/destination-rule-reviews.yaml",
    ] {
        bookinfo.apply(&[rules]);
        e2e::eventually("page from each version", || {
            let pages: Vec<_> = (0..4).flat_map(|_| bookinfo.pages("anybody")).collect();
            (reviewers(&pages) == all.into()).then_some(())
        });
    }
    let line = bookinfo.mesh.node("a").await_access("an outbound line", |line| {
        line["dst.service"] == "details.default.svc.cluster.local" && line["path"] == "tunnel"
    });
    assert_eq!(line["src.identity"], "spiffe://cluster.local/ns/default/sa/bookinfo-productpage");
    assert_eq!(line["dst.identity"], "spiffe://cluster.local/ns/default/sa/bookinfo-details");

    let first = ["details-v1", "reviews-v1", "nobody"];
    bookinfo.apply(&[SUBSETS, ALL_V1]);
    bookinfo.shows("anybody", first);

    let rated = |reviews, ratings| ["details-v1", reviews, ratings];
    let (v2, v3) = (rated("reviews-v2", "ratings-v1"), rated("reviews-v3", "ratings-v1"));
    let newer = ["details-v2", "reviews-v1", "nobody"];
    let stored = |where_to| rated("reviews-v3", where_to);
    let (database, mysql) = (stored("ratings-v2"), stored("ratings-v2-mysql"));
    let machine = stored("ratings-v2-mysql-vm");
    for (route, others, jasons) in [
        ("reviews-test-v2", first, v2),
        ("reviews-jason-v2-v3", v3, v2),
        ("reviews-v3", v3, v3),
        ("details-v2", newer, newer),
        ("ratings-db", database, database),
        ("ratings-mysql", mysql, mysql),
        ("ratings-mysql-vm", machine, machine),
    ] {
        let route = format!("networking/virtual-service-{route}.yaml");
        bookinfo.apply(&[SUBSETS, ALL_V1, &route]);
        bookinfo.shows("jason", jasons);
        bookinfo.shows("anybody", others);
    }

    // What gateways are to do concerns nobody inside.
    let edge = ["networking/bookinfo-gateway.yaml", "networking/certmanager-gateway.yaml"];
    bookinfo.apply(&[SUBSETS, ALL_V1, edge[0], edge[1], "gateway-api/bookinfo-gateway.yaml"]);
    bookinfo.shows("anybody", first);
}

#[test]
fn routes_of_the_gateway_api_choose_versions() {
    let Some(bookinfo) = Bookinfo::start("bookgamma") else { return };
    let versions = "platform/bookinfo-versions.yaml";
    let (all, v1) = ("gateway-api/route-all-v1.yaml", "gateway-api/route-reviews-v1.yaml");
    bookinfo.apply(&[versions, all]);
    bookinfo.shows("anybody", ["details-v1", "reviews-v1", "nobody"]);
    bookinfo.apply(&[versions, all, "gateway-api/route-reviews-v3.yaml"]);
    bookinfo.shows("anybody", ["details-v1", "reviews-v3", "ratings-v1"]);
    bookinfo.apply(&[versions, v1]);
    e2e::eventually("first version of reviews alone", || {
        (reviewers(&bookinfo.pages("anybody")) == ["reviews-v1"].into()).then_some(())
    });
}
