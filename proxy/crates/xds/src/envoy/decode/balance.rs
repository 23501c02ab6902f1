//! How requests are spread over endpoints, in both of its forms.
use super::{
    Got, Path, Wrong,
    basic::{duration, known, number, runtime_double, some},
    value::fields,
};
use culvert_model::http::{
    balance::{
        Balance, Consistent, Fallback, HashFunction, LeastRequest, LocalityMode, Maglev, Policy,
        RingHash, ScaleWeights, Selector, SelectorFallback, SlowStart, Subsets, ZoneAware,
    },
    matcher::RuntimeNumber,
};
use culvert_proto::api::{
    envoy::{
        config::cluster::v3::{
            self as pb,
            cluster::{
                self, LbConfig, LbPolicy,
                common_lb_config::LocalityConfigSpecifier,
                lb_subset_config::{
                    LbSubsetFallbackPolicy, LbSubsetMetadataFallbackPolicy, LbSubsetSelector,
                    lb_subset_selector::LbSubsetSelectorFallbackPolicy,
                },
                ring_hash_lb_config,
            },
        },
        r#type::v3::Percent,
    },
    google::protobuf as well_known,
};
use std::sync::Arc;

mod extension;

/// Maglev's tables must not be larger.
const LARGEST_TABLE: u64 = 5_000_011;

pub(super) fn decode(value: &pb::Cluster, path: &Path<'_>) -> Got<Balance> {
    let mut balance = Balance::default();
    if let Some(common) = &value.common_lb_config {
        shared(&mut balance, common, &path.field("common_lb_config"))?;
    }
    if let Some(policies) = &value.load_balancing_policy {
        extension::decode(&mut balance, policies, &path.field("load_balancing_policy"))?;
        return Ok(balance);
    }
    balance.policy = match known(value.lb_policy, &path.field("lb_policy"))? {
        LbPolicy::RoundRobin => Policy::RoundRobin {
            slow_start: match &value.lb_config {
                Some(LbConfig::RoundRobinLbConfig(of)) => {
                    slow_start(&of.slow_start_config, &path.field("round_robin_lb_config"))?
                }
                _ => None,
            },
        },
        LbPolicy::LeastRequest => Policy::LeastRequest(match &value.lb_config {
            Some(LbConfig::LeastRequestLbConfig(of)) => {
                let path = path.field("least_request_lb_config");
                LeastRequest {
                    choices: number(&of.choice_count).unwrap_or(2),
                    full_scan: false,
                    active_bias: bias(&of.active_request_bias),
                    slow_start: slow_start(&of.slow_start_config, &path)?,
                }
            }
            _ => LeastRequest::default(),
        }),
        LbPolicy::Random => Policy::Random,
        LbPolicy::RingHash => Policy::RingHash(match &value.lb_config {
            Some(LbConfig::RingHashLbConfig(of)) => {
                let path = path.field("ring_hash_lb_config");
                let function = match known(of.hash_function, &path.field("hash_function"))? {
                    ring_hash_lb_config::HashFunction::XxHash => HashFunction::XxHash,
                    ring_hash_lb_config::HashFunction::MurmurHash2 => HashFunction::Murmur2,
                };
                ring(&of.minimum_ring_size, &of.maximum_ring_size, function, &path)?
            }
            _ => RingHash::default(),
        }),
        LbPolicy::Maglev => Policy::Maglev(match &value.lb_config {
            Some(LbConfig::MaglevLbConfig(of)) => {
                maglev(&of.table_size, &path.field("maglev_lb_config"))?
            }
            _ => Maglev::default(),
        }),
        LbPolicy::ClusterProvided => Policy::ClusterProvided,
        LbPolicy::LoadBalancingPolicyConfig => {
            return Err(Wrong::at(&path.field("load_balancing_policy"), "not set"));
        }
    };
    if let Some(value) = &value.lb_subset_config
        && !value.subset_selectors.is_empty()
    {
        let path = path.field("lb_subset_config");
        balance.subsets = Some(Arc::new(subsets(value, &path)?));
    }
    Ok(balance)
}

fn shared(balance: &mut Balance, value: &cluster::CommonLbConfig, path: &Path<'_>) -> Got<()> {
    if let Some(percent) = &value.healthy_panic_threshold {
        balance.panic_threshold = percent.value;
    }
    if let Some(window) = duration(&value.update_merge_window, &path.field("update_merge_window"))?
    {
        balance.merge_window = window;
    }
    balance.ignore_new_until_checked = value.ignore_new_hosts_until_first_hc;
    if let Some(of) = &value.consistent_hashing_lb_config {
        balance.consistent = Consistent {
            by_hostname: of.use_hostname_for_hashing,
            bounded_load: number(&of.hash_balance_factor).filter(|factor| *factor != 0),
        };
    }
    balance.locality = match &value.locality_config_specifier {
        // As Envoy has it: without a word, zones are looked at.
        None => LocalityMode::Flat,
        Some(LocalityConfigSpecifier::LocalityWeightedLbConfig(_)) => LocalityMode::Weighted,
        Some(LocalityConfigSpecifier::ZoneAwareLbConfig(of)) => LocalityMode::ZoneAware(
            zone_aware(&of.routing_enabled, &of.min_cluster_size, of.fail_traffic_on_panic),
        ),
    };
    Ok(())
}

