//! Why something of a lab did not work.
use culvert_kernel::{instance::InstanceError, netlink::NetlinkError, netns::NetnsError};
use std::{io, path::PathBuf};

/// Why a lab, or something of it, could not be made, used or removed.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    #[error("{name:?} cannot be a name in a lab: 1 to {max} of a-z and 0-9")]
    Name { name: String, max: usize },
    #[error("a lab named {name} is in use by another process")]
    Busy { name: String },
    #[error("{name} exists already in this lab")]
    Exists { name: String },
    #[error("this kernel has no IPv6, which a lab needs; was it started with ipv6.disable=1?")]
    NoIpv6,
    #[error("no room for one more in this lab")]
    Full,
    #[error("no cgroup for the lab")]
    Instance(#[from] InstanceError),
    #[error("no network namespace")]
    Netns(#[from] NetnsError),
    #[error("no network")]
    Netlink(#[from] NetlinkError),
    #[error("cannot {what} {}", path.display())]
    File {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("processes of the lab do not end: {pids:?}")]
    Undead { pids: Vec<i32> },
    #[error("cannot start {program}")]
    Start {
        program: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot enter the network namespace of {name}")]
    Enter {
        name: String,
        #[source]
        source: io::Error,
    },
}
