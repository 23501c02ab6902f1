//! What is wrong with keeping the authority, for people: said once, and shown while it lasts.
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// What is wrong at the moment, by what it is with; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trouble(Arc<Mutex<BTreeMap<String, String>>>);

impl Trouble {
    /// Something is wrong with `what`.
    pub(crate) fn with(&self, what: &impl ToString, why: &impl ToString) {
        let (what, why) = (what.to_string(), why.to_string());
        if self.0.lock().insert(what.clone(), why.clone()).as_ref() != Some(&why) {
            tracing::warn!(what, why, "the authority is not kept as it should be");
        }
    }

    /// All is well with `what`.
    pub(crate) fn over(&self, what: &impl ToString) {
        let what = what.to_string();
        if self.0.lock().remove(&what).is_some() {
            tracing::info!(what, "the authority is kept as it should be again");
        }
    }

    /// All that is wrong.
    pub(crate) fn list(&self) -> Vec<String> {
        self.0.lock().iter().map(|(what, why)| format!("{what}: {why}")).collect()
    }
}
