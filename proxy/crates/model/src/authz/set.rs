//! What a condition compares with: sets that answer in the logarithm of their size.
use ipnet::IpNet;
use std::{collections::BTreeSet, fmt, net::IpAddr, sync::Arc};

mod parts;

/// Values of one kind: any of `is` (none: every value), and none of `is_not`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition<S> {
    pub is: S,
    pub is_not: S,
}

/// A set of values.
pub trait Set: fmt::Display {
    /// What is looked up; [`None`] inside it, where there is one, is in no set.
    type Value<'a>: Copy;

    fn is_empty(&self) -> bool;

    fn has(&self, value: Self::Value<'_>) -> bool;

    /// `value` for people.
    fn show(value: Self::Value<'_>) -> String;
}

/// How a string is compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StringMatch {
    Exact(Arc<str>),
    Prefix(Arc<str>),
    Suffix(Arc<str>),
    /// Any value, but there must be one.
    Presence,
}

/// Strings, each compared in its way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strings {
    /// Sorted by length, then letters: principals begin alike, and lengths tell them apart fast.
    exact: Box<[Arc<str>]>,
    prefixes: Box<[Arc<str>]>,
    suffixes: Box<[Arc<str>]>,
    presence: bool,
}

/// One service account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account {
    pub namespace: Arc<str>,
    pub service_account: Arc<str>,
}

/// Service accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts(Box<[Account]>);

/// Networks of both families; a v4-mapped address counts as IPv4.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    /// As they were given, for people.
    given: Box<[IpNet]>,
    /// Sorted and apart, first and last address each.
    ranges: Box<[(IpAddr, IpAddr)]>,
}

/// Ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ports(Box<[u16]>);

impl<S: Set> Condition<S> {
    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.is.is_empty() && self.is_not.is_empty()
    }

    /// Whether `value` is what it asks for.
    pub fn holds(&self, value: S::Value<'_>) -> bool {
        (self.is.is_empty() || self.is.has(value)) && !self.is_not.has(value)
    }
}

impl<S: Set> fmt::Display for Condition<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is.is_empty(), self.is_not.is_empty()) {
            (true, true) => f.write_str("anything"),
            (false, true) => write!(f, "{}", self.is),
            (true, false) => write!(f, "not {}", self.is_not),
            (false, false) => write!(f, "{} and not {}", self.is, self.is_not),
        }
    }
}

impl FromIterator<StringMatch> for Strings {
    fn from_iter<I: IntoIterator<Item = StringMatch>>(matches: I) -> Self {
        let (mut exact, mut prefixes, mut suffixes) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut presence = false;
        for one in matches {
            match one {
                StringMatch::Exact(s) => _ = exact.insert((s.len(), s)),
                StringMatch::Prefix(s) => _ = prefixes.insert(s),
                StringMatch::Suffix(s) => _ = suffixes.insert(s),
                StringMatch::Presence => presence = true,
            }
        }
        Self {
            exact: exact.into_iter().map(|(_, s)| s).collect(),
            prefixes: prefixes.into_iter().collect(),
            suffixes: suffixes.into_iter().collect(),
            presence,
        }
    }
}

impl Set for Strings {
    type Value<'a> = Option<&'a str>;

    fn is_empty(&self) -> bool {
        let Self { exact, prefixes, suffixes, presence } = self;
        exact.is_empty() && prefixes.is_empty() && suffixes.is_empty() && !presence
    }

    fn has(&self, value: Option<&str>) -> bool {
        let Self { exact, prefixes, suffixes, presence } = self;
        value.is_some_and(|value| {
            *presence
                || exact
                    .binary_search_by(|one| (one.len(), &**one).cmp(&(value.len(), value)))
                    .is_ok()
                || prefixes.iter().any(|prefix| value.starts_with(&**prefix))
                || suffixes.iter().any(|suffix| value.ends_with(&**suffix))
        })
    }

