//! The part of enrolling that captures nothing yet.
use crate::{
    netns::Netns,
    node::{
        NodeError, Shared,
        load::{self, Inbound},
    },
    pod::{
        EnrolError, PodListeners, PodSpec, Prepared, guard,
        hold::{Hold, Tentative},
        listeners,
        record::{self, Record},
        routing, sysctl, undo,
    },
    sockets::PodSockets,
};
use culvert_model::pod::Fail;
use std::{collections::BTreeMap, net::TcpListener, os::fd::OwnedFd, sync::Arc};

/// See [`Node::prepare`](crate::Node::prepare).
pub(crate) fn prepare(shared: &Arc<Shared>, spec: &PodSpec) -> Result<Prepared, EnrolError> {
    shared.check_owner()?;
    let netns = Netns::open(&spec.netns).map_err(EnrolError::Netns)?;
    if netns.inode() == shared.netns.inode() {
        return Err(EnrolError::HostNetns(spec.netns.clone()));
    }
    let cookie = shared.cookie_of(&netns)?;
    if let Some(instance) = record::taken_by(&shared.instance, cookie) {
        return Err(EnrolError::OtherInstance { instance });
    }
    let known = known(shared, spec, cookie)?;
    let v6 = routing::has_v6(&netns)?;
    let listeners = listeners::open(&netns, v6, &spec.container_ports)?;

    let fresh = known.is_none();
    let mut record = match known {
        Some(known) => known,
        None => new_record(shared, spec, &netns, cookie)?,
    };
    let pod_id = record.pod_id;
    record.v6 |= v6;
    for (name, old) in sysctl::current(&netns, v6)? {
        // What an earlier generation found there, not what it left.
        record.sysctls.entry(name).or_insert(old);
    }
    shared.registry().put(record).map_err(NodeError::from)?;
    let hold = Hold::take(shared, pod_id, netns.clone(), spec.netns.clone());
    let tentative = Tentative::new(hold, fresh);
    routing::add(&netns, v6)?;
    sysctl::apply(&netns, v6)?;

    let inbound = inbound_program(shared, pod_id, spec.fail)?;
    let strict = shared.options.strict;
    let guard = strict.then(|| guard::prepare(shared, &netns, pod_id, spec.ips)).transpose()?;
    let out_port = port(&listeners.outbound)?;
    let sockets = PodSockets::new(shared, &netns, pod_id);
    let listening = listening(&listeners)?;
    sockets.avoid(spec.container_ports.iter().chain(&listening).copied());
    Ok(Prepared {
        steered: steered(&listeners)?,
        listeners: Some(listeners),
        tentative,
        spec: spec.clone(),
        sockets,
        listening,
        out_port,
        inbound,
        guard,
    })
}

/// Loads the inbound program of a pod.
pub(crate) fn inbound_program(
    shared: &Shared,
    pod_id: u32,
    fail: Fail,
) -> Result<OwnedFd, EnrolError> {
    let dir = load::pod_dir(&shared.instance, pod_id);
    crate::bpffs::private_dir(&dir).map_err(|source| NodeError::Io {
        what: "make",
        path: dir.clone(),
        source,
    })?;
    let ingress = shared.capabilities.lookup_ingress;
    Ok(load::pod(&shared.instance, &dir, Inbound { pod_id, fail, ingress })?)
}

/// The record of this life of the pod, if an earlier generation enrolled it; its former lives are
/// taken out of the kernel.
fn known(shared: &Shared, spec: &PodSpec, cookie: u64) -> Result<Option<Record>, EnrolError> {
    let mut ended = Vec::new();
    let mut known = None;
    {
        let registry = shared.registry();
        for record in registry.all() {
            match (record.uid == spec.uid.as_str(), record.cookie == cookie) {
                (true, true) => known = Some(record.clone()),
                // One that this process holds is let go by whoever has it.
                (true, false) if !registry.is_held(record.pod_id) => ended.push(record.clone()),
                (false, true) => return Err(EnrolError::SameNetns { other: record.uid() }),
                (true | false, false) => {}
            }
        }
    }
    for record in ended {
        undo::finish(shared, &record, undo::netns_of(&record).as_ref())?;
    }
    Ok(known)
}

fn new_record(
    shared: &Shared,
    spec: &PodSpec,
    netns: &Netns,
    cookie: u64,
) -> Result<Record, NodeError> {
    Ok(Record {
        uid: spec.uid.as_str().to_owned(),
        pod_id: shared.registry().new_id()?,
        netns: spec.netns.clone(),
        inode: netns.inode(),
        cookie,
        ips: spec.ips.iter().collect(),
        fail_open: spec.fail == Fail::Open,
        out_port: 0,
        exclusions: Vec::new(),
        v6: false,
        sysctls: BTreeMap::new(),
        guard: None,
    })
}

/// The inbound listeners and their slots of the map.
fn steered(listeners: &PodListeners) -> Result<Vec<(u32, OwnedFd)>, EnrolError> {
    let failed = |source| EnrolError::Listen { what: "inbound", source };
    let slot = |listener: &TcpListener| {
        let address = listener.local_addr().map_err(failed)?;
        let slot =
            if address.is_ipv4() { crate::maps::PLAINTEXT_V4 } else { crate::maps::PLAINTEXT_V6 };
        Ok((slot, listener.try_clone().map_err(failed)?.into()))
    };
    listeners.inbound.iter().map(slot).collect()
}

fn listening(listeners: &PodListeners) -> Result<Vec<u16>, EnrolError> {
    listeners.inbound.iter().chain([&listeners.outbound]).map(port).collect()
}

fn port(listener: &TcpListener) -> Result<u16, EnrolError> {
    let address = listener.local_addr();
    Ok(address.map_err(|source| EnrolError::Listen { what: "outbound", source })?.port())
}
