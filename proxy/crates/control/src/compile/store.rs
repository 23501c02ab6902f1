//! All objects by kind and name, and what changes among them.
pub(super) use crate::object::kind::Kind;
use crate::{
    object::{Objects, kind::for_each_kind, meta::Meta, namespace::Namespace},
    problem::{Code, Problem},
};
use culvert_model::name::ObjectName;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    ops::Bound,
    sync::Arc,
};

/// What an object is, and what it is called.
pub(super) type Key = (Kind, ObjectName);

/// Something that was read from a manifest.
pub(super) trait Object: PartialEq {
    const KIND: Kind;

    fn meta(&self) -> &Meta;

    fn key(&self) -> Key {
        (Self::KIND, self.meta().name.clone())
    }
}

/// Objects of one kind by name.
#[derive(Debug)]
pub(super) struct Shelf<T> {
    /// More than one of a name is a problem, and for the time being the first counts.
    by_name: BTreeMap<ObjectName, Vec<Arc<T>>>,
    /// Names that several objects have.
    twice: BTreeSet<ObjectName>,
}

/// Objects that go and objects that come.
#[derive(Clone, Debug)]
pub(super) struct Diff<T> {
    pub(super) gone: Vec<Arc<T>>,
    pub(super) new: Vec<Arc<T>>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { by_name: BTreeMap::new(), twice: BTreeSet::new() }
    }
}

impl<T: Object> Shelf<T> {
    pub(super) fn get(&self, name: &ObjectName) -> Option<&Arc<T>> {
        self.by_name.get(name).and_then(|same| same.first())
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// In the order of their names.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<T>> {
        self.by_name.values().filter_map(|same| same.first())
    }

    /// Those of one namespace.
    pub(super) fn of(&self, namespace: &str) -> impl Iterator<Item = &Arc<T>> {
        let first = ObjectName::new(namespace, "");
        let all = self.by_name.range((Bound::Included(first), Bound::Unbounded));
        let here = all.take_while({
            let namespace = namespace.to_owned();
            move |(name, _)| *name.namespace == *namespace
        });
        here.filter_map(|(_, same)| same.first())
    }

    /// Takes objects away and adds some; says whose name was touched.
    pub(super) fn change(&mut self, diff: &Diff<T>) -> BTreeSet<ObjectName> {
        let mut touched = BTreeSet::new();
        for gone in &diff.gone {
            let name = &gone.meta().name;
            touched.insert(name.clone());
            let Some(same) = self.by_name.get_mut(name) else { continue };
            if let Some(at) = same.iter().position(|one| one == gone) {
                same.remove(at);
            }
            if same.is_empty() {
                self.by_name.remove(name);
            }
        }
        for new in &diff.new {
            let name = &new.meta().name;
            touched.insert(name.clone());
            let same = self.by_name.entry(name.clone()).or_default();
            same.push(Arc::clone(new));
            same.sort_by(|a, b| a.meta().origin.cmp(&b.meta().origin));
        }
        for name in &touched {
            if self.by_name.get(name).is_some_and(|same| same.len() > 1) {
                self.twice.insert(name.clone());
            } else {
                self.twice.remove(name);
            }
        }
        touched
    }

    /// What is there twice.
    pub(super) fn problems(&self) -> impl Iterator<Item = Problem> {
        let all = self.twice.iter().filter_map(|name| self.by_name.get(name));
        all.flat_map(|same| {
            let (first, others) = same.split_first().expect("there are two");
            let first = first.meta().named();
            others.iter().map(move |other| {
                let name = &other.meta().name;
                let name = match name.namespace.is_empty() {
                    true => name.name.to_string(),
                    false => name.to_string(),
                };
                let message = format!("{name} is there already ({first})");
                other.meta().named().error(message).coded(Code::Twice)
            })
        })
    }
}

impl Store {
    pub(super) fn namespace(&self, name: &str) -> Option<&Arc<Namespace>> {
        self.namespaces.get(&ObjectName::new("", name))
    }
}

