//! `PeerAuthentication` of security.istio.io: whether plain text is taken.
use super::{
    meta::{Meta, Scope},
    node::Node,
    port::PortText,
    selector::{RawSelector, check_values},
    spanned::Spanned,
    written::{Read, read},
};
use crate::problem::{Problem, Source};
use serde::Deserialize;
use std::{collections::BTreeMap, num::NonZeroU16, sync::Arc};

/// Whether plain text is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAuthentication {
    pub meta: Meta,
    /// Empty: every workload of the namespace, or of the mesh.
    pub selector: BTreeMap<String, String>,
    pub mode: Mode,
    pub ports: BTreeMap<NonZeroU16, Mode>,
}

/// Whether plain text is taken, and tunnels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Mode {
    /// As the next wider policy says.
    #[default]
    #[serde(rename = "UNSET")]
    Unset,
    /// Nothing is demanded.
    #[serde(rename = "DISABLE")]
    Disable,
    #[serde(rename = "PERMISSIVE")]
    Permissive,
    #[serde(rename = "STRICT")]
    Strict,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawSpec {
    selector: Option<RawSelector>,
    mtls: Option<RawMtls>,
    port_level_mtls: Option<Spanned<BTreeMap<String, Spanned<RawMtls>>>>,
}

#[derive(Deserialize)]
struct RawMtls {
    mode: Option<Mode>,
}

impl PeerAuthentication {
    pub(super) fn read(node: &Node, source: &Arc<Source>) -> Result<Self, Vec<Problem>> {
        let Read { meta, spec, mut problems, .. } = read(node, source, Scope::Namespaced)?;
        let spec: RawSpec = Option::unwrap_or_default(spec);
        let labels = spec.selector.map(|selector| selector.match_labels).unwrap_or_default();
        let selector = check_values(labels, &meta, &mut problems);
        let mut ports = BTreeMap::new();
        if let Some(Spanned { value: written, at }) = spec.port_level_mtls {
            if selector.is_empty() {
                let message = "portLevelMtls requires selector: ports are those of workloads";
                problems.push(meta.at(at).error(message));
            }
            if written.is_empty() {
                problems.push(meta.at(at).error("portLevelMtls names no port"));
            }
            for (port, mtls) in written {
                match PortText::try_from(port) {
                    Ok(port) => _ = ports.insert(port.0, mtls.value.mode.unwrap_or_default()),
                    Err(message) => problems.push(meta.at(mtls.at).error(message)),
                }
            }
        }
        let mode = spec.mtls.and_then(|mtls| mtls.mode).unwrap_or_default();
        let policy = Self { selector, mode, ports, meta };
        if problems.is_empty() { Ok(policy) } else { Err(problems) }
    }
}

impl Mode {
    /// What it means where `wider` is in force.
    #[must_use]
    pub fn or(self, wider: Self) -> Self {
        match self {
            Self::Unset => wider,
            Self::Disable | Self::Permissive | Self::Strict => self,
        }
    }

    /// Whether plain text is refused.
    #[must_use]
    pub fn is_strict(self) -> bool {
        self == Self::Strict
    }
}
