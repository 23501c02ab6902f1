//! Which policies speak of which workload, found out once per snapshot and not per connection.
use super::{Action, Authorization, Scope};
use crate::{l7::L7Ports, name::ObjectName};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// The policies that speak of one workload.
///
/// Workloads of which the same policies speak share one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authz {
    /// In the order of their names.
    pub deny: Box<[Arc<Authorization>]>,
    /// Empty: whoever is not denied may pass. A policy without rules is in here too, so that one
    /// that allows nobody is not taken for none.
    pub allow: Box<[Arc<Authorization>]>,
    /// Policies of both actions that are only asked what they would say.
    pub dry_run: Box<[Arc<Authorization>]>,
    /// Policies the workload names and nobody knows: nothing passes while there is one.
    pub missing: Box<[ObjectName]>,
    /// What is asked instead where L7 decides some of them.
    pub beside_l7: Option<Box<BesideL7>>,
}

/// What is left to L4 of connections that pass L7.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BesideL7 {
    ports: L7Ports,
    authz: Authz,
}

/// Every policy, and the joins made so far.
#[derive(Debug, Default)]
pub struct Policies {
    by_name: BTreeMap<ObjectName, Arc<Authorization>>,
    global: BTreeSet<ObjectName>,
    of_namespace: HashMap<Arc<str>, BTreeSet<ObjectName>>,
    joined: HashMap<Kind, Arc<Authz>>,
    /// How many joins there may be before those are looked for that nobody uses.
    enough: usize,
}

/// Of which workloads a policy speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spoken {
    scope: Scope,
    name: ObjectName,
}

/// What tells workloads apart of which different policies speak.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    namespace: Arc<str>,
    /// Sorted.
    named: Box<[ObjectName]>,
    /// Empty where L7 decides nothing.
    l7: L7Ports,
}

impl Authz {
    /// What is asked of connections to a port.
    #[must_use]
    pub fn at(&self, port: u16) -> &Self {
        let beside = self.beside_l7.as_ref().filter(|beside| beside.ports.contains(port));
        beside.map_or(self, |beside| &beside.authz)
    }
}

impl Spoken {
    /// Whether it speaks of a workload in `namespace` that names `named`.
    pub(crate) fn concerns(&self, namespace: &str, named: &[ObjectName]) -> bool {
        let by_scope = match self.scope {
            Scope::Global => true,
            Scope::Namespace => *self.name.namespace == *namespace,
            Scope::Selector => false,
        };
        by_scope || named.contains(&self.name)
    }
}

impl Policies {
    /// Indexes `policies`; of two with one name the last counts.
    pub fn new(policies: impl IntoIterator<Item = Arc<Authorization>>) -> Self {
        let mut built = Self::default();
        for policy in policies {
            drop(built.apply(&policy.name, Some(&policy)));
        }
        built
    }

    /// Sets, replaces or takes away (`None`) the policy of a name.
    ///
    /// Gives back of which workloads it speaks or spoke: those are to be joined again. Nothing, when
    /// it is what it was.
    pub(crate) fn apply(
        &mut self,
        name: &ObjectName,
        policy: Option<&Arc<Authorization>>,
    ) -> Vec<Spoken> {
        let before = match policy {
            Some(policy) => self.by_name.insert(name.clone(), Arc::clone(policy)),
            None => self.by_name.remove(name),
        };
        if before.as_ref() == policy {
            return Vec::new();
        }
        if let Some(before) = &before {
            self.unscope(before);
        }
        if let Some(after) = policy {
            self.scope(after);
        }
        let spoken: Vec<Spoken> = (before.iter().chain(policy))
            .map(|policy| Spoken { scope: policy.scope, name: name.clone() })
            .collect();
        self.joined.retain(|kind, _| {
            !spoken.iter().any(|spoken| spoken.concerns(&kind.namespace, &kind.named))
        });
        spoken
    }

    /// Forgets the joins nobody uses, now and then.
    pub(crate) fn sweep(&mut self) {
        if self.joined.len() > self.enough.max(64) {
            self.joined.retain(|_, authz| Arc::strong_count(authz) > 1);
            self.enough = 2 * self.joined.len();
        }
    }

    /// The policies that speak of a workload in `namespace` that names `named`.
    ///
    /// A named policy counts whatever its scope says.
    pub fn join(&mut self, namespace: &Arc<str>, named: &[ObjectName]) -> Arc<Authz> {
        self.join_beside(namespace, named, &L7Ports::default())
    }

    /// The same, without those that L7 decides on its ports.
    pub fn join_beside(
        &mut self,
        namespace: &Arc<str>,
        named: &[ObjectName],
        l7: &L7Ports,
    ) -> Arc<Authz> {
        let mut named: Box<[ObjectName]> = named.into();
        named.sort_unstable();
        let l7 = if l7.policies().is_empty() { L7Ports::default() } else { l7.clone() };
        let kind = Kind { namespace: Arc::clone(namespace), named, l7 };
        if let Some(joined) = self.joined.get(&kind) {
            return Arc::clone(joined);
        }
        let mut joined = self.joined_anew(namespace, &kind.named, &[]);
        if !kind.l7.is_empty() {
            let authz = self.joined_anew(namespace, &kind.named, kind.l7.policies());
            joined.beside_l7 = Some(Box::new(BesideL7 { ports: kind.l7.clone(), authz }));
        }
        let joined = Arc::new(joined);
        self.joined.insert(kind, Arc::clone(&joined));
        joined
    }

