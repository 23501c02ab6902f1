//! Who the client is.
use super::super::{
    Got, Path, Wrong,
    basic::{each, flag, inner, must, networks, open, status},
    header::name,
};
use culvert_model::http::{
    manager::{ClientAddress, Detection},
    matcher::Networks,
};
use culvert_proto::api::{
    envoy::extensions::{
        filters::network::http_connection_manager::v3 as pb,
        http::original_ip_detection::{custom_header::v3::CustomHeaderConfig, xff::v3::XffConfig},
    },
    google::protobuf::Any,
};
use std::sync::Arc;

pub(super) fn client(value: &pb::HttpConnectionManager, path: &Path<'_>) -> Got<ClientAddress> {
    let at = path.field("original_ip_detection_extensions");
    let detection: Arc<[Detection]> =
        each(&value.original_ip_detection_extensions, &at, |value, path| {
            let path = path.field("typed_config");
            let any = must(&value.typed_config, &path)?;
            detect(any, &path)
        })?;
    if !detection.is_empty() && flag(&value.use_remote_address, false) {
        return Err(Wrong::at(&at, "cannot be given beside use_remote_address"));
    }
    if !detection.is_empty() && value.xff_num_trusted_hops > 0 {
        return Err(Wrong::at(&at, "cannot be given beside xff_num_trusted_hops"));
    }
    if value.represent_ipv4_remote_address_as_ipv4_mapped_ipv6 {
        // What is written for such addresses would match nobody, a denial neither.
        let at = path.field("represent_ipv4_remote_address_as_ipv4_mapped_ipv6");
        let what = "not supported; an address of IPv4 is one: leave it out, and match it as such";
        return Err(Wrong::at(&at, what));
    }
    let internal = match &value.internal_address_config {
        Some(config) => {
            let path = path.field("internal_address_config");
            Some(networks(&config.cidr_ranges, &path.field("cidr_ranges"))?)
        }
        None => None,
    };
    Ok(ClientAddress {
        use_remote_address: flag(&value.use_remote_address, false),
        trusted_hops: value.xff_num_trusted_hops,
        skip_append: value.skip_xff_append,
        internal,
        detection,
    })
}

fn detect(any: &Any, path: &Path<'_>) -> Got<Detection> {
    let (kind, bytes) = open(any, path)?;
    match &*kind {
        "envoy.extensions.http.original_ip_detection.xff.v3.XffConfig" => {
            let value: XffConfig = inner(&bytes, path)?;
            let trusted = match &value.xff_trusted_cidrs {
                Some(trusted) => {
                    let path = path.field("xff_trusted_cidrs");
                    networks(&trusted.cidrs, &path.field("cidrs"))?
                }
                None => Networks::default(),
            };
            Ok(Detection::Xff {
                trusted_hops: value.xff_num_trusted_hops,
                trusted,
                skip_append: flag(&value.skip_xff_append, true),
            })
        }
        "envoy.extensions.http.original_ip_detection.custom_header.v3.CustomHeaderConfig" => {
            let value: CustomHeaderConfig = inner(&bytes, path)?;
            let reject = match &value.reject_with_status {
                Some(code) => {
                    let path = path.field("reject_with_status");
                    Some(status(u32::try_from(code.code).unwrap_or(0), &path)?)
                }
                None => None,
            };
            Ok(Detection::Header {
                name: name(&value.header_name, &path.field("header_name"))?,
                trusted: value.allow_extension_to_set_address_as_trusted,
                reject,
            })
        }
        kind => Err(Wrong::at(path, format!("no way {kind} to find the client is known"))),
    }
}
