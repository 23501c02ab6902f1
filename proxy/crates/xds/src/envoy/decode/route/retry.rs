//! Which failures are tried again.
use super::super::{
    Got, Path, Wrong,
    basic::{duration, each, inner, known, must, number, open, unless_zero},
    header::{header, name},
    value::metadata,
};
use culvert_model::http::retry::{
    BackOff, Conditions, RateLimitedBackOff, ResetForm, ResetHeader, RetryPolicy,
};
use culvert_proto::api::envoy::{
    config::route::v3::{self as pb, retry_policy},
    extensions::retry::{
        host::omit_host_metadata::v3::OmitHostMetadataConfig,
        priority::previous_priorities::v3::PreviousPrioritiesConfig,
    },
};
use std::{sync::Arc, time::Duration};

pub(super) fn policy(
    value: &Option<pb::RetryPolicy>,
    path: &Path<'_>,
) -> Got<Option<Arc<RetryPolicy>>> {
    value.as_ref().map(|value| decode(value, path).map(Arc::new)).transpose()
}

fn decode(value: &pb::RetryPolicy, path: &Path<'_>) -> Got<RetryPolicy> {
    if !value.retry_options_predicates.is_empty() {
        let what = "no such predicate is known";
        return Err(Wrong::at(&path.field("retry_options_predicates"), what));
    }
    let mut policy = RetryPolicy {
        on: Conditions::parse(&value.retry_on),
        retries: number(&value.num_retries).unwrap_or(1),
        per_try: unless_zero(duration(&value.per_try_timeout, &path.field("per_try_timeout"))?),
        per_try_idle: unless_zero(duration(
            &value.per_try_idle_timeout,
            &path.field("per_try_idle_timeout"),
        )?),
        status_codes: codes(&value.retriable_status_codes, path)?,
        response_headers: each(&value.retriable_headers, &path.field("retriable_headers"), header)?,
        request_headers: each(
            &value.retriable_request_headers,
            &path.field("retriable_request_headers"),
            header,
        )?,
        back_off: back_off(&value.retry_back_off, &path.field("retry_back_off"))?,
        rate_limited: match &value.rate_limited_retry_back_off {
            Some(value) => {
                let path = path.field("rate_limited_retry_back_off");
                Some(Box::new(rate_limited(value, &path)?))
            }
            None => None,
        },
        avoid_previous: false,
        avoid_metadata: None,
        selections: u32::try_from(value.host_selection_retry_max_attempts).unwrap_or(1).max(1),
        priorities_every: None,
    };
    for (i, predicate) in value.retry_host_predicate.iter().enumerate() {
        let path = path.field("retry_host_predicate");
        avoid(predicate, &mut policy, &path.index(i))?;
    }
    if let Some(priority) = &value.retry_priority {
        let path = path.field("retry_priority");
        policy.priorities_every = Some(every(priority, &path)?);
    }
    Ok(policy)
}

fn codes(values: &[u32], path: &Path<'_>) -> Got<Box<[u16]>> {
    let path = path.field("retriable_status_codes");
    let mut codes: Vec<u16> = each(values, &path, |code, path| {
        u16::try_from(*code)
            .ok()
            .filter(|code| (100..600).contains(code))
            .ok_or_else(|| Wrong::at(path, format!("{code} is not a status")))
    })?;
    codes.sort_unstable();
    codes.dedup();
    Ok(codes.into())
}

fn back_off(value: &Option<retry_policy::RetryBackOff>, path: &Path<'_>) -> Got<BackOff> {
    let Some(value) = value else { return Ok(BackOff::DEFAULT) };
    let least = Duration::from_millis(1);
    let at = path.field("base_interval");
    let base = duration(&value.base_interval, &at)?.unwrap_or(BackOff::DEFAULT.base).max(least);
    let at = path.field("max_interval");
    let max = duration(&value.max_interval, &at)?.unwrap_or(base * 10).max(least);
    if max < base {
        return Err(Wrong::at(&at, "must not be less than base_interval"));
    }
    Ok(BackOff { base, max })
}

fn rate_limited(
    value: &retry_policy::RateLimitedRetryBackOff,
    path: &Path<'_>,
) -> Got<RateLimitedBackOff> {
    let max = duration(&value.max_interval, &path.field("max_interval"))?;
    Ok(RateLimitedBackOff {
        headers: each(&value.reset_headers, &path.field("reset_headers"), |header, path| {
            let form = match known(header.format, &path.field("format"))? {
                retry_policy::ResetHeaderFormat::Seconds => ResetForm::Seconds,
                retry_policy::ResetHeaderFormat::UnixTimestamp => ResetForm::UnixTimestamp,
            };
            Ok(ResetHeader { name: name(&header.name, &path.field("name"))?, form })
        })?,
        max: max.unwrap_or(Duration::from_secs(300)),
    })
}

fn avoid(
    value: &retry_policy::RetryHostPredicate,
    policy: &mut RetryPolicy,
    path: &Path<'_>,
) -> Got<()> {
    use retry_policy::retry_host_predicate::ConfigType;
    let path = path.field("typed_config");
    let Some(ConfigType::TypedConfig(any)) = &value.config_type else {
        if value.name == "envoy.retry_host_predicates.previous_hosts" {
            policy.avoid_previous = true;
            return Ok(());
        }
        return Err(Wrong::at(&path, "not set"));
    };
    let (kind, bytes) = open(any, &path)?;
    match &*kind {
        "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate" => {
            policy.avoid_previous = true;
        }
        // Canaries are hosts with canary: true below envoy.lb.
        "envoy.extensions.retry.host.omit_canary_hosts.v3.OmitCanaryHostsPredicate" => {
            use culvert_model::http::value::{Metadata, Value};
            let canary = Value::Struct(Arc::new([("canary".into(), Value::Bool(true))].into()));
            policy.avoid_metadata = Some(Metadata::new([("envoy.lb".into(), canary)].into()));
        }
        "envoy.extensions.retry.host.omit_host_metadata.v3.OmitHostMetadataConfig" => {
            let value: OmitHostMetadataConfig = inner(&bytes, &path)?;
            policy.avoid_metadata = Some(metadata(&value.metadata_match));
        }
        kind => return Err(Wrong::at(&path, format!("no predicate {kind} is known"))),
    }
    Ok(())
}

fn every(value: &retry_policy::RetryPriority, path: &Path<'_>) -> Got<u32> {
    use retry_policy::retry_priority::ConfigType;
    let path = path.field("typed_config");
    let ConfigType::TypedConfig(any) = must(&value.config_type, &path)?;
    let (kind, bytes) = open(any, &path)?;
    if !kind.ends_with("previous_priorities.v3.PreviousPrioritiesConfig") {
        return Err(Wrong::at(&path, format!("no priority {kind} is known")));
    }
    let value: PreviousPrioritiesConfig = inner(&bytes, &path)?;
    u32::try_from(value.update_frequency)
        .ok()
        .filter(|every| *every > 0)
        .ok_or_else(|| Wrong::at(&path.field("update_frequency"), "must be more than 0"))
}
