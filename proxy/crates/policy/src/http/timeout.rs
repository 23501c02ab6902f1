//! How long a request may take, by its route and its own headers.
use std::time::Duration;

use culvert_model::http::route::Timeouts;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::facts::Head;

const EXPECTED: HeaderName = HeaderName::from_static("x-envoy-expected-rq-timeout-ms");

/// Headers of requests that say how long, for us alone.
pub const HEADERS: [&str; 2] =
    ["x-envoy-upstream-rq-timeout-ms", "x-envoy-upstream-rq-timeout-alt-response"];

/// What counts for one request; `None` is for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// To the end of the response.
    pub request: Option<Duration>,
    pub per_try: Option<Duration>,
    /// Whether `grpc-timeout` says upstream how long is left.
    tell_grpc: bool,
}

/// The timeouts of a request: the route's, unless the request has its own.
///
/// `per_try` is the retry policy's; `believe_expected` is the router's
/// `respect_expected_rq_timeout`.
#[must_use]
pub fn limits(
    timeouts: &Timeouts,
    per_try: Option<Duration>,
    believe_expected: bool,
    head: &Head<'_>,
) -> Limits {
    let tell_grpc = head.is_grpc() && timeouts.stream.is_none() && timeouts.max_grpc.is_some();
    let headers = head.headers;
    let said = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse().ok();
    let expected = if believe_expected { said("x-envoy-expected-rq-timeout-ms") } else { None };
    let own =
        expected.or_else(|| said("x-envoy-upstream-rq-timeout-ms")).map(Duration::from_millis);
    let request = match own {
        Some(own) => finite(own),
        None if timeouts.stream.is_some() => None,
        None => match timeouts.max_grpc {
            Some(max) if head.is_grpc() => {
                let asked = grpc_timeout(headers).unwrap_or_default();
                capped(offset(asked, timeouts.grpc_offset), max)
            }
            _ => timeouts.request.and_then(finite),
        },
    };
    let tries = said("x-envoy-upstream-rq-per-try-timeout-ms").map(Duration::from_millis);
    let per_try = tries.or(per_try).and_then(finite);
    // One that is no shorter than the whole says nothing.
    let per_try = per_try.filter(|one| request.is_none_or(|whole| *one < whole));
    Limits { request, per_try, tell_grpc }
}

/// How long the whole stream may live, the request's body included: the route's
/// `max_stream_duration`, else the listener's.
#[must_use]
pub fn stream_limit(
    timeouts: &Timeouts,
    listener: Option<Duration>,
    headers: &HeaderMap,
) -> Option<Duration> {
    let route = timeouts.stream.unwrap_or_default();
    match (grpc_timeout(headers), route.grpc_max) {
        (Some(asked), Some(max)) => {
            let asked = if max.is_zero() { asked } else { asked.min(max) };
            finite(offset(asked, route.grpc_offset))
        }
        _ => route.limit.or(listener).and_then(finite),
    }
}

/// Says in `grpc-timeout` what `max_stream_duration` makes of it.
pub fn tell_stream(timeouts: &Timeouts, headers: &mut HeaderMap) {
    let capped = timeouts.stream.is_some_and(|stream| stream.grpc_max.is_some());
    if !capped || grpc_timeout(headers).is_none() {
        return;
    }
    if let Some(limit) = stream_limit(timeouts, None, headers)
        && let Ok(value) = HeaderValue::try_from(grpc_text(limit.as_millis()))
    {
        headers.insert("grpc-timeout", value);
    }
}

impl Limits {
    /// Tells the upstream how long is left, `elapsed` after the request began; 1 ms if nothing is.
    /// `expected`: whether `x-envoy-expected-rq-timeout-ms` may be said.
    pub fn tell(&self, elapsed: Duration, expected: bool, headers: &mut HeaderMap) {
        let Some(mut left) = self.per_try.or(self.request) else { return };
        if let Some(whole) = self.request {
            let remaining = whole.saturating_sub(elapsed);
            left = if remaining.is_zero() { Duration::from_millis(1) } else { left.min(remaining) };
        }
        let milliseconds = left.as_millis();
        if expected {
            let value = HeaderValue::from(u64::try_from(milliseconds).unwrap_or(u64::MAX));
            headers.insert(EXPECTED, value);
        }
        if self.tell_grpc
            && let Ok(value) = HeaderValue::try_from(grpc_text(milliseconds))
        {
            headers.insert("grpc-timeout", value);
        }
    }
}

/// What `grpc-timeout` says; parts of a millisecond are a whole one.
#[must_use]
pub fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?.trim();
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    // Eight digits at most (the protocol's own limit).
    let number: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_millis(number.div_ceil(1000)),
        "n" => Duration::from_millis(number.div_ceil(1_000_000)),
        _ => return None,
    })
}

/// In the finest unit that eight digits hold.
fn grpc_text(milliseconds: u128) -> String {
    const MOST: u128 = 99_999_999;
    for (unit, size) in [("m", 1), ("S", 1000), ("M", 60_000)] {
        if milliseconds / size <= MOST {
            return format!("{}{unit}", milliseconds / size);
        }
    }
    format!("{}H", (milliseconds / 3_600_000).min(MOST))
}

