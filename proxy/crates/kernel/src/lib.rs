//! Everything in user space that touches BPF, socket options and namespaces.
//!
//! The only crate with `unsafe`; synchronous, so that it can run on any thread.
//!
//! Reading order: [`instance`] (what one installation owns), [`mod@probe`] (what the kernel can),
//! [`node`] (programs and maps of the node), [`pod`] (enrolling one pod), [`sockets`] (what is done
//! per connection), [`direct`] (connections without the proxy), [`mod@uninstall`] (leaving nothing behind). [`netns`] and [`netlink`] serve them,
//! [`bpffs`] and [`procsys`] are what a container may lack; [`memory`] gives pages back.

pub mod bpffs;
pub mod direct;
mod exclusions;
pub mod fdpass;
pub mod flows;
pub mod instance;
mod maps;
pub mod memory;
pub mod netlink;
pub mod netns;
pub mod node;
pub mod pod;
pub mod probe;
pub mod procsys;
pub mod sockets;
mod sys;
pub mod uninstall;

pub use crate::{
    direct::{At, DirectEvent, DirectFlow, End, Verdict, events::Events},
    flows::Flow,
    instance::{Instance, InstanceError, Supervision},
    node::{Node, NodeError, NodeOptions, owner::Generation},
    pod::{
        DnsListener, EnrolError, Enrolled, PodListeners, PodSpec, Prepared, orphan::Orphan,
        record::RecordError,
    },
    probe::{Capabilities, ProbeError, probe},
    sockets::{DeliverError, PodSockets, reset},
    uninstall::uninstall,
};
pub use culvert_common::pod::{HBONE_PORT, PodStats};
