//! Labels that choose workloads.
use super::{meta::Meta, spanned::Spanned};
use crate::problem::Problem;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Labels as written.
pub(super) type RawLabels = BTreeMap<String, Spanned<String>>;

/// `selector` of the policies.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawSelector {
    #[serde(default)]
    pub(super) match_labels: RawLabels,
}

/// Labels without wildcards: they would be taken for what they say, and choose nothing.
pub(super) fn check_values(
    labels: RawLabels,
    meta: &Meta,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, String> {
    for (key, value) in &labels {
        let here = meta.at(value.at);
        if key.is_empty() {
            problems.push(here.error("a label has no name"));
        }
        if key.contains('*') || value.value.contains('*') {
            problems.push(here.error("a selector knows no wildcards"));
        }
    }
    labels.into_iter().map(|(key, value)| (key, value.value)).collect()
}
