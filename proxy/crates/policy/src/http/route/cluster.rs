//! Which cluster a route that forwards means.
use std::sync::Arc;

use culvert_model::http::{
    field::Field,
    route::{
        ClusterChoice, Forward, Mirror, MirrorCluster, Weighted, WeightedCluster, WeightedName,
    },
};

use super::runtime_weight;
use crate::http::facts::{Asking, Fields, Head};

/// A cluster, and what else its choice says.
#[derive(Clone, Debug)]
pub struct Named<'a> {
    pub cluster: Arc<str>,
    /// The one of several that was chosen.
    pub weighted: Option<&'a WeightedCluster>,
}

/// The cluster that a request goes to; `None` if a header should name it and does not.
///
/// `hash` is the request's, for choices by hash.
#[must_use]
pub fn cluster<'a>(
    forward: &'a Forward,
    asking: &Asking<'_>,
    hash: Option<u64>,
) -> Option<Named<'a>> {
    match &forward.cluster {
        ClusterChoice::Named(name) => Some(Named { cluster: Arc::clone(name), weighted: None }),
        ClusterChoice::Header(name) => {
            Some(Named { cluster: named_by(name, &asking.head)?, weighted: None })
        }
        ClusterChoice::Weighted(weighted) => {
            let chosen = weigh(weighted, asking, hash)?;
            let cluster = match &chosen.cluster {
                WeightedName::Named(name) => Arc::clone(name),
                WeightedName::Header(name) => named_by(name, &asking.head)?,
            };
            Some(Named { cluster, weighted: Some(chosen) })
        }
    }
}

/// The cluster that a copy goes to.
#[must_use]
pub fn mirror_cluster(mirror: &Mirror, head: &Head<'_>) -> Option<Arc<str>> {
    match &mirror.cluster {
        MirrorCluster::Named(name) => Some(Arc::clone(name)),
        MirrorCluster::Header(name) => named_by(name, head),
    }
}

fn named_by(name: &Field, head: &Head<'_>) -> Option<Arc<str>> {
    let value = std::str::from_utf8(head.first(name)?).ok()?;
    (!value.is_empty()).then(|| value.into())
}

fn weigh<'a>(
    weighted: &'a Weighted,
    asking: &Asking<'_>,
    hash: Option<u64>,
) -> Option<&'a WeightedCluster> {
    let by_hash = if weighted.by_hash { hash } else { None };
    let by_header = weighted.dice_header.as_ref().and_then(|name| dice_of(name, &asking.head));
    let dice = by_hash.or(by_header).unwrap_or(asking.dice);
    let Some(prefix) = &weighted.runtime_prefix else {
        return pick(weighted, dice % weighted.total.max(1), |one| u64::from(one.weight));
    };
    let weight = |one: &WeightedCluster| {
        let overridden = match &one.cluster {
            WeightedName::Named(name) => runtime_weight(prefix, name, asking.runtime),
            WeightedName::Header(_) => None,
        };
        overridden.unwrap_or_else(|| u64::from(one.weight))
    };
    let total: u64 = weighted.clusters.iter().map(weight).sum();
    pick(weighted, dice.checked_rem(total)?, weight)
}

fn pick(
    weighted: &Weighted,
    mut left: u64,
    weight: impl Fn(&WeightedCluster) -> u64,
) -> Option<&WeightedCluster> {
    weighted.clusters.iter().find(|one| {
        let weight = weight(one);
        let chosen = left < weight;
        left = left.saturating_sub(weight);
        chosen
    })
}

/// A header's number, if it is there once.
fn dice_of(name: &Field, head: &Head<'_>) -> Option<u64> {
    if let Field::Header(name) = name
        && head.headers.get_all(name).iter().count() != 1
    {
        return None;
    }
    std::str::from_utf8(head.first(name)?).ok()?.trim().parse().ok()
}
