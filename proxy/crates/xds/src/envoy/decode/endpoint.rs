//! The endpoints of a cluster.
use super::{
    Got, Path, Wrong,
    basic::{address, each, fraction, known, must, number, port},
    value::metadata,
};
use culvert_model::{
    http::{
        address::Address,
        endpoint::{Assignment, Drop, Endpoint, EndpointCheck, HealthStatus, LocalityEndpoints},
    },
    locality::Locality,
};
use culvert_proto::api::envoy::config::{
    core::v3 as core,
    endpoint::v3::{self as pb, lb_endpoint::HostIdentifier, locality_lb_endpoints::LbConfig},
};
use std::{num::NonZeroU32, sync::Arc};

/// Envoy's.
const OVERPROVISIONING: u32 = 140;

/// Whether an address may be a name that is to be resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    Allowed,
    Refused,
}

pub(super) fn decode(
    value: &pb::ClusterLoadAssignment,
    path: &Path<'_>,
    names: Names,
) -> Got<Assignment> {
    if !value.named_endpoints.is_empty() {
        return Err(Wrong::at(&path.field("named_endpoints"), "is not supported"));
    }
    let at = path.field("endpoints");
    let localities = each(&value.endpoints, &at, |value, path| locality(value, path, names))?;
    whole_priorities(&localities, &at)?;
    let policy = value.policy.as_ref();
    let drops = policy.map_or(&[][..], |policy| &policy.drop_overloads);
    let at = path.field("policy");
    Ok(Assignment {
        name: value.cluster_name.as_str().into(),
        localities,
        overprovisioning: policy
            .and_then(|policy| number(&policy.overprovisioning_factor))
            .unwrap_or(OVERPROVISIONING),
        drops: each(drops, &at.field("drop_overloads"), |drop, path| {
            let at = path.field("drop_percentage");
            Ok(Drop {
                category: drop.category.as_str().into(),
                fraction: fraction(must(&drop.drop_percentage, &at)?, &at)?,
            })
        })?,
        weighted_priority_health: policy.is_some_and(|policy| policy.weighted_priority_health),
    })
}

/// As in Envoy, a locality is there once for each priority, and no priority is left out.
fn whole_priorities(localities: &Arc<[LocalityEndpoints]>, path: &Path<'_>) -> Got<()> {
    let mut priorities: Vec<u32> = localities.iter().map(|locality| locality.priority).collect();
    priorities.sort_unstable();
    priorities.dedup();
    let expected = (0..).zip(&priorities).find(|(expected, found)| expected != *found);
    match expected {
        None => Ok(()),
        Some((expected, found)) => {
            let what = format!("there is priority {found}, but no priority {expected}");
            Err(Wrong::at(path, what))
        }
    }
}

fn locality(
    value: &pb::LocalityLbEndpoints,
    path: &Path<'_>,
    names: Names,
) -> Got<LocalityEndpoints> {
    let (endpoints, field) = match &value.lb_config {
        None => (&value.lb_endpoints, "lb_endpoints"),
        Some(LbConfig::LoadBalancerEndpoints(list)) => {
            (&list.lb_endpoints, "load_balancer_endpoints")
        }
        Some(LbConfig::LedsClusterLocalityConfig(_)) => {
            let path = path.field("leds_cluster_locality_config");
            return Err(Wrong::at(&path, "is not supported; give lb_endpoints"));
        }
    };
    let of = value.locality.as_ref();
    let part = |part: fn(&core::Locality) -> &String| of.map_or("", |of| part(of)).into();
    Ok(LocalityEndpoints {
        locality: Locality {
            region: part(|of| &of.region),
            zone: part(|of| &of.zone),
            subzone: part(|of| &of.sub_zone),
        },
        priority: value.priority,
        weight: number(&value.load_balancing_weight).and_then(NonZeroU32::new),
        metadata: metadata(&value.metadata),
        endpoints: each(endpoints, &path.field(field), |value, path| {
            endpoint(value, path, names).map(Arc::new)
        })?,
    })
}

fn endpoint(value: &pb::LbEndpoint, path: &Path<'_>, names: Names) -> Got<Endpoint> {
    let health = match known(value.health_status, &path.field("health_status"))? {
        core::HealthStatus::Unknown => HealthStatus::Unknown,
        core::HealthStatus::Healthy => HealthStatus::Healthy,
        core::HealthStatus::Unhealthy => HealthStatus::Unhealthy,
        core::HealthStatus::Draining => HealthStatus::Draining,
        core::HealthStatus::Timeout => HealthStatus::Timeout,
        core::HealthStatus::Degraded => HealthStatus::Degraded,
    };
    let inner = match must(&value.host_identifier, path)? {
        HostIdentifier::Endpoint(inner) => inner,
        HostIdentifier::EndpointName(_) => {
            return Err(Wrong::at(&path.field("endpoint_name"), "is not supported"));
        }
    };
    let path = path.field("endpoint");
    let resolve = |value: &core::Address, path: &Path<'_>| match (address(value, path)?, names) {
        (Address::Name { host, .. }, Names::Refused) => {
            let path = path.field("socket_address");
            let what = format!(
                "{host:?} is not an IP address; names need a cluster of type STRICT_DNS or \
                 LOGICAL_DNS"
            );
            Err(Wrong::at(&path.field("address"), what))
        }
        (address, _) => Ok(address),
    };
    let at = path.field("address");
    let more = path.field("additional_addresses");
    Ok(Endpoint {
        address: resolve(must(&inner.address, &at)?, &at)?,
        more_addresses: each(&inner.additional_addresses, &more, |value, path| {
            let at = path.field("address");
            resolve(must(&value.address, &at)?, &at)
        })?,
        hostname: inner.hostname.as_str().into(),
        health,
        weight: number(&value.load_balancing_weight)
            .and_then(NonZeroU32::new)
            .unwrap_or(NonZeroU32::MIN),
        metadata: metadata(&value.metadata),
        check: check(inner, &path)?,
    })
}

fn check(value: &pb::Endpoint, path: &Path<'_>) -> Got<EndpointCheck> {
    let Some(of) = &value.health_check_config else { return Ok(EndpointCheck::default()) };
    let path = path.field("health_check_config");
    let at = path.field("address");
    Ok(EndpointCheck {
        disabled: of.disable_active_health_check,
        port: Some(port(of.port_value, &path.field("port_value"))?).filter(|port| *port != 0),
        address: match &of.address {
            Some(of) => Some(address(of, &at)?),
            None => None,
        },
        hostname: of.hostname.as_str().into(),
    })
}