    fn show(value: Option<&str>) -> String {
        value.map_or_else(nobody, str::to_owned)
    }
}

impl fmt::Display for Strings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { exact, prefixes, suffixes, presence } = self;
        let exact = exact.iter().map(|s| s.to_string());
        let prefixes = prefixes.iter().map(|s| format!("{s}*"));
        let suffixes = suffixes.iter().map(|s| format!("*{s}"));
        let presence = presence.then(|| "*".to_owned());
        list(f, exact.chain(prefixes).chain(suffixes).chain(presence))
    }
}

impl FromIterator<Account> for Accounts {
    fn from_iter<I: IntoIterator<Item = Account>>(accounts: I) -> Self {
        let accounts: BTreeSet<Account> = accounts.into_iter().collect();
        Self(accounts.into_iter().collect())
    }
}

impl Set for Accounts {
    /// Namespace and service account.
    type Value<'a> = Option<(&'a str, &'a str)>;

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn has(&self, value: Option<(&str, &str)>) -> bool {
        value.is_some_and(|value| {
            self.0
                .binary_search_by(|one| (&*one.namespace, &*one.service_account).cmp(&value))
                .is_ok()
        })
    }

    fn show(value: Option<(&str, &str)>) -> String {
        value.map_or_else(nobody, |(namespace, account)| format!("{namespace}/{account}"))
    }
}

impl fmt::Display for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(f, self.0.iter().map(|one| format!("{}/{}", one.namespace, one.service_account)))
    }
}

impl FromIterator<IpNet> for Networks {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        let given: Box<[IpNet]> = networks.into_iter().map(|net| canonical(net.trunc())).collect();
        let mut ends: Vec<_> = given.iter().map(|net| (net.network(), net.broadcast())).collect();
        ends.sort_unstable();
        let mut ranges: Vec<(IpAddr, IpAddr)> = Vec::with_capacity(ends.len());
        for (first, last) in ends {
            match ranges.last_mut() {
                // Networks are nested or apart, and IPv4 sorts before IPv6.
                Some((_, before)) if first <= *before => *before = last.max(*before),
                Some(_) | None => ranges.push((first, last)),
            }
        }
        Self { given, ranges: ranges.into() }
    }
}

impl Set for Networks {
    type Value<'a> = IpAddr;

    fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    fn has(&self, value: IpAddr) -> bool {
        let value = value.to_canonical();
        let after = self.ranges.partition_point(|(first, _)| *first <= value);
        after.checked_sub(1).is_some_and(|at| value <= self.ranges[at].1)
    }

    fn show(value: IpAddr) -> String {
        value.to_string()
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(f, self.given.iter())
    }
}

impl FromIterator<u16> for Ports {
    fn from_iter<I: IntoIterator<Item = u16>>(ports: I) -> Self {
        let ports: BTreeSet<u16> = ports.into_iter().collect();
        Self(ports.into_iter().collect())
    }
}

impl Set for Ports {
    type Value<'a> = u16;

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn has(&self, value: u16) -> bool {
        self.0.binary_search(&value).is_ok()
    }

    fn show(value: u16) -> String {
        value.to_string()
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(f, self.0.iter())
    }
}

/// `net` as IPv4 when it lies in `::ffff:0:0/96`.
fn canonical(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let v4 = v6.addr().to_ipv4_mapped();
    let prefix = v6.prefix_len().checked_sub(96);
    v4.zip(prefix)
        .and_then(|(addr, prefix)| IpNet::new(IpAddr::V4(addr), prefix).ok())
        .unwrap_or(net)
}

/// What there is where the connection is plain text.
fn nobody() -> String {
    "nobody (plain text)".to_owned()
}

/// Writes `[a, b]`, or `a` alone.
fn list<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    items: impl IntoIterator<Item = T>,
) -> fmt::Result {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    match &*items {
        [one] => f.write_str(one),
        several => write!(f, "[{}]", several.join(", ")),
    }
}

#[cfg(test)]
mod tests;
