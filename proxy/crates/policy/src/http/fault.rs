//! Whether a request is delayed, refused or slowed on purpose.
use std::time::Duration;

use culvert_model::http::{
    fault::{AbortWith, Delay, DelayLength, Fault, RateLimit},
    matcher::Fraction,
    runtime::RuntimeValues,
};
use http::{HeaderMap, StatusCode};

use super::{chance, facts::Head, field};

/// What is done to one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Injected {
    pub delay: Option<Duration>,
    pub abort: Option<Abort>,
    /// KiB a second, of the response.
    pub rate: Option<u64>,
}

/// How a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abort {
    Status(StatusCode),
    Grpc(u32),
}

/// What is to be known beside the request.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// The cluster that it goes to.
    pub cluster: Option<&'a str>,
    pub runtime: &'a RuntimeValues,
    /// Faults under way in this filter.
    pub active: u64,
}

/// Decides; `dice` is thrown for each kind of fault.
pub fn inject(
    fault: &Fault,
    head: &Head<'_>,
    around: Around<'_>,
    dice: &mut dyn FnMut() -> u64,
) -> Injected {
    if !concerns(fault, head, around) {
        return Injected::default();
    }
    let most = around.runtime.number(&fault.keys.max_active).map(|n| n.max(0.0));
    let most = most.or(fault.max_active.map(f64::from));
    #[expect(clippy::cast_precision_loss, reason = "a count of faults")]
    if most.is_some_and(|most| around.active as f64 >= most) {
        return Injected::default();
    }
    let runtime = around.runtime;
    let mut hit = |key: &str, share: Fraction, header: &str| {
        let share = chance::read(key, runtime).unwrap_or(share);
        capped(share, head.headers, header).hits(dice())
    };
    let delay = fault.delay.as_ref().filter(|delay| {
        hit(&fault.keys.delay_percent, delay.share, "x-envoy-fault-delay-request-percentage")
    });
    let abort = fault.abort.as_ref().filter(|abort| {
        hit(&fault.keys.abort_percent, abort.share, "x-envoy-fault-abort-request-percentage")
    });
    let rate = fault.rate.as_ref().filter(|rate| {
        let header = "x-envoy-fault-throughput-response-percentage";
        hit(&fault.keys.rate_percent, rate.share, header)
    });
    Injected {
        delay: delay.and_then(|delay| length(fault, delay, head, runtime)),
        abort: abort.and_then(|abort| answer(fault, abort.how, head, runtime)),
        rate: rate.and_then(|rate| match rate.how {
            RateLimit::Fixed(kib) => Some(kib),
            RateLimit::Header => {
                number(head.headers, "x-envoy-fault-throughput-response").filter(|kib| *kib > 0)
            }
        }),
    }
}

fn concerns(fault: &Fault, head: &Head<'_>, around: Around<'_>) -> bool {
    let node = || head.headers.get("x-envoy-downstream-service-node")?.to_str().ok();
    fault.upstream_cluster.as_deref().is_none_or(|wanted| around.cluster == Some(wanted))
        && (fault.downstream_nodes.is_empty()
            || node().is_some_and(|node| fault.downstream_nodes.iter().any(|one| **one == *node)))
        && field::all_match(&fault.headers, head)
}

/// A share that a header may lower.
fn capped(share: Fraction, headers: &HeaderMap, header: &str) -> Fraction {
    match number(headers, header).and_then(|n| u32::try_from(n).ok()) {
        Some(said) => Fraction { numerator: said.min(share.numerator), ..share },
        None => share,
    }
}

fn length(
    fault: &Fault,
    delay: &Delay,
    head: &Head<'_>,
    runtime: &RuntimeValues,
) -> Option<Duration> {
    let wait = match delay.how {
        DelayLength::Fixed(fixed) => {
            let said = runtime.number(&fault.keys.delay_duration);
            let said = said.and_then(|ms| Duration::try_from_secs_f64(ms / 1000.0).ok());
            said.unwrap_or(fixed)
        }
        DelayLength::Header => {
            Duration::from_millis(number(head.headers, "x-envoy-fault-delay-request")?)
        }
    };
    (!wait.is_zero()).then_some(wait)
}

