//! Which virtual host a host's name belongs to.
use std::{borrow::Cow, collections::HashMap, sync::Arc};

use culvert_model::http::route::{Domain, VirtualHost};

/// The domains of a table: exact names first, then suffixes, then prefixes, each the longest
/// first, then `*`.
#[derive(Debug)]
pub(super) struct Hosts {
    exact: HashMap<Arc<str>, usize>,
    suffixes: Box<[OfLength]>,
    prefixes: Box<[OfLength]>,
    any: Option<usize>,
}

/// Wildcards of one length.
#[derive(Debug)]
struct OfLength {
    length: usize,
    hosts: HashMap<Arc<str>, usize>,
}

impl Hosts {
    /// Of a domain that is there twice, the first counts.
    pub(super) fn new(hosts: &[Arc<VirtualHost>]) -> Self {
        let mut exact = HashMap::new();
        let mut suffixes = HashMap::new();
        let mut prefixes = HashMap::new();
        let mut any = None;
        for (at, host) in hosts.iter().enumerate() {
            for domain in &host.domains {
                match domain {
                    Domain::Exact(name) => {
                        exact.entry(Arc::clone(name)).or_insert(at);
                    }
                    Domain::Suffix(suffix) => {
                        suffixes.entry(Arc::clone(suffix)).or_insert(at);
                    }
                    Domain::Prefix(prefix) => {
                        prefixes.entry(Arc::clone(prefix)).or_insert(at);
                    }
                    Domain::Any => {
                        any.get_or_insert(at);
                    }
                }
            }
        }
        Self { exact, suffixes: by_length(suffixes), prefixes: by_length(prefixes), any }
    }

    /// The virtual host of a name; none is for the empty one, unless there is only `*`.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        if self.exact.is_empty() && self.suffixes.is_empty() && self.prefixes.is_empty() {
            return self.any;
        }
        if name.is_empty() {
            return None;
        }
        let name = lower(name);
        self.exact
            .get(&*name)
            .copied()
            .or_else(|| wildcard(&self.suffixes, &name, |n, l| n.get(n.len() - l..)))
            .or_else(|| wildcard(&self.prefixes, &name, |n, l| n.get(..l)))
            .or(self.any)
    }
}

/// A wildcard stands for one character at least.
fn wildcard(
    lengths: &[OfLength],
    name: &str,
    part: impl Fn(&str, usize) -> Option<&str>,
) -> Option<usize> {
    let shorter = lengths.iter().filter(|of| of.length < name.len());
    let mut found = shorter.filter_map(|of| of.hosts.get(part(name, of.length)?).copied());
    found.next()
}

/// The longest first.
fn by_length(hosts: HashMap<Arc<str>, usize>) -> Box<[OfLength]> {
    let mut lengths: Vec<OfLength> = Vec::new();
    for (name, at) in hosts {
        let length = name.len();
        if let Some(same) = lengths.iter_mut().find(|of| of.length == length) {
            same.hosts.insert(name, at);
        } else {
            lengths.push(OfLength { length, hosts: HashMap::from([(name, at)]) });
        }
    }
    lengths.sort_by_key(|of| std::cmp::Reverse(of.length));
    lengths.into()
}

fn lower(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

/// Where the port of a host begins, its colon included.
#[must_use]
pub fn port_start(host: &str) -> Option<usize> {
    let colon = host.rfind(':')?;
    // The colons of an IPv6 address are inside brackets.
    if host.rfind(']').is_some_and(|bracket| bracket > colon) { None } else { Some(colon) }
}

/// A host without its port.
#[must_use]
pub fn without_port(host: &str) -> &str {
    port_start(host).and_then(|colon| host.get(..colon)).unwrap_or(host)
}
