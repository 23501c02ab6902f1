//! HTTP towards endpoints.
use super::super::{
    Got, Path, Wrong,
    basic::{inner, must, number, open, some},
    header, protocol,
};
use culvert_model::http::cluster::{HttpOptions, UpstreamVersion};
use culvert_proto::api::envoy::{
    config::cluster::v3::{self as pb, cluster::ClusterProtocolSelection},
    extensions::{
        filters::network::http_connection_manager::v3::{HttpFilter, http_filter::ConfigType},
        upstreams::http::v3::{
            HttpProtocolOptions,
            http_protocol_options::{
                UpstreamProtocolOptions, explicit_http_config::ProtocolConfig,
            },
        },
    },
};
use std::num::NonZeroU32;

/// Under which name they are given.
const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

pub(super) fn decode(value: &pb::Cluster, path: &Path<'_>) -> Got<HttpOptions> {
    let given = value.typed_extension_protocol_options.get(HTTP_OPTIONS);
    if let Some(any) = given {
        let path = path.field("typed_extension_protocol_options");
        let path = path.key(HTTP_OPTIONS);
        let (kind, bytes) = open(any, &path)?;
        if kind != HTTP_OPTIONS {
            return Err(Wrong::at(&path, format!("is of type {kind}")));
        }
        return given_options(&inner(&bytes, &path)?, &path);
    }
    // The deprecated places.
    let is_http2 = value.http2_protocol_options.is_some();
    let downstream =
        value.protocol_selection == i32::from(ClusterProtocolSelection::UseDownstreamProtocol);
    let mut common = protocol::common(
        &value.common_http_protocol_options,
        &path.field("common_http_protocol_options"),
    )?;
    if let Some(most) = number(&value.max_requests_per_connection) {
        common.max_requests_per_connection = NonZeroU32::new(most);
    }
    let sni = value.upstream_http_protocol_options.as_ref();
    Ok(HttpOptions {
        version: match (downstream, is_http2) {
            (true, _) => UpstreamVersion::AsDownstream,
            (false, true) => UpstreamVersion::Http2,
            (false, false) => UpstreamVersion::Http1,
        },
        http1: protocol::http1(&value.http_protocol_options, &path.field("http_protocol_options"))?,
        http2: protocol::http2(
            &value.http2_protocol_options,
            &path.field("http2_protocol_options"),
        )?,
        common,
        max_headers_kb: None,
        auto_sni: sni.is_some_and(|of| of.auto_sni),
        auto_san_validation: sni.is_some_and(|of| of.auto_san_validation),
        sni_header: None,
    })
}

#[expect(clippy::too_many_lines, reason = "one field after the other")]
fn given_options(value: &HttpProtocolOptions, path: &Path<'_>) -> Got<HttpOptions> {
    let is_codec = |filter: &HttpFilter| match &filter.config_type {
        Some(ConfigType::TypedConfig(any)) => {
            any.type_url.ends_with(".upstream_codec.v3.UpstreamCodec")
        }
        Some(ConfigType::ConfigDiscovery(_)) | None => false,
    };
    if !value.http_filters.iter().all(is_codec) {
        let what = "filters of the upstream side come later";
        return Err(Wrong::at(&path.field("http_filters"), what));
    }
    if value.outlier_detection.is_some() {
        return Err(Wrong::at(&path.field("outlier_detection"), "is not supported"));
    }
    let quic =
        |path: &Path<'_>| Wrong::at(&path.field("http3_protocol_options"), "HTTP/3 comes later");
    let (version, http1, http2) = match must(&value.upstream_protocol_options, path)? {
        UpstreamProtocolOptions::ExplicitHttpConfig(of) => {
            let path = path.field("explicit_http_config");
            match must(&of.protocol_config, &path)? {
                ProtocolConfig::HttpProtocolOptions(of) => {
                    (UpstreamVersion::Http1, Some(of.clone()), None)
                }
                ProtocolConfig::Http2ProtocolOptions(of) => {
                    (UpstreamVersion::Http2, None, Some(of.clone()))
                }
                ProtocolConfig::Http3ProtocolOptions(_) => return Err(quic(&path)),
            }
        }
        UpstreamProtocolOptions::UseDownstreamProtocolConfig(of) => (
            UpstreamVersion::AsDownstream,
            of.http_protocol_options.clone(),
            of.http2_protocol_options.clone(),
        ),
        UpstreamProtocolOptions::AutoConfig(of) => {
            if of.http3_protocol_options.is_some() {
                return Err(quic(&path.field("auto_config")));
            }
            let (http1, http2) = (&of.http_protocol_options, &of.http2_protocol_options);
            (UpstreamVersion::Auto, http1.clone(), http2.clone())
        }
    };
    let common = value.common_http_protocol_options.as_ref();
    let sni = value.upstream_http_protocol_options.as_ref();
    let header = sni.and_then(|of| some(&of.override_auto_sni_header));
    Ok(HttpOptions {
        version,
        http1: protocol::http1(&http1, &path.field("http_protocol_options"))?,
        http2: protocol::http2(&http2, &path.field("http2_protocol_options"))?,
        common: protocol::common(
            &value.common_http_protocol_options,
            &path.field("common_http_protocol_options"),
        )?,
        max_headers_kb: common.and_then(|of| number(&of.max_response_headers_kb)),
        auto_sni: sni.is_some_and(|of| of.auto_sni),
        auto_san_validation: sni.is_some_and(|of| of.auto_san_validation),
        sni_header: match header {
            Some(name) => {
                let path = path.field("upstream_http_protocol_options");
                Some(header::name(&name, &path.field("override_auto_sni_header"))?)
            }
            None => None,
        },
    })
}
