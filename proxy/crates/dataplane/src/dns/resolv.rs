//! Which resolvers a pod asks when its manifest does not say: what its applications read.
use std::{
    fs::File,
    io::{self, Read as _},
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Larger files are cut: no resolver reads so far.
const SIZE_MAX: u64 = 64 * 1024;

/// Where `ip netns` keeps namespaces, and what it shows to programs in them as their own.
const NAMESPACES: [&str; 2] = ["/run/netns", "/var/run/netns"];
const FILES_OF_NAMESPACES: &str = "/etc/netns";

const RESOLV_CONF: &str = "resolv.conf";

/// What a `resolv.conf` says, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvConf {
    /// In the order in which they are asked.
    pub servers: Vec<IpAddr>,
    /// What is appended to names.
    pub search: Vec<Arc<str>>,
}

impl ResolvConf {
    /// That of the namespace mounted at `netns`, else the machine's; empty when neither can be
    /// read.
    ///
    /// One that is not the pod's does no harm: what the pod asks of others is not captured.
    pub fn of_namespace(netns: &Path) -> Self {
        let machine = Path::new("/etc").join(RESOLV_CONF);
        let files = of_namespace(netns).into_iter().chain([machine]);
        files.into_iter().find_map(|file| read(&file).ok()).unwrap_or_default()
    }

    /// Reads what can be read; the last of several search lists counts (resolv.conf(5)).
    pub fn parse(text: &str) -> Self {
        let mut conf = Self::default();
        for line in text.lines().filter(|line| !line.starts_with(['#', ';'])) {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => conf.servers.extend(words.next().and_then(address)),
                Some("search" | "domain") => conf.search = words.map(Into::into).collect(),
                _ => {}
            }
        }
        conf
    }
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

fn read(file: &Path) -> io::Result<ResolvConf> {
    let mut bytes = Vec::new();
    File::open(file)?.take(SIZE_MAX).read_to_end(&mut bytes)?;
    Ok(ResolvConf::parse(&String::from_utf8_lossy(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written() {
        let conf = ResolvConf::parse(
            "# nameserver 192.0.2.9\n\
             nameserver 10.96.0.10\n\
             search first.example\n\
             nameserver fe80::1%eth0 trailing\n\
             nameserver somewhere\n\
             search shop.svc.cluster.local svc.cluster.local\n\
             options ndots:5\n",
        );
        let ips = ["10.96.0.10", "fe80::1"].map(|ip| ip.parse::<IpAddr>().unwrap());
        assert_eq!(conf.servers, ips);
        let search: Vec<_> = conf.search.iter().map(|domain| &**domain).collect();
        assert_eq!(search, ["shop.svc.cluster.local", "svc.cluster.local"]);
    }

    #[test]
    fn where_it_is_looked_for() {
        let of = |netns| of_namespace(Path::new(netns));
        assert_eq!(of("/run/netns/web"), Some("/etc/netns/web/resolv.conf".into()));
        assert_eq!(of("/var/run/netns/web"), Some("/etc/netns/web/resolv.conf".into()));
        assert_eq!(of("/proc/1/ns/net"), None);
        let unread = ResolvConf::of_namespace(Path::new("/run/netns/there is no such one"));
        assert_eq!(unread, ResolvConf::of_namespace(Path::new("/proc/1/ns/net")));
    }

    proptest! {
        #[test]
        fn garbage_is_survived(text in any::<String>()) {
            ResolvConf::parse(&text);
        }
    }
}
