//! Who may name objects of other namespaces.
use super::world::World;
use crate::object::gateway_api::GROUP;

/// An object of another namespace, and who names it.
pub(super) struct Naming<'a> {
    /// Of the group of the Gateway API.
    pub(super) kind: &'static str,
    pub(super) from: &'a str,
    pub(super) group: &'a str,
    pub(super) of: &'a str,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
}

impl World<'_> {
    /// Whether it may be named.
    pub(super) fn permits(&self, naming: &Naming<'_>) -> bool {
        let Naming { kind, from, group, of, namespace, name } = naming;
        from == namespace
            || self.grants.iter().filter(|grant| &*grant.meta.name.namespace == *namespace).any(
                |grant| {
                    let spec = &grant.spec;
                    let is_from = spec.from.iter().any(|one| {
                        &*one.group == GROUP && &*one.kind == *kind && &*one.namespace == *from
                    });
                    is_from
                        && spec.to.iter().any(|to| {
                            &*to.group == *group
                                && &*to.kind == *of
                                && to.name.as_deref().is_none_or(|only| only == *name)
                        })
                },
            )
    }
}
