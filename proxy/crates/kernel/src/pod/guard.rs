//! The strict guard: at the host's end of the pod's veth, what the proxy did not open is dropped.
//!
//! Attached after capture begins: before, the application's own connections would be dropped
//! instead of captured. Removed before capture ends.
use crate::{
    netlink::Netlink,
    netns::Netns,
    node::{
        NodeError, Shared,
        links::{self, Place},
        load,
    },
    pod::EnrolError,
    sys::{self, Attached, Hook, Target},
};
use aya::programs::{
    ProgramError, SchedClassifier, TcAttachType,
    tc::{
        NlOptions, SchedClassifierLink, SchedClassifierLinkId, TcAttachOptions, TcError, TcHandle,
        qdisc_add_clsact,
    },
};
use culvert_model::addr::PodIps;
use nix::net::if_::if_indextoname;
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    mem::ManuallyDrop,
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
};

/// Where our filter is in a clsact's list; the kernel's own choice starts at 49152.
const PRIORITY: u16 = 1_337;
const HANDLE: TcHandle = TcHandle::new(0, 1);

/// Where a pod is guarded, for undoing it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Guarded {
    /// Index of the host's end in the node's namespace.
    pub(crate) index: u32,
    pub(crate) by: By,
}

/// How a guard is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum By {
    /// By a pinned link, from Linux 6.6.
    Tcx,
    /// By a filter of the clsact queueing discipline.
    Clsact,
}

/// A guard ready to be attached.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) guarded: Guarded,
    program: OwnedFd,
}

/// Loads the guard of a pod, and finds where it is to be.
pub(crate) fn prepare(
    shared: &Shared,
    netns: &Netns,
    pod_id: u32,
    ips: PodIps,
) -> Result<Ready, EnrolError> {
    let index = host_interface(shared, netns, ips)?;
    let program = load::guard(&shared.instance, pod_id)?;
    let by = if shared.capabilities.tcx { By::Tcx } else { By::Clsact };
    Ok(Ready { guarded: Guarded { index, by }, program })
}

impl Ready {
    pub(crate) fn attach(&self, shared: &Shared, pod_dir: &Path) -> Result<(), EnrolError> {
        let index = self.guarded.index;
        let attached = shared.netns.run(|| match self.guarded.by {
            By::Tcx => {
                let place = Place {
                    program: "guard",
                    pin: &pod_dir.join("guard"),
                    target: Target::Interface(index),
                    attached: Attached::Interface(index),
                    hook: Hook::TcxIngress,
                    instance: shared.instance.name(),
                };
                links::put(&place, &self.program).map_err(EnrolError::from)
            }
            By::Clsact => {
                filter(&self.program, index, pod_dir).map_err(|source| EnrolError::Guard {
                    interface: name_of(index).unwrap_or_else(|_| index.to_string()),
                    source,
                })
            }
        });
        attached.map_err(EnrolError::Enter)?
    }
}

/// Detaches a guard; one that is not there is detached already.
pub(crate) fn remove(node: &Netns, pod_dir: &Path, guarded: &Guarded) -> Result<(), EnrolError> {
    let detached = match guarded.by {
        By::Tcx => links::remove(&pod_dir.join("guard")),
        By::Clsact => node.run(|| unfilter(guarded.index)).map_err(EnrolError::Enter)?,
    };
    let interface = || guarded.index.to_string();
    detached.map_err(|source| EnrolError::Guard { interface: interface(), source })
}

/// The index of the host's end of the pod's interface, in the node's namespace.
fn host_interface(shared: &Shared, netns: &Netns, ips: PodIps) -> Result<u32, EnrolError> {
    let mut netlink = Netlink::open_in(netns).map_err(EnrolError::Routing)?;
    let mut missing = None;
    for ip in ips.iter() {
        missing = missing.or(Some(ip));
        let Some(name) = netlink.link_of(ip).map_err(EnrolError::Routing)? else { continue };
        let index = netlink.peer_index(&name, &shared.netns).map_err(EnrolError::Routing)?;
        if let Some(index) = index {
            return Ok(index);
        }
    }
    Err(missing
        .map_or(EnrolError::Node(NodeError::NotOwner), |ip| EnrolError::NoHostInterface { ip }))
}

/// Attaches the guard as a filter, or puts it in the place of an earlier one.
fn filter(program: &OwnedFd, index: u32, pod_dir: &Path) -> io::Result<()> {
    let name = name_of(index)?;
    match qdisc_add_clsact(&name) {
        Err(TcError::NetlinkError(e)) if e.raw_os_error() == Some(libc::EEXIST) => {}
        made => made.map_err(io::Error::other)?,
    }
    let mut program = classifier(program, &pod_dir.join("guard_program"))?;
    let options = NlOptions { priority: PRIORITY, handle: HANDLE, ..NlOptions::default() };
    let new = program.attach_with_options(
        &name,
        TcAttachType::Ingress,
        TcAttachOptions::Netlink(options),
    );
    let id = match new {
        Err(e) if errno(&e) == Some(libc::EEXIST) => {
            program.attach_to_link(ours(&name)?).map_err(io::Error::other)?
        }
        new => new.map_err(io::Error::other)?,
    };
    keep(&mut program, id)
}

/// The program as aya knows it, which it takes from a pin only.
fn classifier(program: &OwnedFd, pin: &Path) -> io::Result<SchedClassifier> {
    sys::obj_pin(program.as_fd(), pin)?;
    let taken = SchedClassifier::from_pin(pin);
    fs::remove_file(pin)?;
    taken.map_err(io::Error::other)
}

/// Leaves the filter where it is: dropping its link would remove it.
fn keep(program: &mut SchedClassifier, id: SchedClassifierLinkId) -> io::Result<()> {
    let _kept = ManuallyDrop::new(program.take_link(id).map_err(io::Error::other)?);
    Ok(())
}

fn unfilter(index: u32) -> io::Result<()> {
    // An interface that is gone took its filters along.
    let Ok(name) = name_of(index) else { return Ok(()) };
    match aya::programs::links::Link::detach(ours(&name)?) {
        Err(e) if matches!(errno(&e), Some(libc::ENOENT | libc::EINVAL | libc::ENODEV)) => Ok(()),
        done => done.map_err(io::Error::other),
    }
}

/// What the kernel said.
#[expect(clippy::wildcard_enum_match_arm, reason = "others say nothing")]
fn errno(error: &ProgramError) -> Option<i32> {
    match error {
        ProgramError::TcError(TcError::NetlinkError(e)) | ProgramError::NetlinkError(e) => {
            e.raw_os_error()
        }
        _ => None,
    }
}

fn ours(interface: &str) -> io::Result<SchedClassifierLink> {
    SchedClassifierLink::attached(interface, TcAttachType::Ingress, PRIORITY, HANDLE, None)
}

/// The interface's name in the calling thread's namespace.
fn name_of(index: u32) -> io::Result<String> {
    Ok(if_indextoname(index)?.to_string_lossy().into_owned())
}
