//! `load_balancing_policy`: the first of its list that we know.
use super::{
    super::{
        Got, Path, Wrong,
        basic::{each, flag, inner, known, must, number, open, runtime_double},
    },
    bias, maglev, ring, zone_aware,
};
use culvert_model::http::balance::{
    Balance, Consistent, Fallback, HashFunction, LeastRequest, LocalityMode, Policy, ScaleWeights,
    Selector, SelectorFallback, SlowStart, Subsets,
};
use culvert_proto::api::envoy::{
    config::cluster::v3::LoadBalancingPolicy,
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
        subset::v3::{
            Subset as SubsetPb,
            subset::{
                LbSubsetFallbackPolicy, LbSubsetMetadataFallbackPolicy, LbSubsetSelector,
                lb_subset_selector::LbSubsetSelectorFallbackPolicy,
            },
        },
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
            balance.subsets = Some(Arc::new(subsets(&value, path)?));
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

fn slow_start(value: &Option<SlowStartConfig>, path: &Path<'_>) -> Got<Option<SlowStart>> {
    let Some(value) = value else { return Ok(None) };
    let path = path.field("slow_start_config");
    let window = super::duration(&value.slow_start_window, &path.field("slow_start_window"))?;
    Ok(window.filter(|window| !window.is_zero()).map(|window| SlowStart {
        window,
        aggression: value.aggression.as_ref().map_or_else(|| 1.0.into(), runtime_double),
        min_weight: value.min_weight_percent.as_ref().map_or(10.0, |percent| percent.value),
    }))
}

/// The same numbers as those of `lb_subset_config`, in messages of their own.
fn subsets(value: &SubsetPb, path: &Path<'_>) -> Got<Subsets> {
    let fallback = match known(value.fallback_policy, &path.field("fallback_policy"))? {
        LbSubsetFallbackPolicy::NoFallback => Fallback::None,
        LbSubsetFallbackPolicy::AnyEndpoint => Fallback::AnyEndpoint,
        LbSubsetFallbackPolicy::DefaultSubset => Fallback::DefaultSubset,
    };
    let metadata_fallback =
        value.metadata_fallback_policy == i32::from(LbSubsetMetadataFallbackPolicy::FallbackList);
    Ok(Subsets {
        fallback,
        default: super::fields(&value.default_subset).into(),
        selectors: each(&value.subset_selectors, &path.field("subset_selectors"), selector)?,
        locality_weights: value.locality_weight_aware.then_some(if value.scale_locality_weight {
            ScaleWeights::Yes
        } else {
            ScaleWeights::No
        }),
        panic_mode_any: value.panic_mode_any,
        list_as_any: value.list_as_any,
        metadata_fallback,
    })
}

fn selector(value: &LbSubsetSelector, path: &Path<'_>) -> Got<Selector> {
    let policy: LbSubsetSelectorFallbackPolicy =
        known(value.fallback_policy, &path.field("fallback_policy"))?;
    let same = culvert_proto::api::envoy::config::cluster::v3::cluster::lb_subset_config::LbSubsetSelector {
        keys: value.keys.clone(),
        single_host_per_subset: value.single_host_per_subset,
        fallback_policy: policy.into(),
        fallback_keys_subset: value.fallback_keys_subset.clone(),
    };
    let selector = super::selector(&same, path)?;
    debug_assert!(
        policy != LbSubsetSelectorFallbackPolicy::NotDefined
            || selector.fallback == SelectorFallback::Inherited
    );
    Ok(selector)
}
