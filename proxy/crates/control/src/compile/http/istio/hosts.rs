//! Who is meant by a name, and who may use what.
use crate::{
    compile::{http::plan::Clients, service::hostname},
    object::{
        istio::domain::{ExportTo, HostPattern, Namespaces},
        service::{Service, Vip},
        service_entry::ServiceEntry,
        spanned::Spanned,
    },
};
use culvert_model::name::{ObjectName, ServiceName};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Whom a service of Kubernetes is shown to: namespaces, joined by commas.
const EXPORT_TO: &str = "networking.istio.io/exportTo";

/// Services by their host names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    by_host: BTreeMap<Arc<str>, Vec<Known>>,
    /// By the objects that name several.
    by_entry: BTreeMap<ObjectName, Vec<ServiceName>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    name: ServiceName,
    /// `None`: every namespace.
    visible: Option<BTreeSet<Arc<str>>>,
    /// It is none of the mesh.
    is_external: bool,
}

impl Hosts {
    /// Those of some objects.
    pub fn of<'a>(
        services: impl IntoIterator<Item = &'a Service>,
        entries: impl IntoIterator<Item = &'a ServiceEntry>,
    ) -> Self {
        let mut hosts = Self::default();
        // What is an alias is in no mesh: its name is somebody else's.
        let services = services.into_iter().filter(|service| service.vips != Vip::External);
        for service in services {
            let name = &service.meta.name;
            let exported = service.meta.annotation(EXPORT_TO).unwrap_or_default();
            let exported: Vec<&str> = exported.split(',').map(str::trim).collect();
            let host = hostname(&name.namespace, &name.name);
            hosts.add(host, &name.namespace, &exported, false);
        }
        for entry in entries {
            let exported: Vec<&str> = entry.export_to.iter().map(String::as_str).collect();
            let name = &entry.meta.name;
            for host in &entry.hosts {
                let host: Arc<str> = host.value.to_ascii_lowercase().into();
                let service = ServiceName::new(Arc::clone(&name.namespace), Arc::clone(&host));
                hosts.by_entry.entry(name.clone()).or_default().push(service);
                hosts.add(host, &name.namespace, &exported, entry.is_external);
            }
        }
        for same in hosts.by_host.values_mut() {
            same.sort_by(|a, b| a.name.cmp(&b.name));
            same.dedup_by(|next, one| {
                let is_same = next.name == one.name;
                one.is_external |= is_same && next.is_external;
                is_same
            });
        }
        hosts
    }

    fn add(&mut self, host: Arc<str>, namespace: &Arc<str>, exported: &[&str], is_external: bool) {
        let exported: Vec<&str> = exported.iter().copied().filter(|one| !one.is_empty()).collect();
        let visible = if exported.is_empty() || exported.contains(&"*") {
            None
        } else {
            let said = exported.iter().filter(|one| **one != "~");
            Some(
                said.map(|one| if *one == "." { Arc::clone(namespace) } else { Arc::from(*one) })
                    .collect(),
            )
        };
        let name = ServiceName::new(Arc::clone(namespace), Arc::clone(&host));
        self.by_host.entry(host).or_default().push(Known { name, visible, is_external });
    }

    /// The service that an object of `namespace` means by `host`.
    pub(super) fn find(&self, host: &str, namespace: &str) -> Option<&ServiceName> {
        let same = self.by_host.get(&*full(host, namespace))?;
        let seen = same.iter().filter(|known| known.is_seen_by(namespace));
        // That of its own namespace; else of another.
        seen.min_by_key(|known| *known.name.namespace != *namespace).map(|known| &known.name)
    }

    /// Whether there is a service.
    pub(super) fn has(&self, name: &ServiceName) -> bool {
        let same = self.by_host.get(&name.hostname).into_iter().flatten();
        same.into_iter().any(|known| known.name == *name)
    }

    /// The services of a `ServiceEntry`.
    pub(super) fn of_entry(&self, entry: &ObjectName) -> &[ServiceName] {
        self.by_entry.get(entry).map(Vec::as_slice).unwrap_or_default()
    }

    /// Services that a pattern, whole, stands for.
    pub(super) fn covered(&self, pattern: &HostPattern) -> impl Iterator<Item = &ServiceName> {
        self.known(pattern).map(|known| &known.name)
    }

    /// The same of the mesh alone.
    pub(super) fn inside(&self, pattern: &HostPattern) -> impl Iterator<Item = &ServiceName> {
        self.known(pattern).filter(|known| !known.is_external).map(|known| &known.name)
    }

    fn known(&self, pattern: &HostPattern) -> impl Iterator<Item = &Known> {
        let is_one = !pattern.is_wildcard();
        let one = is_one.then(|| self.by_host.get(pattern.as_str())).flatten();
        let all = self.by_host.iter().filter(move |(host, _)| !is_one && pattern.covers(host));
        let all = one.into_iter().chain(all.map(|(_, same)| same));
        all.flatten()
    }
}

impl Known {
    fn is_seen_by(&self, namespace: &str) -> bool {
        self.visible.as_ref().is_none_or(|all| all.contains(namespace))
    }
}

/// The whole of a host that an object of `namespace` writes: a name without dots is of its own
/// namespace.
pub(super) fn full(host: &str, namespace: &str) -> Arc<str> {
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.contains('.') || host.starts_with('*') || host.contains(':') {
        return host.into();
    }
    hostname(namespace, host)
}

/// The same of a pattern.
pub(super) fn full_pattern(pattern: &HostPattern, namespace: &str) -> HostPattern {
    let whole = full(pattern.as_str(), namespace);
    HostPattern::try_from(whole.to_string()).unwrap_or_else(|_| pattern.clone())
}

/// For whom an object of `own` is; `None`: for nobody.
pub(super) fn clients(export_to: &[Spanned<ExportTo>], own: &str) -> Option<Clients> {
    let said = || export_to.iter().map(|one| &one.value.0);
    if export_to.is_empty() || said().any(|one| *one == Namespaces::All) {
        return Some(Clients::default());
    }
    let namespaces: BTreeSet<Arc<str>> = said()
        .filter_map(|one| match one {
            Namespaces::Own => Some(own.into()),
            Namespaces::One(name) => Some(name.as_str().into()),
            Namespaces::All | Namespaces::None => None,
        })
        .collect();
    let someone = !namespaces.is_empty();
    someone.then(|| Clients { namespaces: Some(namespaces), ..Clients::default() })
}

/// What orders hosts that cover a service: the one that says most first.
pub(super) fn generality(pattern: &HostPattern) -> (bool, std::cmp::Reverse<usize>) {
    (pattern.is_wildcard(), std::cmp::Reverse(pattern.as_str().len()))
}
