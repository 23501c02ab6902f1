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

/// Key of `DNS_BACK`: a port of a namespace that the proxy answers from.
///
/// Told by the namespace: an answer may come after its pod has left the mesh.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DnsBackKey {
    /// The namespace's cookie.
    pub netns: u64,
    /// Where the answer comes from.
    pub own: Addr,
    pub port_be: u16,
    pub reserved: [u16; 3],
}

const _: () = {
    assert!(size_of::<DnsKey>() == 4 + 16);
    assert!(size_of::<DnsPorts>() == 2 + 2);
    assert!(size_of::<DnsBackKey>() == 8 + 16 + 2 + 6);
};
