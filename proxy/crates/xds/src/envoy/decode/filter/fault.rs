//! Requests that are delayed, refused or slowed on purpose.
use super::super::{
    Got, Path, Wrong,
    basic::{duration, each, fraction, must, number, some, status, texts},
    header::header,
};
use culvert_model::http::{
    fault::{Abort, AbortWith, Delay, DelayLength, Fault, FaultKeys, Rate, RateLimit},
    matcher::Fraction,
};
use culvert_proto::api::envoy::{
    extensions::filters::{
        common::fault::v3::{
            FaultDelay, FaultRateLimit, fault_delay::FaultDelaySecifier,
            fault_rate_limit::LimitType,
        },
        http::fault::v3::{FaultAbort, HttpFault, fault_abort::ErrorType},
    },
    r#type::v3::FractionalPercent,
};
use std::sync::Arc;

pub(super) fn decode(value: &HttpFault, path: &Path<'_>) -> Got<Fault> {
    Ok(Fault {
        delay: match &value.delay {
            Some(value) => Some(delay(value, &path.field("delay"))?),
            None => None,
        },
        abort: match &value.abort {
            Some(value) => Some(abort(value, &path.field("abort"))?),
            None => None,
        },
        rate: match &value.response_rate_limit {
            Some(value) => Some(rate(value, &path.field("response_rate_limit"))?),
            None => None,
        },
        upstream_cluster: some(&value.upstream_cluster),
        headers: each(&value.headers, &path.field("headers"), header)?,
        downstream_nodes: texts(&value.downstream_nodes).iter().cloned().collect(),
        max_active: number(&value.max_active_faults),
        keys: keys(value),
        disable_downstream_cluster_stats: value.disable_downstream_cluster_stats,
    })
}

fn keys(value: &HttpFault) -> FaultKeys {
    let default = FaultKeys::default();
    let or = |given: &str, default: Arc<str>| some(given).unwrap_or(default);
    FaultKeys {
        delay_percent: or(&value.delay_percent_runtime, default.delay_percent),
        abort_percent: or(&value.abort_percent_runtime, default.abort_percent),
        delay_duration: or(&value.delay_duration_runtime, default.delay_duration),
        abort_status: or(&value.abort_http_status_runtime, default.abort_status),
        abort_grpc: or(&value.abort_grpc_status_runtime, default.abort_grpc),
        max_active: or(&value.max_active_faults_runtime, default.max_active),
        rate_percent: or(&value.response_rate_limit_percent_runtime, default.rate_percent),
    }
}

fn share(value: &Option<FractionalPercent>, path: &Path<'_>) -> Got<Fraction> {
    match value {
        Some(value) => fraction(value, &path.field("percentage")),
        None => Ok(Fraction::NEVER),
    }
}

fn delay(value: &FaultDelay, path: &Path<'_>) -> Got<Delay> {
    let how = match must(&value.fault_delay_secifier, path)? {
        FaultDelaySecifier::FixedDelay(fixed) => {
            let path = path.field("fixed_delay");
            let fixed = duration(&Some(*fixed), &path)?;
            DelayLength::Fixed(fixed.ok_or_else(|| Wrong::at(&path, "not set"))?)
        }
        FaultDelaySecifier::HeaderDelay(_) => DelayLength::Header,
    };
    Ok(Delay { how, share: share(&value.percentage, path)? })
}

fn abort(value: &FaultAbort, path: &Path<'_>) -> Got<Abort> {
    let how = match must(&value.error_type, path)? {
        ErrorType::HttpStatus(code) => {
            AbortWith::Status(status(*code, &path.field("http_status"))?)
        }
        ErrorType::GrpcStatus(code) => AbortWith::Grpc(*code),
        ErrorType::HeaderAbort(_) => AbortWith::Header,
    };
    Ok(Abort { how, share: share(&value.percentage, path)? })
}

fn rate(value: &FaultRateLimit, path: &Path<'_>) -> Got<Rate> {
    let how = match must(&value.limit_type, path)? {
        LimitType::FixedLimit(limit) => RateLimit::Fixed(limit.limit_kbps),
        LimitType::HeaderLimit(_) => RateLimit::Header,
    };
    Ok(Rate { how, share: share(&value.percentage, path)? })
}
