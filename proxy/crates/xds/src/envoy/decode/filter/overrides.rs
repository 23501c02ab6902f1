//! What routes and others say about filters.
use super::{
    super::{
        Around, Got, Path, Wrong,
        basic::{inner, must, open},
        rbac,
    },
    HTTP, cors, http, is_known,
    kinds::{buffer, mutations},
};
use culvert_model::http::filter::{HttpFilter, Override, OverrideConfig, PerFilter};
use culvert_proto::api::{
    envoy::{
        config::route::v3::{CorsPolicy as RouteCors, FilterConfig as RouteFilterConfig},
        extensions::filters::http::{
            buffer::v3 as buffer_pb, cors::v3 as cors_pb, header_mutation::v3 as mutation_pb,
            rbac::v3 as rbac_pb,
        },
    },
    google::protobuf::Any,
};
use std::{collections::HashMap, sync::Arc};

/// What routes and others say about filters, by their names.
pub(in super::super) fn overrides(
    values: &HashMap<String, Any>,
    path: &Path<'_>,
    around: &dyn Around,
) -> Got<PerFilter> {
    let path = path.field("typed_per_filter_config");
    let all = values.iter().filter_map(|(name, any)| {
        let path = path.key(name);
        match override_of(any, &path, around) {
            Ok(decoded) => decoded.map(|decoded| Ok((name.as_str().into(), decoded))),
            Err(wrong) => Some(Err(wrong)),
        }
    });
    Ok(PerFilter::new(all.collect::<Got<_>>()?))
}

fn override_of(any: &Any, path: &Path<'_>, around: &dyn Around) -> Got<Option<Override>> {
    let (kind, bytes) = open(any, path)?;
    if kind != "envoy.config.route.v3.FilterConfig" {
        let config = override_config(any, path, around)?;
        return Ok(Some(Override { disabled: None, config: Some(config) }));
    }
    let value: RouteFilterConfig = inner(&bytes, path)?;
    let is_empty = value.config.as_ref().is_none_or(|config| config.type_url.is_empty());
    let config = match &value.config {
        Some(config) if !is_empty => match override_config(config, &path.field("config"), around) {
            Err(_) if value.is_optional && !is_known(config) => return Ok(None),
            decoded => Some(decoded?),
        },
        _ => None,
    };
    Ok(Some(Override { disabled: Some(value.disabled), config }))
}

fn override_config(any: &Any, path: &Path<'_>, around: &dyn Around) -> Got<OverrideConfig> {
    let (kind, bytes) = open(any, path)?;
    let ours = kind.strip_prefix(HTTP).unwrap_or_default();
    Ok(match ours {
        "rbac.v3.RBACPerRoute" => {
            let value: rbac_pb::RbacPerRoute = inner(&bytes, path)?;
            OverrideConfig::Rbac(match &value.rbac {
                Some(value) => Some(Arc::new(rbac::http(value, &path.field("rbac"))?)),
                None => None,
            })
        }
        "cors.v3.CorsPolicy" => {
            let value: cors_pb::CorsPolicy = inner(&bytes, path)?;
            OverrideConfig::Cors(Arc::new(cors::decode(&value, path)?))
        }
        "header_mutation.v3.HeaderMutationPerRoute" => {
            let value: mutation_pb::HeaderMutationPerRoute = inner(&bytes, path)?;
            let decoded = mutations(&value.mutations, &path.field("mutations"))?;
            OverrideConfig::HeaderMutation(Arc::new(decoded))
        }
        "buffer.v3.BufferPerRoute" => {
            use buffer_pb::buffer_per_route::Override as Per;
            let value: buffer_pb::BufferPerRoute = inner(&bytes, path)?;
            OverrideConfig::Buffer(match must(&value.r#override, path)? {
                Per::Disabled(_) => None,
                Per::Buffer(value) => Some(buffer(value, &path.field("buffer"))?),
            })
        }
        _ if kind == "envoy.config.route.v3.CorsPolicy" => {
            let value: RouteCors = inner(&bytes, path)?;
            OverrideConfig::Cors(Arc::new(cors::of_route(&value, path)?))
        }
        // The same message, in chains and in routes.
        _ => match http(any, path, around)? {
            HttpFilter::Fault(fault) => OverrideConfig::Fault(fault),
            HttpFilter::LocalRateLimit(limit) => OverrideConfig::LocalRateLimit(limit),
            HttpFilter::SetFilterState(values) => OverrideConfig::SetFilterState(values),
            HttpFilter::Ignored => OverrideConfig::Ignored,
            HttpFilter::Router(_)
            | HttpFilter::Rbac(_)
            | HttpFilter::Cors
            | HttpFilter::HeaderMutation(_)
            | HttpFilter::HealthCheck(_)
            | HttpFilter::Buffer { .. }
            | HttpFilter::GrpcStats(_)
            | HttpFilter::GrpcWeb => {
                return Err(Wrong::at(path, format!("{kind} cannot be given for a route")));
            }
        },
    })
}
