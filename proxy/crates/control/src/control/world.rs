//! What is wanted as resources: what every node is told.
use super::scene::Scene;
use crate::{
    announce::Shown,
    compile::{incremental::Changes, mesh::Wanted},
};
use culvert_model::{
    authz::Authorization,
    member::{Member, Tunnel},
    name::WorkloadUid,
};
use culvert_xds::{resource::Address, server::Worlds};
use std::{collections::BTreeSet, sync::Arc};

/// Changes `worlds` as the objects changed, and as `shown` are shown now; returns whether anything
/// is another.
pub(super) fn change(
    worlds: &mut Worlds,
    scene: &Scene,
    changes: &Changes,
    shown: &BTreeSet<WorkloadUid>,
) -> bool {
    let (mut set, mut removed) = (Vec::new(), Vec::new());
    for uid in changes.members.keys().chain(shown) {
        match scene.members.get(uid) {
            Some(wanted) => {
                let member = member(wanted, scene.announcer.shown(uid));
                set.push((Address::Member(member), Arc::clone(&wanted.origin)));
            }
            None => removed.push(uid.as_str().to_owned()),
        }
    }
    for (name, offered) in &changes.services {
        match offered {
            Some(offered) => {
                let service = Address::Service(Arc::clone(&offered.service));
                set.push((service, Arc::clone(&offered.origin)));
            }
            None => removed.push(name.to_string()),
        }
    }
    let (mut policies, mut gone) = (Vec::new(), Vec::new());
    for (name, policy) in &changes.policies {
        match policy {
            Some(policy) => policies.push(Arc::clone(policy)),
            None => gone.push(name.to_string()),
        }
    }
    let set = set.iter().map(|(address, origin)| (address, Arc::clone(origin)));
    let addresses = worlds.addresses.change_written(set, removed.iter().map(String::as_str));
    let policies: &[Arc<Authorization>] = &policies;
    worlds.policies.change(policies, gone.iter().map(String::as_str)) || addresses
}

/// A workload as everybody sees it.
fn member(wanted: &Wanted, Shown { hbone, strict }: Shown) -> Arc<Member> {
    if !hbone {
        return Arc::clone(&wanted.member);
    }
    let mut member = Member::clone(&wanted.member);
    member.tunnel = Tunnel::Hbone;
    if strict {
        member.policies = member.policies.iter().chain(&wanted.mtls).cloned().collect();
    }
    Arc::new(member)
}