fn answer(
    fault: &Fault,
    how: AbortWith,
    head: &Head<'_>,
    runtime: &RuntimeValues,
) -> Option<Abort> {
    let status = |code: u64| {
        let code = u16::try_from(code).ok().filter(|code| (200..600).contains(code))?;
        StatusCode::from_u16(code).ok()
    };
    let said = |key: &str| {
        use chance::FromRuntime;
        runtime.number(key).and_then(u64::from_runtime)
    };
    Some(match how {
        AbortWith::Status(fixed) => {
            Abort::Status(said(&fault.keys.abort_status).and_then(status).unwrap_or(fixed))
        }
        AbortWith::Grpc(fixed) => {
            let said = said(&fault.keys.abort_grpc).and_then(|code| u32::try_from(code).ok());
            Abort::Grpc(said.unwrap_or(fixed))
        }
        AbortWith::Header => {
            match number(head.headers, "x-envoy-fault-abort-request").and_then(status) {
                Some(status) => Abort::Status(status),
                None => {
                    let code = number(head.headers, "x-envoy-fault-abort-grpc-request")?;
                    Abort::Grpc(u32::try_from(code).ok()?)
                }
            }
        }
    })
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use culvert_model::http::{
        fault::{Abort as Config, AbortWith, Delay, DelayLength, Fault, FaultKeys},
        matcher::{Fraction, HeaderMatch, StringMatch},
        runtime::RuntimeValues,
    };
    use http::{HeaderMap, Method, StatusCode};

    use super::{Abort, Around, Injected, inject};
    use crate::http::facts::Head;

    fn fault() -> Fault {
        Fault {
            delay: Some(Delay {
                how: DelayLength::Fixed(Duration::from_millis(100)),
                share: Fraction::percent(50),
            }),
            abort: Some(Config {
                how: AbortWith::Status(StatusCode::IM_A_TEAPOT),
                share: Fraction::percent(10),
            }),
            rate: None,
            upstream_cluster: None,
            headers: Box::default(),
            downstream_nodes: Box::default(),
            max_active: Some(5),
            keys: FaultKeys::default(),
            disable_downstream_cluster_stats: false,
        }
    }

    fn injected(fault: &Fault, pairs: &[(&'static str, &str)], active: u64, dice: u64) -> Injected {
        let headers: HeaderMap =
            pairs.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
        let head = Head {
            method: &Method::GET,
            path: "/",
            authority: "h",
            scheme: "http",
            protocol: None,
            headers: &headers,
        };
        let runtime = RuntimeValues::default();
        inject(fault, &head, Around { cluster: Some("c"), runtime: &runtime, active }, &mut || dice)
    }

    const TEAPOT: Option<Abort> = Some(Abort::Status(StatusCode::IM_A_TEAPOT));
    const WAIT: Option<Duration> = Some(Duration::from_millis(100));

    #[test]
    fn shares_are_shares_of_requests() {
        let found = |dice| injected(&fault(), &[], 0, dice);
        assert_eq!(found(9), Injected { delay: WAIT, abort: TEAPOT, rate: None });
        assert_eq!(found(10), Injected { delay: WAIT, ..Injected::default() });
        assert_eq!(found(50), Injected::default());
        assert_eq!(injected(&fault(), &[], 5, 0), Injected::default());
    }

    #[test]
    fn only_requests_that_it_concerns() {
        let wanted = HeaderMatch::value("x-user".parse().unwrap(), StringMatch::exact("a"));
        let some = Fault { headers: [wanted].into(), ..fault() };
        assert_eq!(injected(&some, &[], 0, 0), Injected::default());
        assert_eq!(injected(&some, &[("x-user", "a")], 0, 0).delay, WAIT);
        let other = Fault { upstream_cluster: Some("d".into()), ..fault() };
        assert_eq!(injected(&other, &[], 0, 0), Injected::default());
    }

    #[test]
    fn headers_say_what_and_lower_how_often() {
        let by_header = Fault {
            delay: Some(Delay { how: DelayLength::Header, share: Fraction::percent(50) }),
            abort: Some(Config { how: AbortWith::Header, share: Fraction::percent(100) }),
            ..fault()
        };
        assert_eq!(injected(&by_header, &[], 0, 0), Injected::default());
        let asks =
            [("x-envoy-fault-delay-request", "30"), ("x-envoy-fault-abort-grpc-request", "5")];
        let found = injected(&by_header, &asks, 0, 49);
        assert_eq!(found.delay, Some(Duration::from_millis(30)));
        assert_eq!(found.abort, Some(Abort::Grpc(5)));
        let fewer = [asks[0], ("x-envoy-fault-delay-request-percentage", "20")];
        assert_eq!(injected(&by_header, &fewer, 0, 20).delay, None);
        let more = [asks[0], ("x-envoy-fault-delay-request-percentage", "90")];
        assert_eq!(injected(&by_header, &more, 0, 50).delay, None);
        let strange = [("x-envoy-fault-abort-request", "99")];
        assert_eq!(injected(&by_header, &strange, 0, 0).abort, None);
    }
}