    fn scope(&mut self, policy: &Authorization) {
        let name = &policy.name;
        match policy.scope {
            Scope::Global => _ = self.global.insert(name.clone()),
            Scope::Namespace => {
                let of = self.of_namespace.entry(Arc::clone(&name.namespace)).or_default();
                of.insert(name.clone());
            }
            Scope::Selector => {}
        }
    }

    fn unscope(&mut self, policy: &Authorization) {
        let name = &policy.name;
        match policy.scope {
            Scope::Global => _ = self.global.remove(name),
            Scope::Namespace => {
                let Some(of) = self.of_namespace.get_mut(&name.namespace) else { return };
                of.remove(name);
                if of.is_empty() {
                    self.of_namespace.remove(&name.namespace);
                }
            }
            Scope::Selector => {}
        }
    }

    fn joined_anew(&self, namespace: &str, named: &[ObjectName], without: &[ObjectName]) -> Authz {
        let here = self.of_namespace.get(namespace).into_iter().flatten();
        let all = self.global.iter().chain(here).chain(named);
        let names: BTreeSet<&ObjectName> = all.filter(|name| !without.contains(name)).collect();
        let (mut deny, mut allow, mut dry_run, mut missing) = (vec![], vec![], vec![], vec![]);
        for name in names {
            let Some(policy) = self.by_name.get(name) else {
                missing.push(name.clone());
                continue;
            };
            let list = match (policy.dry_run, policy.action) {
                (true, Action::Allow | Action::Deny) => &mut dry_run,
                (false, Action::Deny) => &mut deny,
                (false, Action::Allow) => &mut allow,
            };
            list.push(Arc::clone(policy));
        }
        Authz {
            deny: deny.into(),
            allow: allow.into(),
            dry_run: dry_run.into(),
            missing: missing.into(),
            beside_l7: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str, scope: Scope, action: Action) -> Arc<Authorization> {
        Arc::new(Authorization {
            name: named(name),
            scope,
            action,
            dry_run: name.ends_with("dry"),
            rules: Box::default(),
            origin: None,
        })
    }

    fn named(name: &str) -> ObjectName {
        let (namespace, name) = name.split_once('/').unwrap();
        ObjectName::new(namespace, name)
    }

    fn world() -> Policies {
        Policies::new([
            policy("root/everywhere", Scope::Global, Action::Deny),
            policy("shop/all", Scope::Namespace, Action::Allow),
            policy("shop/dry", Scope::Namespace, Action::Deny),
            policy("shop/cart", Scope::Selector, Action::Deny),
            policy("bank/all", Scope::Namespace, Action::Allow),
        ])
    }

    #[track_caller]
    fn check(namespace: &str, names: &[&str], expect: &str) {
        let names: Vec<_> = names.iter().copied().map(named).collect();
        let authz = world().join(&namespace.into(), &names);
        let list = |policies: &[Arc<Authorization>]| {
            policies.iter().map(|p| p.name.to_string()).collect::<Vec<_>>().join(" ")
        };
        let missing: Vec<_> = authz.missing.iter().map(ToString::to_string).collect();
        let got = [list(&authz.deny), list(&authz.allow), list(&authz.dry_run), missing.join(" ")];
        assert_eq!(got.join(" | "), expect);
    }

    #[test]
    fn joins_global_namespace_and_named_policies() {
        check("shop", &["shop/cart"], "root/everywhere shop/cart | shop/all | shop/dry | ");
        check("bank", &[], "root/everywhere | bank/all |  | ");
        check("other", &[], "root/everywhere |  |  | ");
    }

    #[test]
    fn a_policy_named_twice_or_by_another_road_counts_once() {
        check(
            "shop",
            &["shop/cart", "shop/cart", "shop/all"],
            "root/everywhere shop/cart | shop/all | shop/dry | ",
        );
    }

    #[test]
    fn says_which_named_policies_nobody_knows() {
        check("bank", &["shop/nothing"], "root/everywhere | bank/all |  | shop/nothing");
    }

    #[test]
    fn what_l7_decides_is_left_to_it_on_its_ports() {
        let ports: L7Ports = [8080].into_iter().filter_map(std::num::NonZeroU16::new).collect();
        let ports = ports.deciding([named("shop/all"), named("shop/cart")]);
        let authz = world().join_beside(&"shop".into(), &[named("shop/cart")], &ports);
        let count = |authz: &Authz| (authz.deny.len(), authz.allow.len());
        assert_eq!((count(authz.at(8080)), count(authz.at(81))), ((1, 0), (2, 1)));
    }

    #[test]
    fn workloads_of_one_kind_share_one_join() {
        let (mut world, shop) = (world(), Arc::<str>::from("shop"));
        let names = [named("shop/cart"), named("shop/all")];
        let first = world.join(&shop, &names);
        let swapped = [named("shop/all"), named("shop/cart")];
        assert!(Arc::ptr_eq(&first, &world.join(&shop, &swapped)));
        assert!(!Arc::ptr_eq(&first, &world.join(&shop, &[])));
    }
}
