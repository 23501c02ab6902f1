//! What browsers are told of other sites.
use super::super::{
    Got, Path,
    basic::{each, flag, runtime_fraction, some},
    text::string,
};
use culvert_model::http::{
    cors::Cors,
    matcher::{Fraction, RuntimeFraction},
};
use culvert_proto::api::envoy::{
    config::{
        core::v3::RuntimeFractionalPercent,
        route::v3::{CorsPolicy as RouteCors, cors_policy::EnabledSpecifier},
    },
    extensions::filters::http::cors::v3::CorsPolicy,
};

pub(super) fn decode(value: &CorsPolicy, path: &Path<'_>) -> Got<Cors> {
    let at = path.field("allow_origin_string_match");
    let (enabled, shadow) = shares(&value.filter_enabled, &value.shadow_enabled, path)?;
    Ok(Cors {
        origins: each(&value.allow_origin_string_match, &at, string)?,
        methods: some(&value.allow_methods),
        headers: some(&value.allow_headers),
        expose: some(&value.expose_headers),
        max_age: some(&value.max_age),
        credentials: flag(&value.allow_credentials, false),
        private_network: flag(&value.allow_private_network_access, false),
        enabled,
        shadow,
        forward_other_preflights: flag(&value.forward_not_matching_preflights, true),
    })
}

/// The same in its deprecated place.
pub(in super::super) fn of_route(value: &RouteCors, path: &Path<'_>) -> Got<Cors> {
    let at = path.field("allow_origin_string_match");
    let enabled = value.enabled_specifier.as_ref();
    let enabled = enabled.map(|EnabledSpecifier::FilterEnabled(enabled)| enabled.clone());
    let (enabled, shadow) = shares(&enabled, &value.shadow_enabled, path)?;
    Ok(Cors {
        origins: each(&value.allow_origin_string_match, &at, string)?,
        methods: some(&value.allow_methods),
        headers: some(&value.allow_headers),
        expose: some(&value.expose_headers),
        max_age: some(&value.max_age),
        credentials: flag(&value.allow_credentials, false),
        private_network: flag(&value.allow_private_network_access, false),
        enabled,
        shadow,
        forward_other_preflights: flag(&value.forward_not_matching_preflights, true),
    })
}

fn shares(
    enabled: &Option<RuntimeFractionalPercent>,
    shadow: &Option<RuntimeFractionalPercent>,
    path: &Path<'_>,
) -> Got<(RuntimeFraction, Option<RuntimeFraction>)> {
    let enabled = match enabled {
        Some(value) => runtime_fraction(value, &path.field("filter_enabled"))?,
        None => Fraction::ALWAYS.into(),
    };
    let shadow = match shadow {
        Some(value) => Some(runtime_fraction(value, &path.field("shadow_enabled"))?),
        None => None,
    };
    Ok((enabled, shadow))
}
