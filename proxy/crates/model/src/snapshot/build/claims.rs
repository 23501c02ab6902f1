//! Which workload is meant by an address.
use super::{Ips, Known};
use crate::{name::WorkloadUid, network::NetworkIp, shards::Shards};
use std::{collections::HashMap, sync::Arc};

/// By network and address, the workload that has it.
#[derive(Debug, Default)]
pub(super) struct Claims {
    winners: Arc<HashMap<Arc<str>, Ips>>,
    /// Everybody who claims an address that several do, in the order in which they came.
    contested: HashMap<NetworkIp, Vec<WorkloadUid>>,
}

type All = Shards<WorkloadUid, Arc<Known>>;

impl Claims {
    pub(super) fn winners(&self) -> Arc<HashMap<Arc<str>, Ips>> {
        Arc::clone(&self.winners)
    }

    /// `known`, which is among `all` by now, has `ip`, or still has it.
    pub(super) fn claim(&mut self, ip: &NetworkIp, known: &Arc<Known>, all: &All) {
        let uid = &known.member.uid;
        let holder = self.holder(ip).map(|holder| holder.member.uid.clone());
        if let Some(holder) = &holder
            && holder != uid
        {
            let claimants =
                self.contested.entry(ip.clone()).or_insert_with(|| vec![holder.clone()]);
            if !claimants.contains(uid) {
                claimants.push(uid.clone());
            }
        }
        match self.contested.get(ip) {
            Some(claimants) => {
                let winner = winner(claimants).and_then(|uid| all.get(uid)).map(Arc::clone);
                self.give(ip, winner);
            }
            None => self.give(ip, Some(Arc::clone(known))),
        }
    }

    /// The workload `uid` has `ip` no longer.
    pub(super) fn release(&mut self, ip: &NetworkIp, uid: &WorkloadUid, all: &All) {
        let Some(claimants) = self.contested.get_mut(ip) else {
            if self.holder(ip).is_some_and(|holder| holder.member.uid == *uid) {
                self.give(ip, None);
            }
            return;
        };
        claimants.retain(|one| one != uid);
        let winner = winner(claimants).and_then(|uid| all.get(uid)).map(Arc::clone);
        if claimants.len() < 2 {
            self.contested.remove(ip);
        }
        self.give(ip, winner);
    }

    fn holder(&self, ip: &NetworkIp) -> Option<&Arc<Known>> {
        self.winners.get(&ip.network)?.get(&ip.ip)
    }

    fn give(&mut self, ip: &NetworkIp, winner: Option<Arc<Known>>) {
        let winners = Arc::make_mut(&mut self.winners);
        match winner {
            Some(winner) => {
                let of_network = winners.entry(Arc::clone(&ip.network)).or_default();
                of_network.insert(ip.ip, winner);
            }
            None => {
                if let Some(of_network) = winners.get_mut(&ip.network) {
                    of_network.remove(&ip.ip);
                    if of_network.is_empty() {
                        winners.remove(&ip.network);
                    }
                }
            }
        }
    }
}

/// Of those that claim one address: a pod before what only describes one, and of several the last,
/// for addresses are used again.
fn winner(claimants: &[WorkloadUid]) -> Option<&WorkloadUid> {
    let pod = claimants.iter().rfind(|uid| uid.as_str().contains("//Pod/"));
    pod.or_else(|| claimants.last())
}
