//! What there is to say of ourselves: the address that the world would see, the name, the environment.
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::LazyLock,
};

/// Where the way out begins; said in place of a loopback client's address.
pub(crate) fn address() -> IpAddr {
    static OWN: LazyLock<IpAddr> =
        LazyLock::new(|| towards_the_world().unwrap_or(Ipv4Addr::LOCALHOST.into()));
    *OWN
}

/// Asks the system which address it would use; nothing is sent.
fn towards_the_world() -> Option<IpAddr> {
    // Of the addresses that documents use: routed as any other, and nobody's.
    let world = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 9));
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(world).ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_unspecified()).then_some(own)
}

/// What this machine calls itself.
pub(crate) fn hostname() -> &'static str {
    static NAME: LazyLock<String> = LazyLock::new(|| {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        name.trim().to_owned()
    });
    &NAME
}

/// A variable of the environment, as it was when one was first asked for.
pub(crate) fn environment(name: &str) -> Option<&'static str> {
    static ALL: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        std::env::vars_os().filter_map(text).collect()
    });
    ALL.get(name).map(String::as_str)
}
