//! Filters that there will be: each is named.
use super::{filter, http, of_filter};

/// Each with all that its own rules ask for.
const LATER: [&str; 14] = [
    "jwt_authn.v3.JwtAuthentication",
    "ext_authz.v3.ExtAuthz",
    "ext_proc.v3.ExternalProcessor",
    "ratelimit.v3.RateLimit, domain: d, rate_limit_service: {transport_api_version: V3, \
     grpc_service: {envoy_grpc: {cluster_name: c}}}",
    "compressor.v3.Compressor, compressor_library: {name: x, typed_config: {'@type': \
     type.googleapis.com/google.protobuf.Struct, value: {}}}",
    "decompressor.v3.Decompressor, decompressor_library: {name: x, typed_config: {'@type': \
     type.googleapis.com/google.protobuf.Struct, value: {}}}",
    "csrf.v3.CsrfPolicy, filter_enabled: {default_value: {numerator: 100}}",
    "basic_auth.v3.BasicAuth, users: {inline_string: 'a:{SHA}x'}",
    "api_key_auth.v3.ApiKeyAuth",
    "credential_injector.v3.CredentialInjector, credential: {name: x, typed_config: {'@type': \
     type.googleapis.com/google.protobuf.Struct, value: {}}}",
    "stateful_session.v3.StatefulSession",
    "wasm.v3.Wasm",
    "lua.v3.Lua",
    "oauth2.v3.OAuth2",
];

#[test]
fn filters_that_come_later_are_named() {
    for (prefix, name) in filter::LATER {
        let of_it = LATER.iter().find(|filter| filter.starts_with(prefix));
        let of_it = of_it.unwrap_or_else(|| panic!("no configuration of {name} here"));
        assert_eq!(
            of_filter(&http(of_it)),
            format!(
                "http_filters[0].typed_config: {name} comes later; this version has no such filter"
            )
        );
    }
}
