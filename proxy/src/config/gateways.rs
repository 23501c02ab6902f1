//! Settings of gateways of the mesh.
use super::{Values, settings};
use culvert_model::name::ObjectName;
use std::collections::BTreeMap;

/// Which there are in this process, and by what one is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gateways {
    /// Beside the node and the control plane.
    pub(crate) names: Vec<ObjectName>,
    /// Labels besides the usual ones.
    pub(crate) labels: BTreeMap<String, String>,
}

impl Values {
    pub(super) fn gateways(&mut self) -> Option<Gateways> {
        let names = self.all(&settings::GATEWAYS, gateway);
        // A file may hold what is for another process.
        let labels = match settings::GATEWAY_LABELS.is_for(self.role) {
            true => self.all(&settings::GATEWAY_LABELS, label),
            false => Some(Vec::new()),
        };
        let (mut names, labels) = (names?, labels?);
        names.sort();
        names.dedup();
        Some(Gateways { names, labels: labels.into_iter().collect() })
    }
}

/// A gateway as `NAMESPACE/NAME`, called as Kubernetes calls objects.
pub(crate) fn gateway(text: &str) -> Result<ObjectName, String> {
    let is_name = |text: &str| {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        !text.is_empty() && text.len() <= 253 && text.chars().all(fits)
    };
    match text.split_once('/') {
        Some((namespace, name)) if is_name(namespace) && is_name(name) => {
            Ok(ObjectName::new(namespace, name))
        }
        Some(_) | None => Err(format!("{text:?} is no gateway: want NAMESPACE/NAME")),
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    let is_fine = |text: &str| !text.contains(|c: char| c.is_whitespace() || c.is_control());
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && is_fine(key) && is_fine(value) => {
            Ok((key.to_owned(), value.to_owned()))
        }
        Some(_) | None => Err(format!("{text:?} is no label: want KEY=VALUE")),
    }
}
