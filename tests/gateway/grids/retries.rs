//! Every condition of `retry_on` against every way in which a try can end.
use super::pairs;
use std::fmt::Write as _;

const CONDITIONS: &[&str] = &[
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "envoy-ratelimited",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "retriable-headers",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
    "5xx,retriable-4xx,unavailable",
];

const ENDINGS: &[&str] = &[
    "status: 500",
    "status: 502",
    "status: 503",
    "status: 504",
    "status: 409",
    "status: 404",
    "status: 429, headers: {x-envoy-ratelimited: 'true'}",
    "status: 418",
    "status: 200, headers: {x-again: '1'}",
    "reset: true",
    "headers: {content-type: application/grpc, grpc-status: '1'}",
    "headers: {content-type: application/grpc, grpc-status: '4'}",
    "headers: {content-type: application/grpc, grpc-status: '8'}",
    "headers: {content-type: application/grpc, grpc-status: '13'}",
    "headers: {content-type: application/grpc, grpc-status: '14'}",
];

/// One route for each condition; whether a second try comes is all there is to see.
pub(super) fn conditions() -> String {
    let mut text = "about: which endings each condition retries\nroutes:\n".to_owned();
    for (at, on) in CONDITIONS.iter().enumerate() {
        writeln!(text, "- {{match: {{path: /{at}}}, route: {{cluster: b1, retry_policy: {{retry_on: '{on}', num_retries: 1, retriable_status_codes: [418], retriable_headers: [{{name: x-again, present_match: true}}], retry_back_off: {{base_interval: 0.001s}}}}}}}}").unwrap();
    }
    text += "compare: {ignore: [x-envoy-expected-rq-timeout-ms]}\nrequests:\n";
    for (at, ending) in pairs(&(0..CONDITIONS.len()).collect::<Vec<_>>(), ENDINGS) {
        writeln!(
            text,
            "- {{get: /{at}, connection: c, answers: [{{{ending}}}, {{body: second}}]}}"
        )
        .unwrap();
    }
    text
}
