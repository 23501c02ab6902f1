//! The workloads that a pod has tunnels to.
use culvert_model::{name::WorkloadUid, snapshot::Snapshot};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
};

/// By uid, the address that was dialled.
#[derive(Debug, Default)]
pub(crate) struct Peers(Mutex<HashMap<WorkloadUid, IpAddr>>);

impl Peers {
    pub(crate) fn note(&self, uid: &WorkloadUid, dialled: SocketAddr) {
        let mut peers = self.0.lock();
        if peers.get(uid) != Some(&dialled.ip()) {
            peers.insert(uid.clone(), dialled.ip());
        }
    }

    /// Takes those out that are no longer there: the tunnels to them end with them, for another
    /// workload may have the address next.
    pub(crate) fn gone(&self, snapshot: &Snapshot) -> Vec<WorkloadUid> {
        let is_gone = |uid: &WorkloadUid, ip: &mut IpAddr| {
            snapshot.known(uid).is_none_or(|known| !known.member.addresses.contains(ip))
        };
        self.0.lock().extract_if(is_gone).map(|(uid, _)| uid).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::member;
    use culvert_model::snapshot::{Mesh, build::Builder};
    use std::sync::Arc;

    #[test]
    fn who_left_or_moved_is_gone_once() {
        let peers = Peers::default();
        let [old, new]: [IpAddr; 2] = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
        let mut builder = Builder::new(Mesh::default());
        let names = ["stays", "moves", "leaves"];
        for name in names {
            builder.set_member(Arc::new(member(name, old)));
            peers.note(&member(name, old).uid, (old, 15008).into());
        }
        assert!(peers.gone(&builder.build()).is_empty());
        builder.set_member(Arc::new(member("moves", new)));
        builder.remove_member(&member("leaves", old).uid);
        let mut gone = peers.gone(&builder.build());
        gone.sort_unstable();
        assert_eq!(gone, [member("leaves", old).uid, member("moves", old).uid]);
        assert!(peers.gone(&builder.build()).is_empty());
    }
}
