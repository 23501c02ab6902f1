//! What goes wrong, on purpose or not, and what is done about it.
use super::stage::Bookinfo;
use e2e::bookinfo::{ALL_V1, SUBSETS};

const TEST_V2: &str = "networking/virtual-service-reviews-test-v2.yaml";

/// Of Istio's task "Request Timeouts": ratings take two seconds, reviews may take half of one.
const TIMEOUT: &str = "
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: ratings
spec:
  hosts:
  - ratings
  http:
  - fault:
      delay:
        percentage:
          value: 100
        fixedDelay: 2s
    route:
    - destination:
        host: ratings
        subset: v1
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts:
  - reviews
  http:
  - route:
    - destination:
        host: reviews
        subset: v2
    timeout: 0.5s
";

/// Every request is tried as often as it takes.
const RETRIES: &str = "
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: details
spec:
  hosts:
  - details
  http:
  - route:
    - destination:
        host: details
        subset: v1
    retries:
      attempts: 2
      perTryTimeout: 0.5s
      retryOn: 5xx
";

#[test]
fn faults_are_injected_for_whom_they_are_meant() {
    let Some(bookinfo) = Bookinfo::start("bookfaults") else { return };
    let first = ["details-v1", "reviews-v1", "nobody"];
    bookinfo.apply(&[
        SUBSETS,
        ALL_V1,
        TEST_V2,
        "networking/virtual-service-ratings-test-abort.yaml",
    ]);
    bookinfo.shows("jason", ["details-v1", "reviews-v2", "500"]);
    bookinfo.shows("anybody", first);
    let said = bookinfo.ask("reviewsv3", ("ratings:9080", "/health"), 5, "jason");
    assert_eq!(said["statuses"]["500"], 5, "{said}");
    let said = bookinfo.ask("reviewsv3", ("ratings:9080", "/health"), 5, "anybody");
    assert_eq!(said["statuses"]["200"], 5, "{said}");

    bookinfo.apply(&[
        SUBSETS,
        ALL_V1,
        TEST_V2,
        "networking/virtual-service-ratings-test-delay.yaml",
    ]);
    let said = bookinfo.ask("client", ("productpage:9080", "/productpage"), 1, "jason");
    assert!(said["millis"].as_u64() >= Some(7000), "{said}");
    assert!(said["bodies"][0].as_str().unwrap().contains("ratings-v1"), "{said}");
    bookinfo.shows("anybody", first);

    bookinfo.apply(&["networking/fault-injection-details-v1.yaml"]);
    let said = bookinfo.ask("productpage", ("details:9080", "/health"), 5, "anybody");
    assert_eq!(said["statuses"]["555"], 5, "{said}");
}

#[test]
fn requests_are_tried_again_and_given_up_in_time() {
    let Some(bookinfo) = Bookinfo::start("bookretries") else { return };
    bookinfo.apply_with(&[SUBSETS, ALL_V1], TIMEOUT);
    bookinfo.shows("anybody", ["details-v1", "504", "nobody"]);

    // As many as it takes: of three requests two go wrong.
    bookinfo.apply_with(&[SUBSETS, ALL_V1], RETRIES);
    for path in ["/fails", "/hangs"] {
        let said = bookinfo.ask("productpage", ("details:9080", path), 3, "anybody");
        assert_eq!(said["statuses"]["200"], 3, "{path}: {said}");
    }
}
