//! Questions that a pod asks its name servers.
use crate::addr::Addr;

/// The port of name servers, the only one that is captured.
pub const PORT: u16 = 53;

/// Key of `DNS`: a pod, and a name server it asks.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DnsKey {
    pub pod_id: u32,
    pub resolver: Addr,
}

/// Value of `DNS`: where the proxy answers in that server's place, on the pod's own address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DnsPorts {
    pub udp_be: u16,
    pub tcp_be: u16,
}

/// Key of `DNS_BACK`: a port that the proxy answers from. The value is the name server, for the
/// application must see the answer come from whom it asked.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DnsBackKey {
    pub pod_id: u32,
    pub port_be: u16,
    /// The answer's address family, `AF_INET` or `AF_INET6`: each has ports of its own.
    pub family: u16,
}

const _: () = {
    assert!(size_of::<DnsKey>() == 4 + 16);
    assert!(size_of::<DnsPorts>() == 2 + 2);
    assert!(size_of::<DnsBackKey>() == 4 + 2 + 2);
};
