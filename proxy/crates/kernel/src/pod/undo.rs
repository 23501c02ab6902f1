//! Taking a pod out of the kernel, in the order that never leaves a connection half captured.
use crate::{
    direct,
    netns::Netns,
    node::{NodeError, Shared, links, load},
    pod::{EnrolError, dns, guard, record::Record, routing, sysctl},
};
use culvert_common::addr;
use std::{fs, io, net::IpAddr, path::Path};

/// New connections go direct: first they may leave, then nothing captures them any more.
pub(crate) fn release(shared: &Shared, record: &Record) -> Result<(), EnrolError> {
    let _owning = shared.own()?;
    // Nobody goes round a proxy that is not there.
    direct::forget(shared, record.pod_id)?;
    let dir = load::pod_dir(&shared.instance, record.pod_id);
    if let Some(guarded) = &record.guard {
        guard::remove(&shared.netns, &dir, guarded)?;
    }
    let maps = &shared.maps;
    maps.pods.remove(&record.cookie).map_err(|source| NodeError::Map { map: "PODS", source })?;
    links::remove(&dir.join("link"))
        .map_err(|source| NodeError::Attach { program: "inbound", source })?;
    // Their pins of an older layout, which was never taken over.
    for older in load::other_layouts(&shared.instance)? {
        let dir = older.join("pods").join(record.pod_id.to_string());
        remove_dir(&dir)?;
    }
    Ok(())
}

/// Everything; `netns` is `None` when it is gone.
pub(crate) fn finish(
    shared: &Shared,
    record: &Record,
    netns: Option<&Netns>,
) -> Result<(), EnrolError> {
    let _owning = shared.own()?;
    release(shared, record)?;
    let maps = &shared.maps;
    let map = |map| move |source| NodeError::Map { map, source };
    for ip in &record.ips {
        forget_ip(shared, record.pod_id, *ip)?;
    }
    for network in record.networks() {
        let key = crate::exclusions::key(record.pod_id, &network);
        maps.exclude.remove(&key).map_err(map("EXCLUDE"))?;
    }
    dns::forget(shared, record)?;
    maps.stats.remove(&record.pod_id).map_err(map("POD_STATS"))?;
    if let Some(netns) = netns {
        restore(record, netns)?;
    }
    remove_dir(&load::pod_dir(&shared.instance, record.pod_id))?;
    shared.registry().remove(record.pod_id).map_err(NodeError::from)?;
    // It may have got an epoch again while it drained.
    Ok(direct::forget(shared, record.pod_id)?)
}

/// Takes an address from a pod; it may be another pod's by now.
pub(crate) fn forget_ip(shared: &Shared, pod_id: u32, ip: IpAddr) -> Result<(), NodeError> {
    let (ips, key) = (&shared.maps.pod_ips, addr::from_ip(ip));
    let forget = || match ips.get(&key)? == Some(pod_id) {
        true => ips.remove(&key),
        false => Ok(()),
    };
    forget().map_err(|source| NodeError::Map { map: "POD_IPS", source })
}

/// Gives the pod's namespace its routing and sysctls back.
pub(crate) fn restore(record: &Record, netns: &Netns) -> Result<(), EnrolError> {
    routing::remove(netns, record.v6)?;
    sysctl::restore(netns, &record.sysctls)
}

/// The pod's namespace, if it is still the one that was enrolled.
pub(crate) fn netns_of(record: &Record) -> Option<Netns> {
    let netns = Netns::open(&record.netns).ok()?;
    let same = netns.inode() == record.inode
        && netns.cookie().is_none_or(|cookie| cookie == record.cookie);
    same.then_some(netns)
}

/// Removes a pod's pins.
pub(crate) fn remove_dir(dir: &Path) -> Result<(), NodeError> {
    let removing = |source| NodeError::Io { what: "remove", path: dir.to_owned(), source };
    for link in ["link", "guard"] {
        links::remove(&dir.join(link)).map_err(removing)?;
    }
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(removing(e)),
        _ => Ok(()),
    }
}
