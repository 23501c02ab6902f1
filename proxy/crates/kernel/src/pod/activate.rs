//! The part of enrolling after which connections are captured.
use crate::{
    exclusions,
    maps::LISTENERS,
    node::{
        NodeError, Shared,
        links::{self, Place},
        load,
    },
    pod::{
        EnrolError, Enrolled, PodSpec, Prepared, Served, dns, guard, hold::Hold, prepare,
        record::Record, undo,
    },
    sys::{Attached, Hook, Table, Target},
};
use culvert_common::{addr, pod::PodStats};
use culvert_model::pod::Fail;
use std::{
    os::fd::{AsRawFd as _, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

/// How many slots `LISTENERS` has.
const SLOTS: u32 = 4;

impl Prepared {
    /// Captures the pod: listeners, inbound program, and last of all its entry in `PODS`.
    ///
    /// Listeners that were not taken are closed: take them and accept before.
    ///
    /// # Errors
    ///
    /// When a map or link refuses; a fresh pod is undone then, an adopted one is left to whoever
    /// served it.
    pub fn activate(self) -> Result<Enrolled, EnrolError> {
        let Self { tentative, spec, sockets, listening, steered, served, inbound, guard, .. } =
            self;
        let Some(hold) = tentative.hold() else { return Err(NodeError::NotOwner.into()) };
        let shared = &hold.shared;
        let _owning = shared.own()?;
        let dir = load::pod_dir(&shared.instance, hold.pod_id);
        take_over(shared, hold.pod_id, &dir)?;
        count(shared, hold.pod_id)?;
        steer(shared, &dir, &steered)?;
        attach_inbound(hold, &dir, &inbound)?;
        write_entries(hold, &spec, &served)?;
        set_guard(hold, &dir, guard)?;
        let hold = tentative.commit().ok_or(NodeError::NotOwner)?;
        Ok(Enrolled { hold, sockets, spec, served, listening })
    }
}

impl Enrolled {
    /// Makes changes of the pod's manifest hold for its next connections.
    ///
    /// # Errors
    ///
    /// When this generation does not own the node, or a program or map refuses.
    pub fn update(&mut self, spec: &PodSpec) -> Result<(), EnrolError> {
        let shared = Arc::clone(&self.hold.shared);
        let _owning = shared.own()?;
        if *spec == self.spec {
            return Ok(());
        }
        if spec.fail != self.spec.fail {
            let dir = load::pod_dir(&shared.instance, self.hold.pod_id);
            let inbound = prepare::inbound_program(&shared, self.hold.pod_id, spec.fail)?;
            attach_inbound(&self.hold, &dir, &inbound)?;
        }
        write_entries(&self.hold, spec, &self.served)?;
        self.sockets.avoid(spec.container_ports.iter().chain(&self.listening).copied());
        self.spec = spec.clone();
        Ok(())
    }
}

/// Moves the pod's links of an older layout to ours.
fn take_over(shared: &Shared, pod_id: u32, dir: &Path) -> Result<(), NodeError> {
    for older in load::other_layouts(&shared.instance)? {
        let old: PathBuf = older.join("pods").join(pod_id.to_string());
        for link in ["link", "guard"] {
            load::take_over(std::slice::from_ref(&old), Path::new(link), &dir.join(link))?;
        }
        undo::remove_dir(&old)?;
    }
    Ok(())
}

/// Makes the pod's counters; without them the programs remember no connection of the pod. Those an
/// earlier generation made say what the programs hold now, and stay.
fn count(shared: &Shared, pod_id: u32) -> Result<(), NodeError> {
    let made = shared.maps.stats.set_if_absent(&pod_id, &PodStats::default());
    made.map(drop).map_err(|source| NodeError::Map { map: "POD_STATS", source })
}

/// Puts our listeners in the place of an earlier generation's; each slot changes atomically.
fn steer(shared: &Shared, dir: &Path, steered: &[(u32, OwnedFd)]) -> Result<(), NodeError> {
    let path = dir.join(LISTENERS.0);
    let map = |source| NodeError::Map { map: LISTENERS.0, source };
    let slots: Table<u32, u32> = Table::open(&path)
        .map_err(|source| shared.corrupt(crate::maps::Corrupt { path, source }))?;
    for slot in 0..SLOTS {
        match steered.iter().find(|(own, _)| *own == slot) {
            Some((_, listener)) => {
                slots.set(&slot, &listener.as_raw_fd().cast_unsigned()).map_err(map)?;
            }
            None => slots.remove(&slot).map_err(map)?,
        }
    }
    Ok(())
}

fn attach_inbound(hold: &Hold, dir: &Path, program: &OwnedFd) -> Result<(), NodeError> {
    // An inode number of a namespace fits: the kernel has 32 bits for it here.
    let inode = u32::try_from(hold.netns.inode()).unwrap_or_default();
    let place = Place {
        program: "inbound",
        pin: &dir.join("link"),
        target: Target::Fd(hold.netns.fd()),
        attached: Attached::Netns(inode),
        hook: Hook::SkLookup,
        instance: hold.shared.instance.name(),
    };
    links::put(&place, program)
}

/// Writes what the maps say of the pod, and removes what an earlier generation wrote beyond that.
fn write_entries(hold: &Hold, spec: &PodSpec, served: &Served) -> Result<(), EnrolError> {
    let shared = &hold.shared;
    let old = hold.record().ok_or(NodeError::NotOwner)?;
    let new = Record {
        netns: spec.netns.clone(),
        ips: spec.ips.iter().collect(),
        fail_open: spec.fail == Fail::Open,
        out_port: served.out_port,
        names: dns::wanted(&served.names, spec),
        exclusions: shared.exclusions.networks().map(|network| network.to_string()).collect(),
        ..old.clone()
    };
    remove_stale(shared, &old, &new)?;
    shared.registry().put(new.clone()).map_err(NodeError::from)?;
    let maps = &shared.maps;
    let map = |map| move |source| NodeError::Map { map, source };
    for ip in &new.ips {
        maps.pod_ips.set(&addr::from_ip(*ip), &new.pod_id).map_err(map("POD_IPS"))?;
    }
    for (key, ports) in shared.exclusions.entries(new.pod_id) {
        maps.exclude.set(&key, &ports).map_err(map("EXCLUDE"))?;
    }
    dns::write(shared, &new)?;
    Ok(maps.pods.set(&new.cookie, &new.config()).map_err(map("PODS"))?)
}

fn remove_stale(shared: &Shared, old: &Record, new: &Record) -> Result<(), NodeError> {
    for ip in old.ips.iter().filter(|ip| !new.ips.contains(ip)) {
        undo::forget_ip(shared, old.pod_id, *ip)?;
    }
    let still: Vec<_> = new.networks().collect();
    for network in old.networks().filter(|network| !still.contains(network)) {
        let removed = shared.maps.exclude.remove(&exclusions::key(old.pod_id, &network));
        removed.map_err(|source| NodeError::Map { map: "EXCLUDE", source })?;
    }
    dns::remove_stale(shared, old, new)
}

/// Guards the pod, or, where that is not wanted any more, stops guarding it.
fn set_guard(hold: &Hold, dir: &Path, ready: Option<guard::Ready>) -> Result<(), EnrolError> {
    let shared = &hold.shared;
    let mut record = hold.record().ok_or(NodeError::NotOwner)?;
    let new = ready.as_ref().map(|ready| ready.guarded.clone());
    if let Some(old) = record.guard.take().filter(|old| Some(old) != new.as_ref()) {
        guard::remove(&shared.netns, dir, &old)?;
    }
    record.guard = new;
    shared.registry().put(record).map_err(NodeError::from)?;
    ready.map_or(Ok(()), |ready| ready.attach(shared, dir))
}
