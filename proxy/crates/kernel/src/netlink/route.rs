//! Routes, and the rules that choose between tables of them.
use super::{Family, Naming as _, Netlink, NetlinkError, unless};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    RouteNetlinkMessage,
    route::{RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType},
    rule::{RuleAction, RuleAttribute, RuleMessage},
};
use std::net::IpAddr;

/// Where our rule stands: behind `local` (0), before whatever a CNI plugin added.
///
/// Given, because rules without a priority get one each and are never the same.
const RULE_PRIORITY: u32 = 90;

/// Who made it (`rtnetlink(7)`: above those that the kernel and `ip` use): what is removed is ours
/// only, also when somebody else made the same.
const PROTOCOL: RouteProtocol = RouteProtocol::Other(0xc7);

/// A removal's "not there": no such rule, no such route or table, no such device, no such family.
const ABSENT: &[i32] =
    &[libc::ENOENT, libc::ESRCH, libc::ENODEV, libc::EAFNOSUPPORT, libc::EOPNOTSUPP];

/// An addition's "there already".
const PRESENT: &[i32] = &[libc::EEXIST];

impl Netlink {
    /// Adds a route to `network`/`prefix` by `dev`, through `via` if the network is not on the link.
    ///
    /// # Errors
    ///
    /// When there is such a route, no such device, or `via` cannot be reached by it.
    pub fn add_route(
        &mut self,
        network: IpAddr,
        prefix: u8,
        via: Option<IpAddr>,
        dev: &str,
    ) -> Result<(), NetlinkError> {
        let mut route = RouteMessage::default();
        route.header.address_family = Family::of(network).into();
        route.header.destination_prefix_length = prefix;
        route.header.table = RouteHeader::RT_TABLE_MAIN;
        route.header.protocol = RouteProtocol::Static;
        route.header.kind = RouteType::Unicast;
        route.header.scope = if via.is_some() { RouteScope::Universe } else { RouteScope::Link };
        if prefix > 0 {
            route.attributes.push(RouteAttribute::Destination(network.into()));
        }
        route.attributes.extend(via.map(|via| RouteAttribute::Gateway(via.into())));
        route.attributes.push(RouteAttribute::Oif(self.link_index(dev)?));
        self.change(RouteNetlinkMessage::NewRoute(route), NLM_F_CREATE | NLM_F_EXCL).naming(|| {
            let via = via.map(|via| format!(" via {via}")).unwrap_or_default();
            format!("route add {network}/{prefix}{via} dev {dev}")
        })
    }

    /// Sends packets with `mark` to `table`.
    ///
    /// # Errors
    ///
    /// When the kernel lacks policy routing or the address family.
    pub fn add_fwmark_rule(
        &mut self,
        family: Family,
        mark: u32,
        table: u32,
    ) -> Result<(), NetlinkError> {
        let rule = RouteNetlinkMessage::NewRule(fwmark_rule(family, mark, table));
        let done = self.change(rule, NLM_F_CREATE | NLM_F_EXCL);
        unless(done, PRESENT).naming(|| format!("rule add fwmark {mark:#x} lookup {table}"))
    }

    /// Undoes [`Self::add_fwmark_rule`].
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn del_fwmark_rule(
        &mut self,
        family: Family,
        mark: u32,
        table: u32,
    ) -> Result<(), NetlinkError> {
        let rule = RouteNetlinkMessage::DelRule(fwmark_rule(family, mark, table));
        let done = self.change(rule, 0);
        unless(done, ABSENT).naming(|| format!("rule delete fwmark {mark:#x} lookup {table}"))
    }

    /// Makes every address local as far as `table` is concerned.
    ///
    /// # Errors
    ///
    /// When loopback is down or the address family is missing.
    pub fn add_local_default(&mut self, family: Family, table: u32) -> Result<(), NetlinkError> {
        let route = self.local_default(family, table)?;
        let done = self.change(RouteNetlinkMessage::NewRoute(route), NLM_F_CREATE | NLM_F_EXCL);
        unless(done, PRESENT).naming(|| format!("route add local default dev lo table {table}"))
    }

    /// Undoes [`Self::add_local_default`].
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn del_local_default(&mut self, family: Family, table: u32) -> Result<(), NetlinkError> {
        let route = self.local_default(family, table)?;
        let done = self.change(RouteNetlinkMessage::DelRoute(route), 0);
        unless(done, ABSENT).naming(|| format!("route delete local default dev lo table {table}"))
    }

    fn local_default(&mut self, family: Family, table: u32) -> Result<RouteMessage, NetlinkError> {
        let mut route = RouteMessage::default();
        route.header.address_family = family.into();
        route.header.protocol = PROTOCOL;
        route.header.kind = RouteType::Local;
        // IPv6 has no scopes of routes.
        route.header.scope = match family {
            Family::V4 => RouteScope::Host,
            Family::V6 => RouteScope::Universe,
        };
        route.attributes.push(RouteAttribute::Oif(self.link_index("lo")?));
        route.attributes.push(RouteAttribute::Table(table));
        Ok(route)
    }
}

fn fwmark_rule(family: Family, mark: u32, table: u32) -> RuleMessage {
    let mut rule = RuleMessage::default();
    rule.header.family = family.into();
    rule.header.action = RuleAction::ToTable;
    rule.attributes.extend([
        RuleAttribute::Priority(RULE_PRIORITY),
        RuleAttribute::FwMark(mark),
        RuleAttribute::Table(table),
        RuleAttribute::Protocol(PROTOCOL),
    ]);
    rule
}
