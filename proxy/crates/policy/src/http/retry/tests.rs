use std::time::{Duration, UNIX_EPOCH};

use culvert_model::http::retry::{
    BackOff, Conditions, RateLimitedBackOff, ResetForm, ResetHeader, RetryPolicy,
};
use http::{HeaderMap, Method, StatusCode};
use proptest::prelude::*;

use super::{Failure, Retries, Verdict, budget};
use crate::http::facts::{Answer, Head};

fn head(headers: &HeaderMap) -> Head<'_> {
    Head {
        method: &Method::GET,
        path: "/",
        authority: "h",
        scheme: "http",
        protocol: None,
        headers,
    }
}

fn policy(on: &str) -> RetryPolicy {
    RetryPolicy { on: Conditions::parse(on), ..RetryPolicy::default() }
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

fn retries(policy: &RetryPolicy) -> Retries {
    Retries::of(Some(policy), &head(&HeaderMap::new())).unwrap()
}

fn answered(on: &RetryPolicy, status: u16, pairs: &[(&'static str, &str)]) -> bool {
    let headers = headers(pairs);
    let answer = Answer { status: StatusCode::from_u16(status).unwrap(), headers: &headers };
    retries(on).answered(&answer, UNIX_EPOCH, 0, || true) != Verdict::Final
}

#[test]
fn each_condition_knows_its_answers() {
    let codes = RetryPolicy { status_codes: [418].into(), ..policy("retriable-status-codes") };
    let with_headers = RetryPolicy {
        response_headers: [culvert_model::http::matcher::HeaderMatch::new(
            "x-again".parse().unwrap(),
            culvert_model::http::matcher::HeaderCondition::Present(true),
        )]
        .into(),
        ..policy("retriable-headers")
    };
    for (policy, status, pairs, wanted) in [
        (&policy("5xx"), 500, &[][..], true),
        (&policy("5xx"), 599, &[], true),
        (&policy("5xx"), 404, &[], false),
        (&policy("gateway-error"), 500, &[], false),
        (&policy("gateway-error"), 503, &[], true),
        (&policy("retriable-4xx"), 409, &[], true),
        (&policy("retriable-4xx"), 404, &[], false),
        (&codes, 418, &[], true),
        (&codes, 500, &[], false),
        (&with_headers, 200, &[("x-again", "1")], true),
        (&policy("unavailable"), 200, &[("grpc-status", "14")], true),
        (&policy("unavailable"), 200, &[("grpc-status", "1")], false),
        (&policy("cancelled"), 200, &[("grpc-status", "1")], true),
        (&policy("5xx"), 503, &[("x-envoy-ratelimited", "true")], false),
        (&policy("envoy-ratelimited"), 429, &[("x-envoy-ratelimited", "true")], true),
        (&policy("connect-failure"), 503, &[], false),
    ] {
        assert_eq!(answered(policy, status, pairs), wanted, "{:?} {status}", policy.on);
    }
}

#[test]
fn each_condition_knows_its_failures() {
    let sent = Failure::Reset { request_sent: true };
    let unsent = Failure::Reset { request_sent: false };
    for (on, wanted) in [
        ("5xx", [true, true, true, true, false]),
        ("gateway-error", [true, true, true, true, false]),
        ("reset", [true, true, true, true, false]),
        ("reset-before-request", [true, true, false, true, false]),
        ("connect-failure", [true, false, false, false, false]),
        ("refused-stream", [false, true, false, false, false]),
        ("retriable-4xx", [false; 5]),
    ] {
        let all = [Failure::Connect, Failure::RefusedStream, sent, unsent, Failure::Overflow];
        let found =
            all.map(|failure| retries(&policy(on)).failed(failure, 0, || true) != Verdict::Final);
        assert_eq!(found, wanted, "{on}");
    }
}

#[test]
fn a_request_can_ask_for_itself() {
    let asks = headers(&[
        ("x-envoy-retry-on", "retriable-status-codes"),
        ("x-envoy-max-retries", "3"),
        ("x-envoy-retriable-status-codes", "404, 405"),
    ]);
    let mut retries = Retries::of(None, &head(&asks)).unwrap();
    let none = HeaderMap::new();
    let answer = Answer { status: StatusCode::METHOD_NOT_ALLOWED, headers: &none };
    for _ in 0..3 {
        let verdict = retries.answered(&answer, UNIX_EPOCH, 0, || true);
        assert!(matches!(verdict, Verdict::Again(_)));
    }
    assert_eq!(retries.answered(&answer, UNIX_EPOCH, 0, || true), Verdict::Exhausted);
    assert!(Retries::of(None, &head(&HeaderMap::new())).is_none());
    assert!(Retries::of(Some(&policy("")), &head(&HeaderMap::new())).is_none());
}

#[test]
fn a_full_budget_costs_a_retry() {
    let mut retries = retries(&policy("5xx"));
    assert_eq!(retries.failed(Failure::Connect, 0, || false), Verdict::Overflow);
    assert_eq!(retries.failed(Failure::Connect, 0, || true), Verdict::Exhausted);
}

#[test]
fn intervals_double_up_to_their_maximum() {
    let back_off = BackOff { base: Duration::from_millis(100), max: Duration::from_millis(350) };
    let mut retries = retries(&RetryPolicy { retries: 9, back_off, ..policy("5xx") });
    // One less than a multiple of each interval.
    let dice = 100 * 200 * 350 - 1;
    let wait = |ms| Verdict::Again(Duration::from_millis(ms));
    let waits = [1, 2, 3, 4].map(|_| retries.failed(Failure::Connect, dice, || true));
    assert_eq!(waits, [wait(99), wait(199), wait(349), wait(349)]);
}

#[test]
fn an_answer_can_say_when_to_come_again() {
    let header = |name: &'static str, form| ResetHeader { name: name.parse().unwrap(), form };
    let rate_limited = RateLimitedBackOff {
        headers: [
            header("retry-after", ResetForm::Seconds),
            header("x-reset", ResetForm::UnixTimestamp),
        ]
        .into(),
        max: Duration::from_secs(100),
    };
    let policy = RetryPolicy { rate_limited: Some(rate_limited.into()), ..policy("5xx") };
    let wait = |pairs: &[(&'static str, &str)]| {
        let headers = headers(pairs);
        let answer = Answer { status: StatusCode::SERVICE_UNAVAILABLE, headers: &headers };
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        retries(&policy).answered(&answer, now, 2500, || true)
    };
    assert_eq!(wait(&[("retry-after", "10")]), Verdict::Again(Duration::from_millis(12_500)));
    assert_eq!(wait(&[("x-reset", "1004")]), Verdict::Again(Duration::from_millis(4_500)));
    for ignored in [("x-reset", "900"), ("retry-after", "101"), ("retry-after", "soon")] {
        assert_eq!(wait(&[ignored]), Verdict::Again(Duration::ZERO), "{ignored:?}");
    }
}

#[test]
fn budgets_follow_the_load() {
    assert_eq!(budget(20.0, 3, 100, 50), 30);
    assert_eq!(budget(20.0, 3, 1, 0), 3);
}

proptest! {
    #[test]
    fn no_wait_is_longer_than_the_longest(base in 1_u64..500, times in 1_u64..20, dice: u64) {
        let back_off =
            BackOff { base: Duration::from_millis(base), max: Duration::from_millis(base * times) };
        let mut retries = retries(&RetryPolicy { retries: 20, back_off, ..policy("5xx") });
        while let Verdict::Again(wait) = retries.failed(Failure::Connect, dice, || true) {
            prop_assert!(wait < back_off.max);
        }
    }
}
