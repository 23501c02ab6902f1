//! What a worker reads: whole, immutable, indexed.
use crate::{name::WorkloadUid, workload::Workload};
use std::{collections::HashMap, net::IpAddr, sync::Arc};

/// Every workload known to the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    by_uid: HashMap<WorkloadUid, Arc<Workload>>,
    by_ip: HashMap<IpAddr, Arc<Workload>>,
}

/// Two workloads that claim one address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{first} and {second} both have the address {ip}")]
pub struct SameIp {
    pub ip: IpAddr,
    pub first: WorkloadUid,
    pub second: WorkloadUid,
}

impl Snapshot {
    /// Indexes `workloads`.
    ///
    /// # Errors
    ///
    /// When two claim one address: who is meant could not be told.
    pub fn build(workloads: impl IntoIterator<Item = Arc<Workload>>) -> Result<Self, SameIp> {
        let mut built = Self::default();
        for workload in workloads {
            for ip in workload.ips.iter() {
                if let Some(first) = built.by_ip.insert(ip, Arc::clone(&workload)) {
                    let (first, second) = (first.uid.clone(), workload.uid.clone());
                    return Err(SameIp { ip, first, second });
                }
            }
            built.by_uid.insert(workload.uid.clone(), workload);
        }
        Ok(built)
    }

    /// The workload at `ip`; a v4-mapped address is looked up as IPv4.
    pub fn at(&self, ip: IpAddr) -> Option<&Arc<Workload>> {
        self.by_ip.get(&ip.to_canonical())
    }

    pub fn workload(&self, uid: &WorkloadUid) -> Option<&Arc<Workload>> {
        self.by_uid.get(uid)
    }

    /// In no order.
    pub fn workloads(&self) -> impl Iterator<Item = &Arc<Workload>> {
        self.by_uid.values()
    }
}
