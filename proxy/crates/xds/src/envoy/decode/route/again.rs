//! A table of which most is as it was: virtual hosts whose bytes did not change are taken over.
//!
//! Of ten thousand hosts one changes at a time, and state of the world says them all.
use super::{Around, Got, Path, decode, no_domain_twice};
use culvert_model::http::route::{RouteTable, VirtualHost};
use culvert_proto::{api::envoy::config::route::v3 as pb, fields};
use std::{collections::HashMap, sync::Arc};

/// `RouteConfiguration.virtual_hosts`.
const HOSTS: u32 = 2;

/// A table as it was, and the bytes that it was made of and of nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Before<'a> {
    pub bytes: &'a [u8],
    pub table: &'a RouteTable,
}

/// The table that `bytes` are; `None` where only a look at all of it says what is wrong.
pub(in super::super) fn changed(
    bytes: &[u8],
    before: Before<'_>,
    around: &dyn Around,
    read: impl FnOnce(&[u8]) -> Got<pb::RouteConfiguration>,
) -> Option<RouteTable> {
    let old: Vec<&[u8]> = hosts(&fields::of(before.bytes)?).collect();
    if old.len() != before.table.hosts.len() {
        return None;
    }
    let fields = fields::of(bytes)?;
    let taken = taken(&old, &hosts(&fields).collect::<Vec<_>>(), before.table);
    // What is left: all that is no host, and the hosts that were not there before.
    let mut are_taken = taken.iter().map(Option::is_some);
    let mut is_left =
        |field: &&fields::Field<'_>| field.number != HOSTS || !are_taken.next().unwrap_or(false);
    let left: Vec<&[u8]> =
        fields.iter().filter(|field| is_left(field)).map(|field| field.whole).collect();
    let message = read(&left.concat()).ok()?;
    let mut table = decode(&message, &Path::root(), around, false).ok()?;
    let mut new = std::mem::take(&mut table.hosts).into_iter();
    let all: Option<Box<[Arc<VirtualHost>]>> =
        taken.into_iter().map(|host| host.or_else(|| new.next())).collect();
    table.hosts = all?;
    let alike = |(old, new): (&Arc<VirtualHost>, &Arc<VirtualHost>)| {
        Arc::ptr_eq(old, new) || old.name == new.name && old.domains == new.domains
    };
    let pairs = || before.table.hosts.iter().zip(&table.hosts);
    if before.table.hosts.len() != table.hosts.len() || !pairs().all(alike) {
        no_domain_twice(&table.hosts, &Path::root()).ok()?;
    }
    Some(table)
}

/// The bytes of each host.
fn hosts<'a>(fields: &[fields::Field<'a>]) -> impl Iterator<Item = &'a [u8]> {
    fields.iter().filter(|field| field.number == HOSTS).map(|field| field.whole)
}

/// For each host the one that it was, if it was there.
fn taken(old: &[&[u8]], new: &[&[u8]], table: &RouteTable) -> Vec<Option<Arc<VirtualHost>>> {
    // What changes is a few that stand together; before and behind them all is the same.
    let same = |(old, new): &(&&[u8], &&[u8])| old == new;
    let before = old.iter().zip(new).take_while(same).count();
    let (old_rest, new_rest) = (&old[before..], &new[before..]);
    let behind = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(same).count();
    let (old_end, new_end) = (old.len() - behind, new.len() - behind);
    let between: HashMap<&[u8], usize> =
        old[before..old_end].iter().copied().zip(before..).collect();
    let place = |(at, host): (usize, &&[u8])| {
        if at < before {
            Some(at)
        } else if new_end <= at {
            Some(old_end + (at - new_end))
        } else {
            between.get(host).copied()
        }
    };
    let places = new.iter().enumerate().map(place);
    places.map(|at| table.hosts.get(at?).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envoy::decode::{Nothing, changed_routes, routes};
    use culvert_proto::{Message as _, json};
    use proptest::prelude::*;

    /// A table of virtual hosts, by their names, domains and what they answer.
    fn table(hosts: &[(u8, u8, u8)], ignore_port: bool) -> Vec<u8> {
        let hosts: Vec<_> = hosts
            .iter()
            .map(|(name, domain, body)| {
                format!(
                    "{{name: h{name}, domains: [d{domain}.example], routes: [{{match: {{prefix: /}}, \
                     direct_response: {{status: {}, body: {{inline_string: b{body}}}}}}}]}}",
                    // 600 is none: such a host is refused.
                    if *body == 9 { 600 } else { 200 }
                )
            })
            .collect();
        let yaml = format!(
            "{{name: t, ignore_port_in_host_matching: {ignore_port}, virtual_hosts: [{}]}}",
            hosts.join(", ")
        );
        let message: pb::RouteConfiguration =
            json::read(&json::yaml::read(&yaml).unwrap()).unwrap();
        message.encode_to_vec()
    }

    fn some_hosts() -> impl Strategy<Value = Vec<(u8, u8, u8)>> {
        prop::collection::vec((0_u8..6, 0_u8..6, 0_u8..10), 0..6)
    }

    proptest! {
        #[test]
        fn a_changed_table_is_what_it_would_be_without_one_before(
            before in some_hosts(),
            after in some_hosts(),
            ignore_port: bool,
        ) {
            let bytes = table(&before, false);
            let Ok(held) = routes(&bytes, &Nothing) else { return Ok(()) };
            let changed = table(&after, ignore_port);
            let before = Before { bytes: &bytes, table: &held };
            let got = changed_routes(&changed, before, &Nothing);
            prop_assert_eq!(&got, &routes(&changed, &Nothing));
            for (at, host) in got.iter().flat_map(|table| table.hosts.iter().enumerate()) {
                // What stays where it was is the same one, not another like it.
                if let Some(old) = held.hosts.get(at).filter(|old| *old == host) {
                    prop_assert!(Arc::ptr_eq(old, host));
                }
            }
        }
    }
}
