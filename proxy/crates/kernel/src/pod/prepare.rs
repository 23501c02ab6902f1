//! The part of enrolling that captures nothing yet.
use crate::{
    maps::{PLAINTEXT_V4, PLAINTEXT_V6, TUNNEL_V4, TUNNEL_V6},
    netns::Netns,
    node::{
        NodeError, Shared,
        load::{self, Inbound},
    },
    pod::{
        EnrolError, PodListeners, PodSpec, Prepared, Served, dns, guard,
        hold::{Hold, Tentative},
        listeners,
        record::{self, Names, Record, Registry},
        rival, routing, sysctl, undo,
    },
    sockets::PodSockets,
};
use culvert_model::pod::Fail;
use std::{collections::BTreeMap, net::TcpListener, os::fd::OwnedFd, sync::Arc};

/// See [`Node::prepare`](crate::Node::prepare).
pub(crate) fn prepare(shared: &Arc<Shared>, spec: &PodSpec) -> Result<Prepared, EnrolError> {
    let _owning = shared.own()?;
    let netns = Netns::open(&spec.netns).map_err(EnrolError::Netns)?;
    if netns.inode() == shared.netns.inode() {
        return Err(EnrolError::HostNetns(spec.netns.clone()));
    }
    let cookie = shared.cookie_of(&netns)?;
    let former_lives = shared.registry().former_lives(&spec.uid, cookie);
    for former in former_lives {
        undo::finish(shared, &former, undo::netns_of(&former).as_ref())?;
    }
    // One that is captured already stays so, whoever listens in it.
    let is_new = matches!(shared.registry().life(&spec.uid, cookie), Ok(None));
    if is_new {
        rival::none(&netns)?;
    }
    let v6 = routing::has_v6(&netns)?;
    let names = dns::places(spec, v6, &known_names(shared, spec, cookie));
    let listeners = listeners::open(&netns, v6, &spec.container_ports, &names)?;
    let before = Before { v6, sysctls: sysctl::current(&netns, v6)? };
    let (pod_id, fresh) = record(shared, spec, (&netns, cookie), before)?;
    let hold = Hold::take(shared, pod_id, netns.clone(), spec.netns.clone());
    let tentative = Tentative::new(hold, fresh);
    routing::add(&netns, v6)?;
    sysctl::apply(&netns, v6)?;

    let inbound = inbound_program(shared, pod_id, spec.fail)?;
    let strict = shared.options.strict;
    let guard = strict.then(|| guard::prepare(shared, &netns, pod_id, spec.ips)).transpose()?;
    let served =
        Served { out_port: port(&listeners.outbound)?, names: dns::names(&listeners.dns)? };
    let sockets = PodSockets::new(shared, &netns, pod_id);
    sockets.own(tcp(&listeners)).map_err(|source| NodeError::Map { map: "ORIG", source })?;
    let listening = listening(&listeners)?;
    sockets.avoid(spec.container_ports.iter().chain(&listening).copied());
    Ok(Prepared {
        steered: steered(&listeners)?,
        listeners: Some(listeners),
        tentative,
        spec: spec.clone(),
        sockets,
        listening,
        served,
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

/// What a namespace is like before it is changed.
struct Before {
    v6: bool,
    sysctls: BTreeMap<String, String>,
}

/// Records that the pod is about to be changed, unless its namespace is somebody else's; the pod's
/// id, and whether this is the beginning of its life.
fn record(
    shared: &Shared,
    spec: &PodSpec,
    (netns, cookie): (&Netns, u64),
    Before { v6, sysctls }: Before,
) -> Result<(u32, bool), EnrolError> {
    // From the look to the record nobody else may look: neither another instance nor, as long as
    // the registry is locked, another pod of this one.
    let _others_wait = shared.instance.lock_out_others().map_err(|source| NodeError::Io {
        what: "lock the folder of",
        path: shared.instance.run_dir(),
        source,
    })?;
    if let Some(instance) = record::taken_by(&shared.instance, cookie) {
        return Err(EnrolError::OtherInstance { instance });
    }
    let mut registry = shared.registry();
    let known = registry.life(&spec.uid, cookie);
    let known = known.map_err(|other| EnrolError::SameNetns { other })?.cloned();
    let fresh = known.is_none();
    let mut record = match known {
        Some(known) => known,
        None => new_record(&registry, spec, netns, cookie)?,
    };
    record.v6 |= v6;
    for (name, old) in sysctls {
        // What an earlier generation found there, not what it left.
        record.sysctls.entry(name).or_insert(old);
    }
    let pod_id = record.pod_id;
    registry.put(record).map_err(NodeError::from)?;
    Ok((pod_id, fresh))
}

fn new_record(
    registry: &Registry,
    spec: &PodSpec,
    netns: &Netns,
    cookie: u64,
) -> Result<Record, NodeError> {
    Ok(Record {
        uid: spec.uid.as_str().to_owned(),
        pod_id: registry.new_id()?,
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
        names: Vec::new(),
    })
}

/// The inbound listeners and their slots of the map.
fn steered(listeners: &PodListeners) -> Result<Vec<(u32, OwnedFd)>, EnrolError> {
    let failed = |source| EnrolError::Listen { what: "inbound", source };
    let slot = |listener: &TcpListener, (v4, v6)| {
        let address = listener.local_addr().map_err(failed)?;
        let slot = if address.is_ipv4() { v4 } else { v6 };
        Ok((slot, listener.try_clone().map_err(failed)?.into()))
    };
    let plaintext = listeners.inbound.iter().map(|it| slot(it, (PLAINTEXT_V4, PLAINTEXT_V6)));
    let tunnels = listeners.hbone.iter().map(|it| slot(it, (TUNNEL_V4, TUNNEL_V6)));
    plaintext.chain(tunnels).collect()
}

fn listening(listeners: &PodListeners) -> Result<Vec<u16>, EnrolError> {
    tcp(listeners).map(port).collect()
}

fn tcp(listeners: &PodListeners) -> impl Iterator<Item = &TcpListener> {
    let PodListeners { outbound, inbound, hbone, dns } = listeners;
    let dns = dns.iter().map(|it| &it.tcp);
    inbound.iter().chain(hbone).chain([outbound]).chain(dns)
}

/// Where an earlier generation answered in the place of the pod's name servers.
fn known_names(shared: &Shared, spec: &PodSpec, cookie: u64) -> Vec<Names> {
    let registry = shared.registry();
    let known = registry.life(&spec.uid, cookie).ok().flatten();
    known.map(|record| record.names.clone()).unwrap_or_default()
}

fn port(listener: &TcpListener) -> Result<u16, EnrolError> {
    let address = listener.local_addr();
    Ok(address.map_err(|source| EnrolError::Listen { what: "outbound", source })?.port())
}
