//! What a worker reads: whole, immutable, indexed.
use crate::{
    authz::join::{Authz, Policies},
    name::{ObjectName, WorkloadUid},
    workload::Workload,
};
use std::{collections::HashMap, net::IpAddr, sync::Arc};

/// Every workload known to the node, and who may talk to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    by_uid: HashMap<WorkloadUid, Arc<Workload>>,
    by_ip: HashMap<IpAddr, Arc<Workload>>,
    authz: HashMap<WorkloadUid, Arc<Authz>>,
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

    /// Joins `policies` to the workloads; `named` says which ones a workload names itself.
    #[must_use]
    pub fn with_policies<'a>(
        mut self,
        mut policies: Policies,
        named: impl Fn(&Workload) -> &'a [ObjectName],
    ) -> Self {
        self.authz = (self.by_uid.iter())
            .map(|(uid, workload)| {
                let authz = policies.join(&workload.name.namespace, named(workload));
                (uid.clone(), authz)
            })
            .collect();
        self
    }

    /// Who may talk to a workload.
    ///
    /// `None`: nobody has said so far, be it that the workload is unknown or that no policies were
    /// joined; whoever asks on behalf of an enrolled workload must refuse.
    pub fn authz(&self, uid: &WorkloadUid) -> Option<&Arc<Authz>> {
        self.authz.get(uid)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        addr::PodIps,
        authz::{Action, Authorization, Scope},
        identity::Identity,
        workload::Enrolment,
    };

    fn workload(namespace: &str, name: &str, ip: [u8; 4]) -> Arc<Workload> {
        let object = ObjectName::new(namespace, name);
        Arc::new(Workload {
            uid: WorkloadUid::pod("c", &object),
            name: object,
            identity: Identity::try_new("td", namespace, "sa").unwrap(),
            ips: PodIps::try_from_ips([ip.into()]).unwrap(),
            node: "n".into(),
            cluster: "c".into(),
            owner: name.into(),
            canonical_name: name.into(),
            canonical_revision: "latest".into(),
            app: name.into(),
            version: "latest".into(),
            enrolment: Enrolment::Enrolled,
        })
    }

    #[test]
    fn joins_policies_to_the_workloads_they_speak_of() {
        let cart = ObjectName::new("shop", "cart-only");
        let policy = Authorization {
            name: cart.clone(),
            scope: Scope::Selector,
            action: Action::Deny,
            dry_run: false,
            rules: Box::default(),
            origin: None,
        };
        let all = [workload("shop", "cart", [10, 0, 0, 1]), workload("shop", "web", [10, 0, 0, 2])];
        let named = [cart];
        let snapshot = Snapshot::build(all.clone()).unwrap().with_policies(
            Policies::new([Arc::new(policy)]),
            |workload| {
                if &*workload.name.name == "cart" { &named } else { &[] }
            },
        );
        let denies = |at: usize| snapshot.authz(&all[at].uid).map(|authz| authz.deny.len());
        assert_eq!((denies(0), denies(1)), (Some(1), Some(0)));
        assert_eq!(snapshot.authz(&WorkloadUid::new("unknown")), None);
        assert_eq!(Snapshot::build(all.clone()).unwrap().authz(&all[0].uid), None);
    }
}
