//! Shares of requests: as many as the weights say, as far as chance goes.
use super::stage::Bookinfo;
use e2e::bookinfo::{ALL_V1, SUBSETS, are_near, shares};

const REQUESTS: u32 = 500;

impl Bookinfo {
    /// How many of the requests to reviews each version answered.
    #[track_caller]
    fn shares(&self) -> [u64; 3] {
        let said = self.ask("productpage", ("reviews:9080", "/health"), REQUESTS, "anybody");
        assert_eq!(said["statuses"]["200"], REQUESTS, "{said}");
        shares(&said)
    }

    /// The shares in percent are within three standard deviations.
    #[track_caller]
    fn shares_out(&self, percent: [u32; 3]) {
        let shares = self.shares();
        let is_near = are_near(shares, percent) || are_near(self.shares(), percent);
        assert!(is_near, "{percent:?} gave {shares:?}");
    }
}

#[test]
fn requests_are_shared_out_by_weight() {
    let Some(bookinfo) = Bookinfo::start("bookweights") else { return };
    for (route, percent) in [
        ("virtual-service-reviews-50-v3", [50, 0, 50]),
        ("virtual-service-reviews-80-20", [80, 20, 0]),
        ("virtual-service-reviews-90-10", [90, 10, 0]),
        ("virtual-service-reviews-v2-v3", [0, 50, 50]),
    ] {
        bookinfo.apply(&[SUBSETS, ALL_V1, &format!("networking/{route}.yaml")]);
        bookinfo.shares_out(percent);
    }
}

#[test]
fn requests_are_shared_out_by_weight_of_the_gateway_api() {
    let Some(bookinfo) = Bookinfo::start("bookshares") else { return };
    let versions = "platform/bookinfo-versions.yaml";
    let all = "gateway-api/route-all-v1.yaml";
    for (route, percent) in [("50-v3", [50, 0, 50]), ("90-10", [90, 10, 0])] {
        bookinfo.apply(&[versions, all, &format!("gateway-api/route-reviews-{route}.yaml")]);
        bookinfo.shares_out(percent);
    }
}
