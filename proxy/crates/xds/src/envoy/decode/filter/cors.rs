//! What browsers are told of other sites.
use super::super::{
    Got, Path,
    basic::{each, flag, runtime_fraction, some},
    text::string,
};
use culvert_model::http::{cors::Cors, matcher::Fraction};
use culvert_proto::api::envoy::{
    config::route::v3::{CorsPolicy as RouteCors, cors_policy::EnabledSpecifier},
    extensions::filters::http::cors::v3::CorsPolicy,
};

pub(super) fn decode(value: &CorsPolicy, path: &Path<'_>) -> Got<Cors> {
    let at = path.field("allow_origin_string_match");
    let share = |value: &Option<_>, name: &str| {
        value.as_ref().map(|value| runtime_fraction(value, &path.field(name))).transpose()
    };
    Ok(Cors {
        origins: each(&value.allow_origin_string_match, &at, string)?,
        methods: some(&value.allow_methods),
        headers: some(&value.allow_headers),
        expose: some(&value.expose_headers),
        max_age: some(&value.max_age),
        credentials: flag(&value.allow_credentials, false),
        private_network: flag(&value.allow_private_network_access, false),
        enabled: share(&value.filter_enabled, "filter_enabled")?
            .unwrap_or_else(|| Fraction::ALWAYS.into()),
        shadow: share(&value.shadow_enabled, "shadow_enabled")?,
        forward_other_preflights: flag(&value.forward_not_matching_preflights, true),
    })
}

/// The same in its deprecated place.
pub(in super::super) fn of_route(value: &RouteCors, path: &Path<'_>) -> Got<Cors> {
    let enabled = value.enabled_specifier.clone();
    let same = CorsPolicy {
        allow_origin_string_match: value.allow_origin_string_match.clone(),
        allow_methods: value.allow_methods.clone(),
        allow_headers: value.allow_headers.clone(),
        expose_headers: value.expose_headers.clone(),
        max_age: value.max_age.clone(),
        allow_credentials: value.allow_credentials,
        filter_enabled: enabled.map(|EnabledSpecifier::FilterEnabled(enabled)| enabled),
        shadow_enabled: value.shadow_enabled.clone(),
        allow_private_network_access: value.allow_private_network_access,
        forward_not_matching_preflights: value.forward_not_matching_preflights,
    };
    decode(&same, path)
}
