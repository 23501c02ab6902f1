//! The part of the settings that has pods handed over as a container runtime makes them.
use super::{Values, parse, settings as s};
use std::path::PathBuf;

/// Where the plugin is installed, and where running pods are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cni {
    /// `None`: somebody else puts the program there.
    pub(crate) bin_dir: Option<PathBuf>,
    /// `None`: nobody is handed over, or somebody else writes the entry.
    pub(crate) conf_dir: Option<PathBuf>,
    pub(crate) host_proc: PathBuf,
}

impl Values {
    pub(super) fn cni(&mut self) -> Option<Cni> {
        let bin_dir = self.maybe(&s::CNI_BIN_DIR, parse::absolute_path);
        let conf_dir = self.maybe(&s::CNI_CONF_DIR, parse::absolute_path);
        let host_proc = self.one(&s::HOST_PROC, parse::absolute_path);
        Some(Cni { bin_dir: bin_dir?, conf_dir: conf_dir?, host_proc: host_proc? })
    }
}
