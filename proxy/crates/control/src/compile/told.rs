//! What is to be told of objects, as it was found out level by level.
use super::{
    enrolment,
    incremental::Compiler,
    store::{Key, Kind},
    touched::Touched,
};
use crate::problem::Problem;
use culvert_model::name::ObjectName;
use std::sync::Arc;

/// At which point something was found out of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Settings,
    Object,
    Service,
    Policy,
    Workload,
}

impl Compiler {
    pub(super) fn tell_namespaces(&mut self, touched: &Touched) {
        for namespace in &touched.namespaces {
            let found = self.store.namespace(namespace);
            let notes = found
                .map(|found| enrolment::notes(found, self.settings.ambient))
                .unwrap_or_default();
            let key = (Kind::Namespace, ObjectName::new("", Arc::clone(namespace)));
            self.tell(Level::Object, key, notes);
        }
    }

    /// Replaces what is told of an object.
    pub(super) fn tell(&mut self, level: Level, key: Key, problems: Vec<Problem>) {
        if problems.is_empty() {
            self.told.remove(&(level, key));
        } else {
            self.told.insert((level, key), problems);
        }
    }

    /// All there is to be told.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let told = self.told.values().flatten().cloned();
        let mut problems: Vec<Problem> = told.chain(self.registry.notes()).collect();
        problems.extend(self.store.problems());
        problems.extend(self.addresses.problems());
        problems.extend(self.netns.problems());
        problems.extend(self.plan_notes());
        problems
    }
}
