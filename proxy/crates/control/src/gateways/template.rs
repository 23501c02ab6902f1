//! What pods of gateways look like, as whoever installed this wants them.
use serde_json::{Map, Value};
use std::fmt;

/// The container that is the gateway.
pub(super) const CONTAINER: &str = "culvert";

/// The volume with the roots by which the control plane is known.
pub(super) const ROOTS: &str = "root";

/// A `PodTemplateSpec`, to which names, ports and arguments are added.
#[derive(Clone, PartialEq, Eq)]
pub struct Template(Map<String, Value>);

/// Why pods cannot be made so.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    #[error("it is not JSON")]
    Json(#[from] serde_json::Error),
    #[error("there is no container named {CONTAINER} in it")]
    Container,
    #[error("there is no volume named {ROOTS} in it, for the roots of the control plane")]
    Roots,
}

impl Template {
    /// Reads a `PodTemplateSpec`, as JSON.
    ///
    /// # Errors
    ///
    /// When something is missing in it.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let template = Self(serde_json::from_str(text)?);
        let has = |list: &str, name: &str| {
            let all = template.0.get("spec").and_then(|spec| spec.get(list));
            let mut all = all.and_then(Value::as_array).into_iter().flatten();
            all.any(|one| one["name"] == name)
        };
        match (has("containers", CONTAINER), has("volumes", ROOTS)) {
            (false, _) => Err(TemplateError::Container),
            (true, false) => Err(TemplateError::Roots),
            (true, true) => Ok(template),
        }
    }

    /// A copy, to be filled in.
    pub(super) fn pod(&self) -> Value {
        Value::Object(self.0.clone())
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Template")
    }
}
