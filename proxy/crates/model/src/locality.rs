//! Where things run, and which endpoint is near enough.
use std::sync::Arc;

/// Where a workload runs; a part that is not known is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Locality {
    pub region: Arc<str>,
    pub zone: Arc<str>,
    pub subzone: Arc<str>,
}

/// How a service's connections are spread over its endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Balance {
    /// What source and endpoint should have in common, the most important first.
    pub preference: Box<[Nearness]>,
    pub mode: BalanceMode,
    pub health: HealthPolicy,
}

/// Something that two workloads may have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Nearness {
    Region,
    Zone,
    Subzone,
    Node,
    Cluster,
    Network,
}

/// What the preference means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BalanceMode {
    /// Nothing.
    #[default]
    Anywhere,
    /// Only endpoints with all of it in common.
    Strict,
    /// Those with the longest beginning of it in common.
    Failover,
    /// To the address that was dialled; no endpoint is chosen.
    Passthrough,
}

/// Which endpoints are chosen from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HealthPolicy {
    #[default]
    OnlyHealthy,
    AllowAll,
}
