//! `set_filter_state` of connections: values that others can see.
use super::record::{Line, Record};
use crate::{connection::Connection, shared::Shared};
use culvert_model::http::listener::FilterStateValue;
use culvert_policy::http::format::{self, Missing, Scene};
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct State(Arc<[FilterStateValue]>);

impl State {
    pub(super) fn new(values: &Arc<[FilterStateValue]>) -> Self {
        Self(Arc::clone(values))
    }

    pub(super) fn set(&self, connection: &mut Connection, shared: &Shared) {
        for value in &*self.0 {
            let missing = if value.skip_if_empty { Missing::Omit } else { Missing::Dash };
            let mut text = Vec::new();
            let record = Record::default();
            let line = Line::new(connection, &record, shared, "NotSet");
            format::text(&value.value, &Scene::new(&line), missing, &mut text);
            if !(text.is_empty() && value.skip_if_empty) {
                let text = String::from_utf8_lossy(&text).into();
                connection.state.0.insert(Arc::clone(&value.key), text);
            }
        }
    }
}
