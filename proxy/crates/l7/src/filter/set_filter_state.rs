//! `envoy.filters.http.set_filter_state`: values left for those that come after.
use super::Place;
use crate::manager::{record::Record, routed::Routed};
use culvert_model::http::filter::{OverrideConfig, SetFilterState as Config};
use culvert_policy::http::format::{Missing, text};
use std::sync::Arc;

/// The filter of a chain.
#[derive(Debug)]
pub(super) struct SetFilterState(pub(super) Arc<Config>);

impl SetFilterState {
    /// The chain's values, then those of the most specific level.
    pub(super) fn request(&self, place: Place<'_>, record: &mut Record) {
        let own = match place.config(record) {
            Some(OverrideConfig::SetFilterState(own)) => Some(Arc::clone(own)),
            _ => None,
        };
        let levels = || std::iter::once(&self.0).chain(&own);
        for value in levels().flat_map(|level| level.values.iter()) {
            let mut out = Vec::new();
            let seeing = record.seeing("NotSet");
            text(&value.value, &seeing.scene(), Missing::Dash, &mut out);
            if out.is_empty() && value.skip_if_empty {
                continue;
            }
            let text = String::from_utf8_lossy(&out);
            record.state.0.insert(Arc::clone(&value.key), (&*text).into());
        }
        if levels().any(|level| level.clear_route) {
            record.routed = Routed::find(record.now.table.as_deref(), &record.asking());
        }
    }
}
