//! Connections between two pods of the node that go without a proxy.
//!
//! The proxy permits them one destination at a time ([`Verdict`]); each that is open has an entry
//! ([`Direct`]), and tells of its beginning and its end ([`FlowEvent`]).
use crate::{addr::Addr, conn::Tuple};

/// Key of `VERDICTS`: who connects to what.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct VerdictKey {
    /// As the application dials it: a pod's address, or a service's.
    pub destination: Addr,
    pub source_pod: u32,
    pub port_be: u16,
    pub reserved: u16,
}

/// Value of `VERDICTS`: that connection may go direct, while both epochs are what `EPOCHS` says
/// and the proxy lives.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The pod that serves it; the destination itself, unless that is a service.
    pub endpoint: Addr,
    pub endpoint_port_be: u16,
    /// How many endpoints the destination has: one connection in so many goes direct. Never zero.
    pub endpoints: u16,
    pub destination_pod: u32,
    /// Epochs of the state that the verdict was read from.
    pub source_epoch: u64,
    pub destination_epoch: u64,
}

/// Value of `DIRECT`, by the client's tuple: a direct connection that is open, or being opened.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Direct {
    pub source_pod: u32,
    pub destination_pod: u32,
    /// The verdict's.
    pub source_epoch: u64,
    pub destination_epoch: u64,
}

/// One record of `EVENTS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowEvent {
    /// As the client's socket sees it.
    pub ends: Tuple,
    /// Where the application meant to go.
    pub meant: Addr,
    pub meant_port_be: u16,
    /// One of the kinds below.
    pub kind: u16,
    pub source_pod: u32,
    pub destination_pod: u32,
    pub reserved: u32,
    /// Bytes of the application, without what TCP counts beside them.
    pub sent: u64,
    pub received: u64,
    /// Nanoseconds since the connect.
    pub lasted_ns: u64,
}

/// The connection is established.
pub const OPENED: u16 = 1;
/// Both ends have closed it.
pub const CLOSED: u16 = 2;
/// It was reset, timed out, or ended before both ends had closed it.
pub const BROKEN: u16 = 3;
/// It was never established.
pub const REFUSED: u16 = 4;

const _: () = {
    assert!(size_of::<VerdictKey>() == 16 + 4 + 2 + 2);
    assert!(size_of::<Verdict>() == 16 + 2 + 2 + 4 + 8 + 8);
    assert!(size_of::<Direct>() == 4 + 4 + 8 + 8);
    assert!(size_of::<FlowEvent>() == 40 + 16 + 2 + 2 + 4 + 4 + 4 + 8 + 8 + 8);
};
