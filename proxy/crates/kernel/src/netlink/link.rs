//! Links and their addresses.
use super::{Family, Naming as _, Netlink, NetlinkError, unless};
use crate::netns::Netns;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    RouteNetlinkMessage,
    address::{AddressAttribute, AddressHeaderFlags, AddressMessage},
    link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage},
    nsid::{NsidAttribute, NsidMessage},
};
use std::{io, net::IpAddr, os::fd::AsRawFd as _};

impl Netlink {
    /// Brings a link up.
    ///
    /// # Errors
    ///
    /// When there is no such link.
    pub fn link_up(&mut self, name: &str) -> Result<(), NetlinkError> {
        let mut link = named(name);
        link.header.flags = LinkFlags::Up;
        link.header.change_mask = LinkFlags::Up;
        self.change(RouteNetlinkMessage::SetLink(link), 0).naming(|| format!("link set {name} up"))
    }

    /// Makes a pair of links, `name` here and `peer` in `peer_ns`; both are down.
    ///
    /// # Errors
    ///
    /// When either name is taken or longer than 15 bytes.
    pub fn add_veth(
        &mut self,
        name: &str,
        peer: &str,
        peer_ns: &Netns,
    ) -> Result<(), NetlinkError> {
        let mut other = named(peer);
        other.attributes.push(LinkAttribute::NetNsFd(peer_ns.fd().as_raw_fd()));
        let mut link = named(name);
        link.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(other))),
        ]));
        self.change(RouteNetlinkMessage::NewLink(link), NLM_F_CREATE | NLM_F_EXCL)
            .naming(|| format!("link add {name} type veth peer name {peer}"))
    }

    /// Removes a link, and with it its peer.
    ///
    /// # Errors
    ///
    /// When the kernel refuses, as it does for loopback.
    pub fn del_link(&mut self, name: &str) -> Result<(), NetlinkError> {
        let done = self.change(RouteNetlinkMessage::DelLink(named(name)), 0);
        unless(done, &[libc::ENODEV]).naming(|| format!("link delete {name}"))
    }

    /// The index of a link.
    ///
    /// # Errors
    ///
    /// When there is no such link.
    pub fn link_index(&mut self, name: &str) -> Result<u32, NetlinkError> {
        self.link(name).map(|link| link.header.index)
    }

    /// The index, in `home`, of the other end of a veth; `None` when that end is elsewhere or `name`
    /// is no veth.
    ///
    /// # Errors
    ///
    /// When there is no such link.
    pub fn peer_index(&mut self, name: &str, home: &Netns) -> Result<Option<u32>, NetlinkError> {
        let link = self.link(name)?;
        let all = || link.attributes.iter();
        let index =
            all().find_map(|a| if let LinkAttribute::Link(peer) = a { Some(*peer) } else { None });
        let netns = all()
            .find_map(|a| if let LinkAttribute::LinkNetNsId(id) = a { Some(*id) } else { None });
        let is_veth = all().any(|a| {
            matches!(a, LinkAttribute::LinkInfo(i) if i.contains(&LinkInfo::Kind(InfoKind::Veth)))
        });
        let at_home = netns.is_some() && netns == self.netns_id(home)?;
        Ok(index.filter(|_| is_veth && at_home))
    }

    /// The name of the link that has this address; `None` when none has.
    ///
    /// # Errors
    ///
    /// When the kernel does not answer.
    pub fn link_of(&mut self, ip: IpAddr) -> Result<Option<String>, NetlinkError> {
        let mut message = AddressMessage::default();
        message.header.family = Family::of(ip).into();
        let addresses = self
            .list(&RouteNetlinkMessage::GetAddress(message))
            .naming(|| "address show".to_owned())?;
        let index = addresses.into_iter().find_map(|answer| {
            let RouteNetlinkMessage::NewAddress(address) = answer else { return None };
            has(&address, ip).then_some(address.header.index)
        });
        let Some(index) = index else { return Ok(None) };
        let mut message = LinkMessage::default();
        message.header.index = index;
        let link = self.ask_link(message, || format!("link show index {index}"))?;
        Ok(link.attributes.into_iter().find_map(|attribute| {
            if let LinkAttribute::IfName(name) = attribute { Some(name) } else { None }
        }))
    }

    /// Adds an address, usable at once: nobody asks around for duplicates.
    ///
    /// # Errors
    ///
    /// When there is no such link or it has the address.
    pub fn add_addr(&mut self, name: &str, ip: IpAddr, prefix: u8) -> Result<(), NetlinkError> {
        let mut message = AddressMessage::default();
        message.header.family = Family::of(ip).into();
        message.header.prefix_len = prefix;
        message.header.index = self.link_index(name)?;
        message.attributes.extend([AddressAttribute::Local(ip), AddressAttribute::Address(ip)]);
        if ip.is_ipv6() {
            message.header.flags = AddressHeaderFlags::Nodad;
        }
        self.change(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL)
            .naming(|| format!("address add {ip}/{prefix} dev {name}"))
    }

    fn link(&mut self, name: &str) -> Result<LinkMessage, NetlinkError> {
        self.ask_link(named(name), || format!("link show {name}"))
    }

    fn ask_link(
        &mut self,
        message: LinkMessage,
        operation: impl Fn() -> String,
    ) -> Result<LinkMessage, NetlinkError> {
        let answers = self.ask(RouteNetlinkMessage::GetLink(message)).naming(&operation)?;
        let link = answers.into_iter().find_map(|answer| {
            if let RouteNetlinkMessage::NewLink(link) = answer { Some(link) } else { None }
        });
        link.ok_or_else(|| NetlinkError::Refused {
            operation: operation(),
            source: io::Error::from_raw_os_error(libc::ENODEV),
        })
    }

    /// What this namespace calls `other`; `None` when it never met it.
    fn netns_id(&mut self, other: &Netns) -> Result<Option<i32>, NetlinkError> {
        let fd = u32::try_from(other.fd().as_raw_fd()).ok();
        let mut message = NsidMessage::default();
        message.attributes.extend(fd.map(NsidAttribute::Fd));
        let answers = self
            .ask(RouteNetlinkMessage::GetNsId(message))
            .naming(|| "netns list-id".to_owned())?;
        let id = answers.into_iter().find_map(|answer| {
            let RouteNetlinkMessage::NewNsId(message) = answer else { return None };
            message.attributes.into_iter().find_map(|attribute| {
                if let NsidAttribute::Id(id) = attribute { Some(id) } else { None }
            })
        });
        // The kernel says "not assigned" by a negative number.
        Ok(id.filter(|id| *id >= 0))
    }
}

fn named(name: &str) -> LinkMessage {
    let mut link = LinkMessage::default();
    link.attributes.push(LinkAttribute::IfName(name.to_owned()));
    link
}

fn has(address: &AddressMessage, ip: IpAddr) -> bool {
    // IPv4 says its own address in Local, a point-to-point peer's in Address; IPv6 has only Address.
    let local = address.attributes.contains(&AddressAttribute::Local(ip));
    local || ip.is_ipv6() && address.attributes.contains(&AddressAttribute::Address(ip))
}