fn zone_aware(
    enabled: &Option<Percent>,
    minimum: &Option<well_known::UInt64Value>,
    fail_on_panic: bool,
) -> ZoneAware {
    ZoneAware {
        routing_enabled: RuntimeNumber {
            default: enabled.as_ref().map_or(100.0, |percent| percent.value),
            key: some("upstream.zone_routing.enabled"),
        },
        minimum: RuntimeNumber {
            default: minimum.as_ref().map_or(6, |value| value.value),
            key: some("upstream.zone_routing.min_cluster_size"),
        },
        fail_on_panic,
    }
}

fn bias(
    value: &Option<culvert_proto::api::envoy::config::core::v3::RuntimeDouble>,
) -> RuntimeNumber<f64> {
    value.as_ref().map_or_else(|| LeastRequest::default().active_bias, runtime_double)
}

fn slow_start(value: &Option<cluster::SlowStartConfig>, path: &Path<'_>) -> Got<Option<SlowStart>> {
    let Some(value) = value else { return Ok(None) };
    let path = path.field("slow_start_config");
    let window = duration(&value.slow_start_window, &path.field("slow_start_window"))?;
    Ok(window.filter(|window| !window.is_zero()).map(|window| SlowStart {
        window,
        aggression: value.aggression.as_ref().map_or_else(|| 1.0.into(), runtime_double),
        min_weight: value.min_weight_percent.as_ref().map_or(10.0, |percent| percent.value),
    }))
}

fn ring(
    minimum: &Option<well_known::UInt64Value>,
    maximum: &Option<well_known::UInt64Value>,
    function: HashFunction,
    path: &Path<'_>,
) -> Got<RingHash> {
    let default = RingHash::default();
    let minimum = minimum.as_ref().map_or(default.minimum, |value| value.value);
    let maximum = maximum.as_ref().map_or(default.maximum, |value| value.value);
    if minimum > maximum {
        let what = format!("is {minimum}, above maximum_ring_size ({maximum})");
        return Err(Wrong::at(&path.field("minimum_ring_size"), what));
    }
    Ok(RingHash { minimum, maximum, function })
}

fn maglev(size: &Option<well_known::UInt64Value>, path: &Path<'_>) -> Got<Maglev> {
    let table_size = size.as_ref().map_or(Maglev::default().table_size, |value| value.value);
    let path = path.field("table_size");
    if table_size > LARGEST_TABLE {
        return Err(Wrong::at(&path, format!("must be at most {LARGEST_TABLE}")));
    }
    let is_prime = table_size > 1
        && (2..).take_while(|n| n * n <= table_size).all(|n| !table_size.is_multiple_of(n));
    if !is_prime {
        return Err(Wrong::at(&path, format!("must be a prime; {table_size} is none")));
    }
    Ok(Maglev { table_size })
}

fn subsets(value: &cluster::LbSubsetConfig, path: &Path<'_>) -> Got<Subsets> {
    let fallback = match known(value.fallback_policy, &path.field("fallback_policy"))? {
        LbSubsetFallbackPolicy::NoFallback => Fallback::None,
        LbSubsetFallbackPolicy::AnyEndpoint => Fallback::AnyEndpoint,
        LbSubsetFallbackPolicy::DefaultSubset => Fallback::DefaultSubset,
    };
    let metadata_fallback =
        value.metadata_fallback_policy == i32::from(LbSubsetMetadataFallbackPolicy::FallbackList);
    let at = path.field("subset_selectors");
    Ok(Subsets {
        fallback,
        default: fields(&value.default_subset).into(),
        selectors: super::basic::each(&value.subset_selectors, &at, selector)?,
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
    let sorted = |keys: &[String]| -> Box<[Arc<str>]> {
        let mut keys: Vec<Arc<str>> = keys.iter().map(|key| key.as_str().into()).collect();
        keys.sort();
        keys.dedup();
        keys.into()
    };
    let keys = sorted(&value.keys);
    let fallback = match known(value.fallback_policy, &path.field("fallback_policy"))? {
        LbSubsetSelectorFallbackPolicy::NotDefined => SelectorFallback::Inherited,
        LbSubsetSelectorFallbackPolicy::NoFallback => SelectorFallback::None,
        LbSubsetSelectorFallbackPolicy::AnyEndpoint => SelectorFallback::AnyEndpoint,
        LbSubsetSelectorFallbackPolicy::DefaultSubset => SelectorFallback::DefaultSubset,
        LbSubsetSelectorFallbackPolicy::KeysSubset => {
            let subset = sorted(&value.fallback_keys_subset);
            let path = path.field("fallback_keys_subset");
            if subset.is_empty() || subset.len() >= keys.len() {
                return Err(Wrong::at(&path, "must be some of keys, and not all of them"));
            }
            if let Some(key) = subset.iter().find(|key| !keys.contains(key)) {
                return Err(Wrong::at(&path, format!("{key:?} is not among keys")));
            }
            SelectorFallback::Keys(subset)
        }
    };
    if value.single_host_per_subset && keys.len() != 1 {
        let path = path.field("single_host_per_subset");
        return Err(Wrong::at(&path, "needs exactly one key"));
    }
    Ok(Selector { keys, fallback, single_host: value.single_host_per_subset })
}
