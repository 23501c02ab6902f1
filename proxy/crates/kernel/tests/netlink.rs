//! Links, addresses, routes and rules in namespaces of our own.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]
use culvert_kernel::{
    netlink::{Family, Netlink, NetlinkError},
    netns::{Netns, NetnsError},
};
use std::{
    error::Error as _,
    fs, io,
    io::{Read as _, Write as _},
    net::{IpAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
};

/// A namespace that goes with the test.
struct Room {
    name: String,
    netns: Netns,
}

impl Room {
    fn new(test: &str) -> Self {
        let name = format!("culvert-kt-{test}");
        Netns::delete_named(&name).unwrap();
        let netns = Netns::create_named(&name).unwrap();
        Self { name, netns }
    }

    fn netlink(&self) -> Netlink {
        Netlink::open_in(&self.netns).unwrap()
    }

    /// What `ip` of this machine says in the namespace.
    fn ip(&self, args: &str) -> String {
        let mut command = Command::new("ip");
        self.netns.place(command.args(args.split(' ')), None).unwrap();
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        Netns::delete_named(&self.name).unwrap();
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Two namespaces joined by a veth, with addresses of both families.
fn joined(test: &str) -> (Room, Room) {
    let (a, b) = (Room::new(&format!("{test}-a")), Room::new(&format!("{test}-b")));
    let (mut na, mut nb) = (a.netlink(), b.netlink());
    na.add_veth("to-b", "to-a", &b.netns).unwrap();
    for (netlink, dev, host) in [(&mut na, "to-b", 1), (&mut nb, "to-a", 2)] {
        netlink.link_up("lo").unwrap();
        netlink.link_up(dev).unwrap();
        netlink.add_addr(dev, ip(&format!("10.9.8.{host}")), 24).unwrap();
        netlink.add_addr(dev, ip(&format!("fd00:9::{host}")), 64).unwrap();
    }
    (a, b)
}

#[test]
fn a_veth_carries_connections_of_both_families_at_once() {
    let (a, b) = joined("carry");
    for address in ["10.9.8.2", "fd00:9::2"] {
        let listener = b.netns.run(|| TcpListener::bind((ip(address), 0))).unwrap().unwrap();
        let target = listener.local_addr().unwrap();
        let mut stream = a.netns.run(|| TcpStream::connect(target)).unwrap().unwrap();
        stream.write_all(b"hello").unwrap();
        drop(stream);
        let mut heard = String::new();
        listener.accept().unwrap().0.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "hello");
    }
}

#[test]
fn finds_the_link_of_an_address_and_the_other_end_of_a_veth() {
    let (a, b) = joined("peer");
    let (mut na, mut nb) = (a.netlink(), b.netlink());
    assert_eq!(nb.link_of(ip("10.9.8.2")).unwrap().as_deref(), Some("to-a"));
    assert_eq!(nb.link_of(ip("fd00:9::2")).unwrap().as_deref(), Some("to-a"));
    assert_eq!(nb.link_of(ip("10.9.8.1")).unwrap(), None);
    let there = na.link_index("to-b").unwrap();
    assert_eq!(nb.peer_index("to-a", &a.netns).unwrap(), Some(there));
    assert_eq!(nb.peer_index("to-a", &Netns::current().unwrap()).unwrap(), None);
    assert_eq!(nb.peer_index("lo", &a.netns).unwrap(), None);
}

#[test]
fn a_default_route_goes_through_its_gateway() {
    let (a, _b) = joined("route");
    let mut netlink = a.netlink();
    netlink.add_route(ip("0.0.0.0"), 0, Some(ip("10.9.8.2")), "to-b").unwrap();
    netlink.add_route(ip("::"), 0, Some(ip("fd00:9::2")), "to-b").unwrap();
    netlink.add_route(ip("10.1.0.0"), 16, None, "to-b").unwrap();
    assert!(a.ip("-4 route").contains("default via 10.9.8.2 dev to-b"));
    assert!(a.ip("-6 route").contains("default via fd00:9::2 dev to-b"));
    assert!(a.ip("-4 route").contains("10.1.0.0/16 dev to-b"));
    let again = netlink.add_route(ip("::"), 0, Some(ip("fd00:9::2")), "to-b").unwrap_err();
    assert_eq!(again.to_string(), "netlink: route add ::/0 via fd00:9::2 dev to-b");
    let source = again.source().unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(source.kind(), io::ErrorKind::AlreadyExists);
}

#[test]
fn rules_and_local_routes_can_be_added_twice_and_removed_twice() {
    let room = Room::new("rules");
    let mut netlink = room.netlink();
    netlink.link_up("lo").unwrap();
    let before = (room.ip("-4 rule"), room.ip("-6 rule"));
    for _ in 0..2 {
        for family in Family::ALL {
            netlink.add_fwmark_rule(family, 0x539, 1337).unwrap();
            netlink.add_local_default(family, 1337).unwrap();
        }
    }
    for family in ["-4", "-6"] {
        let rules = room.ip(&format!("{family} rule"));
        assert_eq!(rules.matches("fwmark 0x539 lookup 1337").count(), 1, "{rules}");
        let routes = room.ip(&format!("{family} route show table 1337"));
        assert!(routes.starts_with("local default dev lo"), "{routes}");
    }
    for _ in 0..2 {
        for family in Family::ALL {
            netlink.del_local_default(family, 1337).unwrap();
            netlink.del_fwmark_rule(family, 0x539, 1337).unwrap();
        }
    }
    assert_eq!((room.ip("-4 rule"), room.ip("-6 rule")), before);
    assert_eq!(room.ip("-4 route show table 1337"), "");
}

#[test]
fn a_link_that_is_not_there_is_removed_already() {
    let room = Room::new("absent");
    let mut netlink = room.netlink();
    netlink.del_link("nothing").unwrap();
    let missing = netlink.link_up("nothing").unwrap_err();
    assert!(matches!(missing, NetlinkError::Refused { .. }));
    assert_eq!(missing.to_string(), "netlink: link set nothing up");
}

#[test]
fn a_thread_enters_a_namespace_and_comes_back() {
    let room = Room::new("enter");
    let home = Netns::current().unwrap().inode();
    let inside = room.netns.run(|| Netns::current().unwrap().inode()).unwrap();
    assert_eq!(inside, room.netns.inode());
    assert_ne!(inside, home);
    assert_eq!(Netns::current().unwrap().inode(), home);
    let panicked = std::panic::catch_unwind(|| room.netns.run(|| panic!("on purpose")));
    assert!(panicked.is_err());
    assert_eq!(Netns::current().unwrap().inode(), home);
}

#[test]
fn cookies_tell_namespaces_apart() {
    let (one, two) = (Room::new("cookie-a"), Room::new("cookie-b"));
    let cookie = one.netns.cookie();
    assert_eq!(Netns::open(Netns::named_path(&one.name).unwrap()).unwrap().cookie(), cookie);
    if cookie.is_some() {
        assert_ne!(cookie, two.netns.cookie());
    }
}

#[test]
fn a_name_is_given_once_and_can_be_removed_twice() {
    let room = Room::new("twice");
    assert!(Netns::names().unwrap().contains(&room.name));
    assert!(matches!(Netns::create_named(&room.name), Err(NetnsError::Exists { .. })));
    Netns::delete_named(&room.name).unwrap();
    Netns::delete_named(&room.name).unwrap();
    assert!(!Netns::names().unwrap().contains(&room.name));
}

#[test]
fn ip_netns_can_enter_a_named_namespace() {
    let room = Room::new("ipexec");
    let status = Command::new("ip")
        .args(["netns", "exec", &room.name, "readlink", "/proc/self/ns/net"])
        .output()
        .unwrap();
    let shown = String::from_utf8(status.stdout).unwrap();
    assert_eq!(shown.trim(), format!("net:[{}]", room.netns.inode()));
}

#[test]
fn a_placed_command_starts_in_the_namespace() {
    let room = Room::new("placed");
    let mut command = Command::new("readlink");
    room.netns.place(command.arg("/proc/self/ns/net"), None).unwrap();
    let shown = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert_eq!(shown.trim(), format!("net:[{}]", room.netns.inode()));
    let refused = room.netns.place(&mut command, Some(Path::new("/no/such/cgroup")));
    assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::NotFound);
    // Nothing of the test may be left in the caller's own namespace.
    assert!(fs::read_link("/proc/thread-self/ns/net").is_ok());
}
