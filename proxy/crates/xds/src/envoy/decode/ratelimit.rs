//! Local rate limits, and what routes say about limits.
use super::{
    Got, Path, Wrong,
    basic::{each, flag, known, must, number, runtime_flag, runtime_fraction, some, status},
    header::{field, header, query},
    mutation::plain,
    text::header_template,
    value::key,
};
use culvert_model::http::{
    matcher::{Fraction, RuntimeFraction},
    ratelimit::{
        Bucket, ConnectionRateLimit, DescriptorAction, HostLimits, LocalDescriptor, LocalRateLimit,
        RateLimitActions, RateLimits,
    },
};
use culvert_proto::api::envoy::{
    config::route::v3::{
        self as route,
        rate_limit::{action::ActionSpecifier, action::meta_data::Source},
    },
    extensions::{
        common::ratelimit::v3::{
            LocalRateLimitDescriptor, VhRateLimitsOptions, XRateLimitHeadersRfcVersion,
        },
        filters::{
            http::local_ratelimit::v3 as http_pb, network::local_ratelimit::v3 as network_pb,
        },
    },
    r#type::v3::TokenBucket,
};
use std::time::Duration;

pub(super) fn bucket(value: &TokenBucket, path: &Path<'_>) -> Got<Bucket> {
    let at = path.field("fill_interval");
    let interval = super::basic::duration(&value.fill_interval, &at)?;
    let interval = interval.ok_or_else(|| Wrong::at(&at, "not set"))?;
    if interval < Duration::from_millis(50) {
        return Err(Wrong::at(&at, "must be at least 0.05s"));
    }
    Ok(Bucket {
        max: value.max_tokens,
        per_fill: number(&value.tokens_per_fill).unwrap_or(1),
        interval,
    })
}

pub(super) fn http(value: &http_pb::LocalRateLimit, path: &Path<'_>) -> Got<LocalRateLimit> {
    let part = |value: &Option<_>, name: &str| -> Got<RuntimeFraction> {
        match value {
            Some(value) => runtime_fraction(value, &path.field(name)),
            None => Ok(Fraction::NEVER.into()),
        }
    };
    if value.local_cluster_rate_limit.is_some() {
        let what = "sharing a limit between proxies is not supported";
        return Err(Wrong::at(&path.field("local_cluster_rate_limit"), what));
    }
    if value.enable_retry_after_header {
        let what = "not supported; give response_headers_to_add";
        return Err(Wrong::at(&path.field("enable_retry_after_header"), what));
    }
    let code = match &value.status {
        Some(status) => u32::try_from(status.code).unwrap_or(429),
        None => 429,
    };
    let bucket_of = match &value.token_bucket {
        Some(value) => Some(bucket(value, &path.field("token_bucket"))?),
        None => None,
    };
    Ok(LocalRateLimit {
        stat_prefix: value.stat_prefix.as_str().into(),
        // As Envoy has it, what is below 400 is not believed.
        status: status(if code < 400 { 429 } else { code }, &path.field("status"))?,
        bucket: bucket_of,
        enabled: part(&value.filter_enabled, "filter_enabled")?,
        enforced: part(&value.filter_enforced, "filter_enforced")?,
        request_headers: plain(
            &value.request_headers_to_add_when_not_enforced,
            &path.field("request_headers_to_add_when_not_enforced"),
        )?,
        response_headers: plain(
            &value.response_headers_to_add,
            &path.field("response_headers_to_add"),
        )?,
        descriptors: each(&value.descriptors, &path.field("descriptors"), descriptor)?,
        stage: value.stage,
        per_connection: value.local_rate_limit_per_downstream_connection,
        x_ratelimit_headers: value.enable_x_ratelimit_headers
            == i32::from(XRateLimitHeadersRfcVersion::DraftVersion03),
        always_default: flag(&value.always_consume_default_token_bucket, true),
        resource_exhausted: value.rate_limited_as_resource_exhausted,
        limits: limits(&value.rate_limits, &path.field("rate_limits"))?,
        host_limits: match known(value.vh_rate_limits, &path.field("vh_rate_limits"))? {
            VhRateLimitsOptions::Override => HostLimits::Override,
            VhRateLimitsOptions::Include => HostLimits::Include,
            VhRateLimitsOptions::Ignore => HostLimits::Ignore,
        },
        max_dynamic: number(&value.max_dynamic_descriptors).unwrap_or(20),
    })
}

fn descriptor(value: &LocalRateLimitDescriptor, path: &Path<'_>) -> Got<LocalDescriptor> {
    let at = path.field("token_bucket");
    let entries = value.entries.iter();
    Ok(LocalDescriptor {
        entries: entries
            .map(|entry| (entry.key.as_str().into(), entry.value.as_str().into()))
            .collect(),
        bucket: bucket(must(&value.token_bucket, &at)?, &at)?,
    })
}

pub(super) fn connections(
    value: &network_pb::LocalRateLimit,
    path: &Path<'_>,
) -> Got<ConnectionRateLimit> {
    let at = path.field("token_bucket");
    Ok(ConnectionRateLimit {
        stat_prefix: value.stat_prefix.as_str().into(),
        bucket: bucket(must(&value.token_bucket, &at)?, &at)?,
        enabled: runtime_flag(&value.runtime_enabled, true),
        share_key: some(&value.share_key),
    })
}

