//! Which names may be meant by one: pods write them short, and their resolvers append what they
//! were told to.

/// The label that tells services from everything else in the cluster's domain.
const SVC: &str = "svc";

/// What names are completed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domains {
    /// `cluster.local`; in lower case, no dot at its end.
    cluster: Box<str>,
    /// `svc.cluster.local`.
    services: Box<str>,
}

/// A name that may be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Alias {
    pub(super) host: String,
    /// How many labels the pod wrote itself, when the others are a search domain.
    pub(super) written: Option<usize>,
}

impl Domains {
    /// Those of a cluster.
    ///
    /// Search domains that a pod has besides are not for us to take off: what is below them are
    /// names of others.
    pub fn new(cluster: &str) -> Self {
        let cluster = cluster.trim_matches('.').to_ascii_lowercase();
        Self { services: format!("{SVC}.{cluster}").into(), cluster: cluster.into() }
    }

    /// The service and, before it, a pod that `host` can name besides what it names as a whole.
    pub(super) fn pod_of<'a>(&self, host: &'a str) -> Option<(&'a str, &'a str)> {
        let (pod, service) = host.split_once('.')?;
        let (_, rest) = service.split_once('.')?;
        let (_, rest) = rest.split_once('.')?;
        (*rest == *self.services).then_some((pod, service))
    }

    /// Whether `host` is a service's of the cluster.
    pub(super) fn is_of_cluster(&self, host: &str) -> bool {
        under(host, &self.services).is_some()
    }

    /// What `host` may mean to a pod of `namespace`, the likeliest first; nothing twice.
    pub(super) fn aliases(&self, host: &str, namespace: &str) -> Vec<Alias> {
        let mut aliases = Vec::new();
        let mut add = |host: String, written| {
            if !aliases.iter().any(|alias: &Alias| alias.host == host) {
                aliases.push(Alias { host, written });
            }
        };
        add(host.to_owned(), None);
        self.complete(host, namespace, |host| add(host, None));
        let of_namespace = format!("{namespace}.{}", self.services);
        for domain in [&*of_namespace, &*self.services, &*self.cluster] {
            if let Some(stripped) = under(host, domain) {
                let written = Some(stripped.split('.').count());
                add(stripped.to_owned(), written);
                self.complete(stripped, namespace, |host| add(host, written));
            }
        }
        aliases
    }

    /// The whole names that `host` may be the beginning of.
    fn complete(&self, host: &str, namespace: &str, mut add: impl FnMut(String)) {
        let Self { cluster, services, .. } = self;
        let labels = host.split('.').count();
        let is_service = host.rsplit('.').next() == Some(SVC);
        match labels {
            // <service>
            1 => add(format!("{host}.{namespace}.{services}")),
            2 => {
                // <service>.<namespace>
                add(format!("{host}.{services}"));
                // <pod>.<service>
                add(format!("{host}.{namespace}.{services}"));
            }
            3 | 4 => {
                // <service>.<namespace>.svc, or with a pod before
                if is_service {
                    add(format!("{host}.{cluster}"));
                }
                // <pod>.<service>.<namespace>
                if labels == 3 {
                    add(format!("{host}.{services}"));
                }
            }
            _ => {}
        }
    }
}

/// What `host` has before `domain`.
fn under<'a>(host: &'a str, domain: &str) -> Option<&'a str> {
    host.strip_suffix(domain)?.strip_suffix('.').filter(|rest| !rest.is_empty())
}

/// The name, then the wildcards it falls under, the narrowest first; not the one of everything.
pub(super) fn wildcards(host: &str) -> impl Iterator<Item = String> {
    let mut rest = host;
    let above = std::iter::from_fn(move || {
        let (_, above) = rest.split_once('.')?;
        rest = above;
        Some(format!("*.{above}"))
    });
    std::iter::once(host.to_owned()).chain(above)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(host: &str, expected: &[(&str, Option<usize>)]) {
        let domains = Domains::new("Cluster.Local.");
        let aliases = domains.aliases(host, "shop");
        let found: Vec<_> =
            aliases.iter().map(|alias| (alias.host.as_str(), alias.written)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn short_names_are_completed() {
        check("web", &[("web", None), ("web.shop.svc.cluster.local", None)]);
        check(
            "web.bank",
            &[
                ("web.bank", None),
                ("web.bank.svc.cluster.local", None),
                ("web.bank.shop.svc.cluster.local", None),
            ],
        );
        check(
            "web.bank.svc",
            &[
                ("web.bank.svc", None),
                ("web.bank.svc.cluster.local", None),
                ("web.bank.svc.svc.cluster.local", None),
            ],
        );
        check(
            "db-0.db.bank.svc",
            &[("db-0.db.bank.svc", None), ("db-0.db.bank.svc.cluster.local", None)],
        );
    }

    #[test]
    fn search_domains_are_taken_off() {
        check(
            "www.example.org.shop.svc.cluster.local",
            &[
                ("www.example.org.shop.svc.cluster.local", None),
                ("www.example.org", Some(3)),
                ("www.example.org.svc.cluster.local", Some(3)),
                ("www.example.org.shop", Some(4)),
                ("www.example.org.shop.svc", Some(5)),
            ],
        );
    }

    #[test]
    fn wildcards_from_the_narrowest() {
        let found: Vec<_> = wildcards("a.b.example").collect();
        assert_eq!(found, ["a.b.example", "*.b.example", "*.example"]);
        assert_eq!(wildcards("a").collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn a_pod_of_a_service() {
        let domains = Domains::new("cluster.local");
        assert_eq!(
            domains.pod_of("db-0.db.bank.svc.cluster.local"),
            Some(("db-0", "db.bank.svc.cluster.local"))
        );
        for host in ["db.bank.svc.cluster.local", "x.db-0.db.bank.svc.cluster.local", "a.b.c.d"] {
            assert_eq!(domains.pod_of(host), None);
        }
        assert!(domains.is_of_cluster("db.bank.svc.cluster.local"));
        assert!(!domains.is_of_cluster("svc.cluster.local"));
    }
}