fn finite(timeout: Duration) -> Option<Duration> {
    (!timeout.is_zero()).then_some(timeout)
}

/// Not taken off where nothing would be left.
fn offset(timeout: Duration, offset: Option<Duration>) -> Duration {
    let offset = offset.filter(|offset| *offset < timeout);
    timeout - offset.unwrap_or_default()
}

/// Zero is for ever, of both.
fn capped(timeout: Duration, max: Duration) -> Option<Duration> {
    match (finite(timeout), finite(max)) {
        (Some(timeout), Some(max)) => Some(timeout.min(max)),
        (timeout, max) => timeout.or(max),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use culvert_model::http::route::{StreamLimit, Timeouts};
    use http::{HeaderMap, Method};

    use super::{grpc_text, grpc_timeout, limits, stream_limit};
    use crate::http::facts::Head;

    const fn ms(n: u64) -> Option<Duration> {
        Some(Duration::from_millis(n))
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn found(timeouts: &Timeouts, pairs: &[(&'static str, &str)]) -> [Option<Duration>; 2] {
        let headers = headers(pairs);
        let head = Head {
            method: &Method::POST,
            path: "/",
            authority: "",
            scheme: "http",
            protocol: None,
            headers: &headers,
        };
        let limits = limits(timeouts, ms(300), false, &head);
        [limits.request, limits.per_try]
    }

    #[test]
    fn headers_count_before_the_route() {
        let route = Timeouts { request: ms(1000), ..Timeouts::default() };
        let global = "x-envoy-upstream-rq-timeout-ms";
        let tries = "x-envoy-upstream-rq-per-try-timeout-ms";
        assert_eq!(found(&route, &[]), [ms(1000), ms(300)]);
        assert_eq!(found(&route, &[(global, "500"), (tries, "70")]), [ms(500), ms(70)]);
        assert_eq!(found(&route, &[(global, "200")]), [ms(200), None]);
        assert_eq!(found(&route, &[(global, "0")]), [None, ms(300)]);
        assert_eq!(found(&route, &[(global, "soon")]), [ms(1000), ms(300)]);
    }

    #[test]
    fn grpc_timeouts_are_capped() {
        let kind = ("content-type", "application/grpc");
        let route = |max, offset| Timeouts {
            max_grpc: ms(max),
            grpc_offset: ms(offset),
            ..Timeouts::default()
        };
        let timeout = |max, offset, asked: &str| {
            found(&route(max, offset), &[kind, ("grpc-timeout", asked)])[0]
        };
        assert_eq!(timeout(0, 0, "7S"), ms(7000));
        assert_eq!(timeout(5000, 0, "7S"), ms(5000));
        assert_eq!(timeout(5000, 500, "3S"), ms(2500));
        assert_eq!(timeout(5000, 4000, "3S"), ms(3000));
        assert_eq!(found(&route(5000, 0), &[kind])[0], ms(5000));
        assert_eq!(found(&route(5000, 0), &[("grpc-timeout", "7S")])[0], ms(15_000));
    }

    #[test]
    fn a_stream_limit_takes_the_place_of_timeouts() {
        let stream = StreamLimit { limit: ms(100), grpc_max: ms(50), grpc_offset: None };
        let route = Timeouts { stream: Some(stream), ..Timeouts::default() };
        assert_eq!(found(&route, &[])[0], None);
        assert_eq!(stream_limit(&route, ms(7), &headers(&[])), ms(100));
        assert_eq!(stream_limit(&route, ms(7), &headers(&[("grpc-timeout", "1S")])), ms(50));
        assert_eq!(stream_limit(&Timeouts::default(), ms(7), &headers(&[])), ms(7));
        let endless = StreamLimit { limit: ms(0), ..stream };
        let endless = Timeouts { stream: Some(endless), ..Timeouts::default() };
        assert_eq!(stream_limit(&endless, ms(7), &headers(&[])), None);
    }

    #[test]
    fn upstreams_are_told_what_is_left() {
        let limits = super::Limits { request: ms(1000), per_try: ms(300), tell_grpc: true };
        let told = |elapsed| {
            let mut headers = HeaderMap::new();
            limits.tell(Duration::from_millis(elapsed), true, &mut headers);
            let text = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
            (text("x-envoy-expected-rq-timeout-ms"), text("grpc-timeout"))
        };
        assert_eq!(told(0), ("300".into(), "300m".into()));
        assert_eq!(told(900), ("100".into(), "100m".into()));
        assert_eq!(told(5000), ("1".into(), "1m".into()));
    }

    #[test]
    fn units_of_grpc_are_understood() {
        let asked = |text: &str| grpc_timeout(&headers(&[("grpc-timeout", text)]));
        assert_eq!(asked("2H"), ms(7_200_000));
        assert_eq!(asked("1u"), ms(1));
        assert_eq!(asked("1000001n"), ms(2));
        assert_eq!(asked("123456789m"), None);
        assert_eq!(asked("5"), None);
        assert_eq!(asked("5x"), None);
        assert_eq!(grpc_text(100_000_000), "100000S");
    }
}
