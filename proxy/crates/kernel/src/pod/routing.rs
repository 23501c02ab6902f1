//! The pod's routing: what a delivery sends, and what the application answers, stays in the pod.
use crate::{
    netlink::{Family, Netlink},
    netns::Netns,
    pod::EnrolError,
    sockets::deliver::MARK,
};
use std::fs;

/// The table in which every address is local; the mark again, a number that nobody else begins to
/// count from, as plugins do from 100.
const TABLE: u32 = MARK;

/// Whether the namespace has IPv6; a kernel without it, or told to do without, has not.
pub(crate) fn has_v6(netns: &Netns) -> Result<bool, EnrolError> {
    let disabled = netns
        .run(|| fs::read_to_string("/proc/sys/net/ipv6/conf/lo/disable_ipv6"))
        .map_err(EnrolError::Enter)?;
    Ok(disabled.is_ok_and(|disabled| disabled.trim() == "0"))
}

/// Routes marked packets to the pod itself.
///
/// A pod that was made a moment ago may not have its loopback up yet: runtimes see to that beside
/// the rest of its network.
pub(crate) fn add(netns: &Netns, v6: bool) -> Result<(), EnrolError> {
    let mut netlink = Netlink::open_in(netns).map_err(EnrolError::Routing)?;
    netlink.link_up("lo").map_err(EnrolError::Routing)?;
    for family in families(v6) {
        netlink.add_local_default(family, TABLE).map_err(EnrolError::Routing)?;
        netlink.add_fwmark_rule(family, MARK, TABLE).map_err(EnrolError::Routing)?;
    }
    Ok(())
}

/// Undoes [`add`].
pub(crate) fn remove(netns: &Netns, v6: bool) -> Result<(), EnrolError> {
    let mut netlink = Netlink::open_in(netns).map_err(EnrolError::Routing)?;
    for family in families(v6) {
        netlink.del_fwmark_rule(family, MARK, TABLE).map_err(EnrolError::Routing)?;
        netlink.del_local_default(family, TABLE).map_err(EnrolError::Routing)?;
    }
    Ok(())
}

fn families(v6: bool) -> impl Iterator<Item = Family> {
    Family::ALL.into_iter().filter(move |family| v6 || *family == Family::V4)
}
