//! Which resolvers a pod asks when its manifest does not say: what its applications read.
use std::{
    fs::File,
    io::{self, Read as _},
    net::IpAddr,
    path::{Path, PathBuf},
};

/// Larger files are cut: no resolver reads so far.
const SIZE_MAX: u64 = 64 * 1024;

/// Where `ip netns` keeps namespaces, and what it shows to programs in them as their own.
const NAMESPACES: [&str; 2] = ["/run/netns", "/var/run/netns"];
const FILES_OF_NAMESPACES: &str = "/etc/netns";

const RESOLV_CONF: &str = "resolv.conf";

/// The name servers of the namespace mounted at `netns`, in the order in which they are asked, or
/// else the machine's; none when neither can be read.
///
/// One that the pod does not ask does no harm: nothing is sent there then.
pub(crate) fn servers(netns: &Path) -> Vec<IpAddr> {
    let machine = Path::new("/etc").join(RESOLV_CONF);
    let files = of_namespace(netns).into_iter().chain([machine]);
    files.into_iter().find_map(|file| read(&file).ok()).unwrap_or_default()
}

/// What can be read of a `resolv.conf` (resolv.conf(5)).
fn parse(text: &str) -> Vec<IpAddr> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("nameserver"));
    let words = lines.filter(|rest| rest.starts_with([' ', '\t']));
    words.filter_map(|rest| address(rest.split_ascii_whitespace().next()?)).collect()
}

/// An address, without the interface that a link-local one may have behind it.
fn address(word: &str) -> Option<IpAddr> {
    let ip = word.split('%').next().unwrap_or_default();
    ip.parse().ok().map(|ip: IpAddr| ip.to_canonical())
}

fn of_namespace(netns: &Path) -> Option<PathBuf> {
    let is_named = NAMESPACES.iter().any(|folder| netns.parent() == Some(Path::new(folder)));
    let name = netns.file_name().filter(|_| is_named)?;
    Some(Path::new(FILES_OF_NAMESPACES).join(name).join(RESOLV_CONF))
}

fn read(file: &Path) -> io::Result<Vec<IpAddr>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(SIZE_MAX).read_to_end(&mut bytes)?;
    Ok(parse(&String::from_utf8_lossy(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written() {
        let servers = parse(
            "# nameserver 192.0.2.9\n\
             nameserver 10.96.0.10\n\
             search svc.cluster.local\n\
             nameserver\tfe80::1%eth0 trailing\n\
             nameserver somewhere\n\
             nameservers 192.0.2.10\n\
             nameserver\n",
        );
        assert_eq!(servers, ["10.96.0.10", "fe80::1"].map(|ip| ip.parse::<IpAddr>().unwrap()));
    }

    #[test]
    fn where_it_is_looked_for() {
        let of = |netns| of_namespace(Path::new(netns));
        assert_eq!(of("/run/netns/web"), Some("/etc/netns/web/resolv.conf".into()));
        assert_eq!(of("/var/run/netns/web"), Some("/etc/netns/web/resolv.conf".into()));
        assert_eq!(of("/proc/1/ns/net"), None);
        let unread = servers(Path::new("/run/netns/there is no such one"));
        assert_eq!(unread, servers(Path::new("/proc/1/ns/net")), "the machine's");
    }

    proptest! {
        #[test]
        fn garbage_is_survived(text in any::<String>()) {
            parse(&text);
        }
    }
}