impl<T: Object> Diff<T> {
    /// What leads from `before` to `after`.
    ///
    /// Mostly the two hold the same objects, which is seen by their addresses.
    pub(super) fn between(before: &[Arc<T>], after: &[Arc<T>]) -> Self {
        let same = |(a, b): &(&Arc<T>, &Arc<T>)| Arc::ptr_eq(a, b);
        let head = before.iter().zip(after).take_while(same).count();
        let (before, after) = (&before[head..], &after[head..]);
        let tail = before.iter().rev().zip(after.iter().rev()).take_while(same).count();
        let (before, after) = (&before[..before.len() - tail], &after[..after.len() - tail]);
        let mut kept: HashSet<*const T> = before.iter().map(Arc::as_ptr).collect();
        let mut new: Vec<&Arc<T>> =
            after.iter().filter(|one| !kept.remove(&Arc::as_ptr(one))).collect();
        // What is left of `kept` is no longer there.
        let mut gone: Vec<&Arc<T>> =
            before.iter().filter(|one| kept.contains(&Arc::as_ptr(one))).collect();
        // A file that was read again has mostly the same objects in it.
        let mut by_place: HashMap<_, Vec<&Arc<T>>> = HashMap::new();
        for &one in &gone {
            by_place.entry(place(&**one)).or_default().push(one);
        }
        let mut still = HashSet::new();
        new.retain(|one| {
            let Some(candidates) = by_place.get_mut(&place(&***one)) else { return true };
            let Some(at) = candidates.iter().position(|old| old == one) else { return true };
            still.insert(Arc::as_ptr(candidates.swap_remove(at)));
            false
        });
        gone.retain(|one| !still.contains(&Arc::as_ptr(one)));
        Self { gone: gone.into_iter().cloned().collect(), new: new.into_iter().cloned().collect() }
    }

    fn of(gone: &[Arc<T>], new: &[Arc<T>]) -> Self {
        Self { gone: gone.to_vec(), new: new.to_vec() }
    }

    /// What leads back.
    pub(super) fn reversed(self) -> Self {
        Self { gone: self.new, new: self.gone }
    }
}

/// What tells most objects apart.
fn place<T: Object>(object: &T) -> (&ObjectName, u32, u32) {
    let meta = object.meta();
    (&meta.name, meta.origin.line(), meta.origin.column())
}

macro_rules! shelves {
    ($($kind:ident $field:ident $type:ty,
        $group:literal $name:literal [$($version:literal),*] $when:ident;)*) => {
        $(impl Object for $type {
            const KIND: Kind = Kind::$kind;

            fn meta(&self) -> &Meta {
                &self.meta
            }
        })*

        /// Objects of every kind.
        #[derive(Debug, Default)]
        pub(super) struct Store {
            $(pub(super) $field: Shelf<$type>,)*
        }

        /// What leads from one set of objects to another.
        #[derive(Clone, Debug)]
        pub(super) struct Diffs {
            $(pub(super) $field: Diff<$type>,)*
        }

        /// Names of objects of every kind.
        #[derive(Debug)]
        #[expect(dead_code, reason = "of some kinds nobody has to know which changed")]
        pub(super) struct Names {
            $(pub(super) $field: BTreeSet<ObjectName>,)*
        }

        impl Store {
            /// Takes a change in; says whose name was touched.
            pub(super) fn change(&mut self, diffs: &Diffs) -> Names {
                Names { $($field: self.$field.change(&diffs.$field),)* }
            }

            /// Everything that is there twice.
            pub(super) fn problems(&self) -> Vec<Problem> {
                let mut problems = Vec::new();
                $(
                    // Of settings one counts, whatever it is called; the others are told.
                    if Kind::$kind != Kind::Settings {
                        problems.extend(self.$field.problems());
                    }
                )*
                problems
            }
        }

        impl Diffs {
            pub(super) fn between(before: &Objects, after: &Objects) -> Self {
                Self { $($field: Diff::between(&before.$field, &after.$field),)* }
            }

            /// What leads from one set to another that is without `gone` and with `new`.
            pub(super) fn of(gone: &Objects, new: &Objects) -> Self {
                Self { $($field: Diff::of(&gone.$field, &new.$field),)* }
            }

            /// What leads back.
            pub(super) fn reversed(self) -> Self {
                Self { $($field: self.$field.reversed(),)* }
            }
        }
    };
}

for_each_kind!(shelves);
