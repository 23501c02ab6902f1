//! Sysctls of the pod's namespace.
//!
//! `/proc/sys/net` shows the namespace of whoever opens a file in it.
use crate::{netns::Netns, pod::EnrolError, sockets::ports::UPPER};
use std::{collections::BTreeMap, fs, io, ops::RangeInclusive};

/// One sysctl that must have a value.
struct Sysctl {
    /// Below `/proc/sys/net`.
    name: &'static str,
    value: Value,
    family: Family,
}

enum Value {
    Exactly(&'static str),
    /// What is there, and these ports.
    WithPorts(RangeInclusive<u16>),
}

#[derive(PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

const SYSCTLS: [Sysctl; 5] = [
    // All captured connections of a pod go to one address and port; without it, their TIME_WAIT
    // uses up the range after 28,000.
    Sysctl { name: "ipv4/tcp_tw_reuse", value: Value::Exactly("1"), family: Family::V4 },
    // The application's accepted socket gets the mark of the delivery's SYN, and its answers our
    // route.
    Sysctl { name: "ipv4/tcp_fwmark_accept", value: Value::Exactly("1"), family: Family::V4 },
    // So do the resets of closed ports.
    Sysctl { name: "ipv4/fwmark_reflect", value: Value::Exactly("1"), family: Family::V4 },
    Sysctl { name: "ipv6/fwmark_reflect", value: Value::Exactly("1"), family: Family::V6 },
    // A client that used a delivery's port towards the same destination would wait for nothing.
    Sysctl {
        name: "ipv4/ip_local_reserved_ports",
        value: Value::WithPorts(UPPER),
        family: Family::V4,
    },
];

/// What is there now, by name.
pub(crate) fn current(netns: &Netns, v6: bool) -> Result<BTreeMap<String, String>, EnrolError> {
    in_netns(netns, || {
        let read = |sysctl: &Sysctl| Ok((sysctl.name.to_owned(), sysctl.read()?));
        wanted(v6).map(read).collect()
    })
}

/// Sets what is wanted, given what was there before the pod was first enrolled.
pub(crate) fn apply(netns: &Netns, v6: bool) -> Result<(), EnrolError> {
    in_netns(netns, || {
        for sysctl in wanted(v6) {
            let now = sysctl.read()?;
            let value = sysctl.wanted(&now);
            if value != now {
                sysctl.write(&value)?;
            }
        }
        Ok(())
    })
}

/// Puts the old values back, except where somebody changed ours since.
pub(crate) fn restore(netns: &Netns, old: &BTreeMap<String, String>) -> Result<(), EnrolError> {
    in_netns(netns, || {
        for sysctl in &SYSCTLS {
            let Some(old) = old.get(sysctl.name) else { continue };
            if sysctl.read()? == sysctl.wanted(old) {
                sysctl.write(old)?;
            }
        }
        Ok(())
    })
}

/// Reads one sysctl of the calling thread's namespace.
pub(crate) fn read(name: &str) -> io::Result<String> {
    Ok(fs::read_to_string(format!("/proc/sys/net/{name}"))?.trim().to_owned())
}

/// A list of ports as the kernel writes it: `1,3-5`.
pub(crate) fn parse_ports(list: &str) -> impl Iterator<Item = RangeInclusive<u16>> {
    list.split(',').filter_map(|part| {
        let part = part.trim();
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    })
}

impl Sysctl {
    fn read(&self) -> Result<String, EnrolError> {
        read(self.name).map_err(|source| EnrolError::Sysctl {
            what: "read",
            name: self.name,
            source,
        })
    }

    fn write(&self, value: &str) -> Result<(), EnrolError> {
        // Nothing at all would not reach the kernel.
        let line = format!("{value}\n");
        fs::write(format!("/proc/sys/net/{}", self.name), line)
            .map_err(|source| EnrolError::Sysctl { what: "write", name: self.name, source })
    }

    /// What it is to be where `now` is there.
    fn wanted(&self, now: &str) -> String {
        match &self.value {
            Value::Exactly(value) => (*value).to_owned(),
            Value::WithPorts(ports) => with_ports(now, ports),
        }
    }
}

fn wanted(v6: bool) -> impl Iterator<Item = &'static Sysctl> {
    SYSCTLS.iter().filter(move |sysctl| v6 || sysctl.family == Family::V4)
}

fn in_netns<T>(netns: &Netns, f: impl FnOnce() -> Result<T, EnrolError>) -> Result<T, EnrolError> {
    netns.run(f).map_err(EnrolError::Enter)?
}

/// A list of ports and ranges together with `more`, as the kernel writes it: sorted, merged.
fn with_ports(list: &str, more: &RangeInclusive<u16>) -> String {
    let mut ranges: Vec<_> = parse_ports(list).filter(|range| !range.is_empty()).collect();
    ranges.push(more.clone());
    ranges.sort_by_key(|range| *range.start());
    let mut merged: Vec<RangeInclusive<u16>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            // Neighbours too: the kernel keeps a bitmap.
            Some(last) if u32::from(*range.start()) <= u32::from(*last.end()) + 1 => {
                *last = *last.start()..=*last.end().max(range.end());
            }
            _ => merged.push(range),
        }
    }
    let write = |range: &RangeInclusive<u16>| match (range.start(), range.end()) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    };
    merged.iter().map(write).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn adds_ports_to_what_is_reserved() {
        assert_eq!(with_ports("", &UPPER), "61000-65535");
        assert_eq!(with_ports("8080,9000-9010", &UPPER), "8080,9000-9010,61000-65535");
        assert_eq!(with_ports("60000-60999,62000", &UPPER), "60000-65535");
    }

    proptest! {
        #[test]
        fn keeps_every_port_and_adding_twice_changes_nothing(
            ranges in prop::collection::vec((any::<u16>(), 0..2000_u16), 0..10),
        ) {
            let ranges: Vec<_> =
                ranges.into_iter().map(|(a, n)| a..=a.saturating_add(n)).collect();
            let list = ranges.iter().map(|r| format!("{}-{}", r.start(), r.end()));
            let merged = with_ports(&list.collect::<Vec<_>>().join(","), &UPPER);
            let got: BTreeSet<u16> = parse_ports(&merged).flatten().collect();
            let want: BTreeSet<u16> = ranges.into_iter().flatten().chain(UPPER).collect();
            prop_assert_eq!(got, want);
            prop_assert_eq!(with_ports(&merged, &UPPER), merged);
        }
    }
}