/// What routes and virtual hosts say.
pub(super) fn limits(values: &[route::RateLimit], path: &Path<'_>) -> Got<RateLimits> {
    each(values, path, |value, path| {
        if value.limit.is_some() {
            let what = "overriding a limit needs the rate limit service, which comes later";
            return Err(Wrong::at(&path.field("limit"), what));
        }
        let hits = match &value.hits_addend {
            None => None,
            Some(hits) if hits.format.is_empty() => hits.number.as_ref().map(|hits| hits.value),
            Some(_) => {
                let path = path.field("hits_addend");
                return Err(Wrong::at(&path.field("format"), "only number is supported"));
            }
        };
        Ok(RateLimitActions {
            stage: number(&value.stage).unwrap_or(0),
            disable_key: some(&value.disable_key),
            actions: each(&value.actions, &path.field("actions"), action)?,
            hits,
            on_response: value.apply_on_stream_done,
        })
    })
}

#[expect(clippy::too_many_lines, reason = "one field after the other")]
fn action(value: &route::rate_limit::Action, path: &Path<'_>) -> Got<DescriptorAction> {
    let or = |key: &str, default: &str| {
        if key.is_empty() { default.into() } else { key.into() }
    };
    let mask = |value: Option<u32>, most: u8, name: &str| match value {
        None => Ok(most),
        Some(value) => u8::try_from(value)
            .ok()
            .filter(|bits| *bits <= most)
            .ok_or_else(|| Wrong::at(&path.field(name), format!("must be at most {most}"))),
    };
    Ok(match must(&value.action_specifier, path)? {
        ActionSpecifier::SourceCluster(_) => DescriptorAction::SourceCluster,
        ActionSpecifier::DestinationCluster(_) => DescriptorAction::DestinationCluster,
        ActionSpecifier::RequestHeaders(of) => {
            let path = path.field("request_headers");
            DescriptorAction::RequestHeader {
                name: field(&of.header_name, &path.field("header_name"))?,
                key: of.descriptor_key.as_str().into(),
                skip_if_absent: of.skip_if_absent,
            }
        }
        ActionSpecifier::QueryParameters(of) => DescriptorAction::Query {
            name: of.query_parameter_name.as_str().into(),
            key: of.descriptor_key.as_str().into(),
            skip_if_absent: of.skip_if_absent,
        },
        ActionSpecifier::RemoteAddress(_) => DescriptorAction::RemoteAddress,
        ActionSpecifier::MaskedRemoteAddress(of) => DescriptorAction::MaskedRemoteAddress {
            v4: mask(number(&of.v4_prefix_mask_len), 32, "v4_prefix_mask_len")?,
            v6: mask(number(&of.v6_prefix_mask_len), 128, "v6_prefix_mask_len")?,
        },
        ActionSpecifier::GenericKey(of) => DescriptorAction::GenericKey {
            key: or(&of.descriptor_key, "generic_key"),
            value: header_template(&of.descriptor_value, &path.field("generic_key"))?,
        },
        ActionSpecifier::HeaderValueMatch(of) => {
            let path = path.field("header_value_match");
            DescriptorAction::HeaderMatch {
                key: or(&of.descriptor_key, "header_match"),
                value: header_template(&of.descriptor_value, &path.field("descriptor_value"))?,
                expect: flag(&of.expect_match, true),
                headers: each(&of.headers, &path.field("headers"), header)?,
            }
        }
        ActionSpecifier::QueryParameterValueMatch(of) => {
            let path = path.field("query_parameter_value_match");
            DescriptorAction::QueryMatch {
                key: or(&of.descriptor_key, "query_match"),
                value: header_template(&of.descriptor_value, &path.field("descriptor_value"))?,
                expect: flag(&of.expect_match, true),
                query: each(&of.query_parameters, &path.field("query_parameters"), query)?,
            }
        }
        ActionSpecifier::DynamicMetadata(of) => {
            let path = path.field("dynamic_metadata");
            let at = path.field("metadata_key");
            let (filter, keys) = key(must(&of.metadata_key, &at)?, &at)?;
            DescriptorAction::Metadata {
                key: of.descriptor_key.as_str().into(),
                of_route: false,
                filter,
                path: keys,
                default: some(&of.default_value),
                skip_if_absent: false,
            }
        }
        ActionSpecifier::Metadata(of) => {
            let path = path.field("metadata");
            let at = path.field("metadata_key");
            let (filter, keys) = key(must(&of.metadata_key, &at)?, &at)?;
            let of_route = match known(of.source, &path.field("source"))? {
                Source::Dynamic => false,
                Source::RouteEntry => true,
                Source::ClusterEntry | Source::ClusterLocalityEntry => {
                    let what = "only DYNAMIC and ROUTE_ENTRY are supported";
                    return Err(Wrong::at(&path.field("source"), what));
                }
            };
            DescriptorAction::Metadata {
                key: of.descriptor_key.as_str().into(),
                of_route,
                filter,
                path: keys,
                default: some(&of.default_value),
                skip_if_absent: of.skip_if_absent,
            }
        }
        ActionSpecifier::Extension(_) => {
            return Err(Wrong::at(&path.field("extension"), "no extension is known here"));
        }
        ActionSpecifier::RemoteAddressMatch(_) => {
            return Err(Wrong::at(&path.field("remote_address_match"), "is not supported"));
        }
    })
}
