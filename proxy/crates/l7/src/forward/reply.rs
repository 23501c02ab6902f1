//! What a client is told that gets no response: Envoy's statuses, texts and details.
use super::{Failure, clock::Expired};
use crate::outcome::{Details, Flag, Flags, Reset};
use http::StatusCode;
use std::borrow::Cow;

/// A response of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: StatusCode,
    pub body: Cow<'static, str>,
    pub flags: Flags,
    pub details: Details,
    /// `x-envoy-overloaded: true` goes with it.
    pub overloaded: bool,
}

/// What is said about `failure`, after so many tries.
pub fn of(failure: &Failure, attempts: u32) -> Reply {
    match failure {
        Failure::NoHost => Reply {
            status: StatusCode::SERVICE_UNAVAILABLE,
            body: "no healthy upstream".into(),
            flags: Flags::from_iter([Flag::NoHealthyUpstream]),
            details: "no_healthy_upstream".into(),
            overloaded: false,
        },
        Failure::Reset { reset, why } => of_reset(*reset, why.as_deref(), attempts),
        Failure::Expired(expired) => of_expired(*expired),
    }
}

fn of_reset(reset: Reset, why: Option<&str>, attempts: u32) -> Reply {
    let retried = if 1 < attempts { "retried and the latest " } else { "" };
    let body = format!(
        "upstream connect error or disconnect/reset before headers. {retried}reset reason: {reset}"
    );
    let details = match why {
        Some(why) => format!("upstream_reset_before_response_started{{{reset}|{why}}}"),
        None => format!("upstream_reset_before_response_started{{{reset}}}"),
    };
    Reply {
        status: if reset == Reset::ProtocolError {
            StatusCode::BAD_GATEWAY
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        },
        body: body.into(),
        flags: Flags::from_iter([reset.flag()]),
        details: details.replace(' ', "_").into(),
        overloaded: reset == Reset::Overflow,
    }
}

fn of_expired(expired: Expired) -> Reply {
    let (flag, details) = expired.said();
    let (status, body) = match expired {
        Expired::Idle { asked: false } => (StatusCode::REQUEST_TIMEOUT, "stream timeout"),
        Expired::Idle { asked: true } => (StatusCode::GATEWAY_TIMEOUT, "stream timeout"),
        Expired::Whole | Expired::PerTry | Expired::PerTryIdle => {
            (StatusCode::GATEWAY_TIMEOUT, "upstream request timeout")
        }
        Expired::Duration => (StatusCode::GATEWAY_TIMEOUT, "upstream max stream duration reached"),
    };
    Reply {
        status,
        body: body.into(),
        flags: Flags::from_iter([flag]),
        details: details.into(),
        overloaded: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_envoy_would_say() {
        let why = Some("delayed connect error: Connection refused".into());
        let failure = Failure::Reset { reset: Reset::ConnectionFailure, why };
        let Reply { status, body, flags, details, overloaded } = of(&failure, 1);
        assert_eq!((status.as_u16(), overloaded, flags.to_string()), (503, false, "UF".to_owned()));
        assert_eq!(
            body,
            "upstream connect error or disconnect/reset before headers. reset reason: remote \
             connection failure"
        );
        assert_eq!(
            details,
            "upstream_reset_before_response_started{remote_connection_failure|\
             delayed_connect_error:_Connection_refused}"
        );
        let overflow = Failure::Reset { reset: Reset::Overflow, why: None };
        let reply = of(&overflow, 2);
        assert!(reply.overloaded && reply.body.contains("retried and the latest reset reason"));
        assert_eq!(of(&Failure::Expired(Expired::Whole), 1).status, 504);
    }
}
