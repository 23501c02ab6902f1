//! `load_balancing_policy`: the first of its list that we know.
use super::{
    super::{
        Got, Path, Wrong,
        basic::{flag, inner, known, must, number, open},
    },
    bias, maglev, ring, subsets, zone_aware,
};
use culvert_model::http::balance::{
    Balance, Consistent, HashFunction, LeastRequest, LocalityMode, Policy, SlowStart,
};
use culvert_proto::api::envoy::{
    config::cluster::v3::{
        LoadBalancingPolicy,
        cluster::{LbSubsetConfig, SlowStartConfig as SlowStartPb},
    },
    extensions::load_balancing_policies::{
        client_side_weighted_round_robin::v3::ClientSideWeightedRoundRobin,
        common::v3::{
            ConsistentHashingLbConfig, LocalityLbConfig, SlowStartConfig,
            locality_lb_config::LocalityConfigSpecifier,
        },
        least_request::v3::{LeastRequest as LeastRequestPb, least_request::SelectionMethod},
        maglev::v3::Maglev as MaglevPb,
        random::v3::Random as RandomPb,
        ring_hash::v3::{RingHash as RingHashPb, ring_hash},
        round_robin::v3::RoundRobin as RoundRobinPb,
        subset::v3::Subset as SubsetPb,
        wrr_locality::v3::WrrLocality,
    },
};
use std::sync::Arc;

const PACKAGE: &str = "envoy.extensions.load_balancing_policies.";

pub(super) fn decode(
    balance: &mut Balance,
    value: &LoadBalancingPolicy,
    path: &Path<'_>,
) -> Got<()> {
    let path = path.field("policies");
    let mut unknown = Vec::new();
    for (i, policy) in value.policies.iter().enumerate() {
        let path = path.index(i);
        let path = path.field("typed_extension_config");
        let extension = must(&policy.typed_extension_config, &path)?;
        let path = path.field("typed_config");
        let (kind, bytes) = open(must(&extension.typed_config, &path)?, &path)?;
        if one(balance, &kind, &bytes, &path)? {
            return Ok(());
        }
        unknown.push(kind.into_owned());
    }
    Err(Wrong::at(&path, format!("none of these is known: {}", unknown.join(", "))))
}

/// Whether the policy is known.
fn one(balance: &mut Balance, kind: &str, bytes: &[u8], path: &Path<'_>) -> Got<bool> {
    match kind.strip_prefix(PACKAGE).unwrap_or_default() {
        "round_robin.v3.RoundRobin" => {
            let value: RoundRobinPb = inner(bytes, path)?;
            balance.policy =
                Policy::RoundRobin { slow_start: slow_start(&value.slow_start_config, path)? };
            locality(balance, &value.locality_lb_config);
        }
        "least_request.v3.LeastRequest" => {
            let value: LeastRequestPb = inner(bytes, path)?;
            let method = known(value.selection_method, &path.field("selection_method"))?;
            let full_scan = match method {
                SelectionMethod::NChoices => flag(&value.enable_full_scan, false),
                SelectionMethod::FullScan => true,
            };
            balance.policy = Policy::LeastRequest(LeastRequest {
                choices: number(&value.choice_count).unwrap_or(2),
                full_scan,
                active_bias: bias(&value.active_request_bias),
                slow_start: slow_start(&value.slow_start_config, path)?,
            });
            locality(balance, &value.locality_lb_config);
        }
        "random.v3.Random" => {
            let value: RandomPb = inner(bytes, path)?;
            balance.policy = Policy::Random;
            locality(balance, &value.locality_lb_config);
        }
        "ring_hash.v3.RingHash" => ring_hash(balance, &inner(bytes, path)?, path)?,
        "maglev.v3.Maglev" => {
            let value: MaglevPb = inner(bytes, path)?;
            balance.policy = Policy::Maglev(maglev(&value.table_size, path)?);
            consistent(balance, &value.consistent_hashing_lb_config);
            if value.locality_weighted_lb_config.is_some() {
                balance.locality = LocalityMode::Weighted;
            }
        }
        "cluster_provided.v3.ClusterProvided" => balance.policy = Policy::ClusterProvided,
        "client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin" => {
            // Endpoints that report no load are weighted as they are.
            let value: ClientSideWeightedRoundRobin = inner(bytes, path)?;
            balance.policy =
                Policy::RoundRobin { slow_start: slow_start(&value.slow_start_config, path)? };
        }
        "wrr_locality.v3.WrrLocality" => {
            let value: WrrLocality = inner(bytes, path)?;
            let path = path.field("endpoint_picking_policy");
            decode(balance, must(&value.endpoint_picking_policy, &path)?, &path)?;
            balance.locality = LocalityMode::Weighted;
        }
        "subset.v3.Subset" => {
            let value: SubsetPb = inner(bytes, path)?;
            // It has the fields of `lb_subset_config`, under the same numbers.
            let same: LbSubsetConfig = inner(bytes, path)?;
            balance.subsets = Some(Arc::new(subsets(&same, path)?));
            let path = path.field("subset_lb_policy");
            decode(balance, must(&value.subset_lb_policy, &path)?, &path)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn ring_hash(balance: &mut Balance, value: &RingHashPb, path: &Path<'_>) -> Got<()> {
    let function = match known(value.hash_function, &path.field("hash_function"))? {
        ring_hash::HashFunction::DefaultHash | ring_hash::HashFunction::XxHash => {
            HashFunction::XxHash
        }
        ring_hash::HashFunction::MurmurHash2 => HashFunction::Murmur2,
    };
    let ring = ring(&value.minimum_ring_size, &value.maximum_ring_size, function, path)?;
    balance.policy = Policy::RingHash(ring);
    // The deprecated place.
    if value.use_hostname_for_hashing || value.hash_balance_factor.is_some() {
        balance.consistent = Consistent {
            by_hostname: value.use_hostname_for_hashing,
            bounded_load: number(&value.hash_balance_factor).filter(|factor| *factor != 0),
        };
    }
    consistent(balance, &value.consistent_hashing_lb_config);
    if value.locality_weighted_lb_config.is_some() {
        balance.locality = LocalityMode::Weighted;
    }
    Ok(())
}

fn consistent(balance: &mut Balance, value: &Option<ConsistentHashingLbConfig>) {
    if let Some(value) = value {
        balance.consistent = Consistent {
            by_hostname: value.use_hostname_for_hashing,
            bounded_load: number(&value.hash_balance_factor).filter(|factor| *factor != 0),
        };
    }
}

fn locality(balance: &mut Balance, value: &Option<LocalityLbConfig>) {
    let specifier = value.as_ref().and_then(|value| value.locality_config_specifier.as_ref());
    match specifier {
        None => {}
        Some(LocalityConfigSpecifier::LocalityWeightedLbConfig(_)) => {
            balance.locality = LocalityMode::Weighted;
        }
        Some(LocalityConfigSpecifier::ZoneAwareLbConfig(of)) => {
            let of =
                zone_aware(&of.routing_enabled, &of.min_cluster_size, of.fail_traffic_on_panic);
            balance.locality = LocalityMode::ZoneAware(of);
        }
    }
}

/// The same in another place.
fn slow_start(value: &Option<SlowStartConfig>, path: &Path<'_>) -> Got<Option<SlowStart>> {
    let same = value.as_ref().map(|value| SlowStartPb {
        slow_start_window: value.slow_start_window,
        aggression: value.aggression.clone(),
        min_weight_percent: value.min_weight_percent,
    });
    super::slow_start(&same, path)
}
