//! Which endpoint is next.
use crate::object::{
    fault::advice,
    istio::{
        headers::FieldName,
        percent::Percent,
        time::{AnyTime, Time},
    },
    spanned::Spanned,
};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadBalancer {
    pub simple: Option<Spanned<Simple>>,
    pub consistent_hash: Option<Spanned<ConsistentHash>>,
    pub locality_lb_setting: Option<Spanned<Locality>>,
    pub zone_aware_lb_setting: Option<Spanned<ZoneAware>>,
    pub warmup: Option<Spanned<Warmup>>,
    pub warmup_duration_secs: Option<Spanned<Time>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Simple {
    Unspecified,
    /// What `LEAST_REQUEST` was once called.
    LeastConn,
    Random,
    Passthrough,
    RoundRobin,
    LeastRequest,
}

/// The same endpoint for the same key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawHash")]
pub struct ConsistentHash {
    pub key: HashKey,
    pub table: HashTable,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    Header(FieldName),
    Cookie(Cookie),
    SourceIp,
    Query(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashTable {
    Ring { minimum: Option<u64> },
    Maglev { size: Option<u64> },
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Cookie {
    pub name: String,
    pub path: Option<String>,
    pub ttl: Option<AnyTime>,
    #[serde(default)]
    pub attributes: Vec<CookieAttribute>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CookieAttribute {
    pub name: String,
    #[serde(default)]
    pub value: String,
}

/// New endpoints get less at first.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Warmup {
    pub duration: Time,
    pub minimum_percent: Option<Percent>,
    pub aggression: Option<Aggression>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "f64")]
pub struct Aggression(pub f64);

/// Which endpoints are near.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Locality {
    pub enabled: Option<bool>,
    pub distribute: Vec<Spanned<Distribute>>,
    pub failover: Vec<Spanned<Failover>>,
    pub failover_priority: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Distribute {
    pub from: String,
    pub to: BTreeMap<String, u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Failover {
    pub from: String,
    pub to: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ZoneAware {
    pub enabled: Option<bool>,
    pub failover: Vec<Spanned<Failover>>,
    pub failover_priority: Vec<String>,
    pub min_cluster_size: Option<ClusterSize>,
}

/// So many endpoints at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u64")]
pub struct ClusterSize(pub u64);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawHash {
    http_header_name: Option<FieldName>,
    http_cookie: Option<Cookie>,
    use_source_ip: Option<bool>,
    http_query_parameter_name: Option<String>,
    ring_hash: Option<RawRing>,
    maglev: Option<RawMaglev>,
    minimum_ring_size: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawRing {
    minimum_ring_size: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawMaglev {
    table_size: Option<u64>,
}

impl TryFrom<RawHash> for ConsistentHash {
    type Error = String;

    fn try_from(raw: RawHash) -> Result<Self, String> {
        let mut keys = raw.http_header_name.map(HashKey::Header).into_iter().collect::<Vec<_>>();
        keys.extend(raw.http_cookie.map(HashKey::Cookie));
        keys.extend(raw.use_source_ip.filter(|use_it| *use_it).map(|_| HashKey::SourceIp));
        keys.extend(raw.http_query_parameter_name.map(HashKey::Query));
        let all = "httpHeaderName, httpCookie, useSourceIp and httpQueryParameterName";
        let Some(key) = keys.pop() else {
            return Err(advice("nothing says what is hashed", format_args!("write one of {all}")));
        };
        if !keys.is_empty() {
            return Err(advice(format_args!("only one of {all} can be set"), "keep one of them"));
        }
        let table = match (raw.ring_hash, raw.maglev) {
            (Some(_), Some(_)) => {
                let message = "only one of ringHash and maglev can be set";
                return Err(advice(message, "keep one of them"));
            }
            (None, Some(RawMaglev { table_size: size })) => HashTable::Maglev { size },
            (ring, None) => {
                let minimum = ring.and_then(|ring| ring.minimum_ring_size);
                HashTable::Ring { minimum: minimum.or(raw.minimum_ring_size) }
            }
        };
        Ok(Self { key, table })
    }
}

impl TryFrom<f64> for Aggression {
    type Error = String;

    fn try_from(aggression: f64) -> Result<Self, String> {
        let fits = aggression.is_finite() && aggression >= 0.0;
        fits.then_some(Self(aggression)).ok_or_else(|| "want a number that is not below 0".into())
    }
}

impl TryFrom<u64> for ClusterSize {
    type Error = String;

    fn try_from(size: u64) -> Result<Self, String> {
        (size > 0).then_some(Self(size)).ok_or_else(|| "want at least 1".into())
    }
}
