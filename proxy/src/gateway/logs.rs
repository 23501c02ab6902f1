//! The process's log: Envoy's levels and names of components, in terms of our own.
use culvert_telemetry::log::{LogError, LogFile, LogHandle};
use parking_lot::Mutex;
use std::{collections::BTreeMap, fmt, path::Path};

use super::options::LogOptions;

/// How much is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Level {
    Trace,
    Debug,
    #[default]
    Info,
    #[value(alias = "warn")]
    Warning,
    Error,
    /// The same as error.
    Critical,
    Off,
}

/// What Envoy calls the parts of itself, and what they are here; empty: nothing.
const COMPONENTS: [(&str, &str); 30] = [
    ("admin", "culvert::gateway::admin"),
    ("client", "culvert_l7::pool"),
    ("config", "culvert_xds"),
    ("conn_handler", "culvert_l7::listener"),
    ("connection", "culvert_l7::connection"),
    ("dns", "culvert_l7::upstream::resolve"),
    ("ext_authz", ""),
    ("file", "culvert_telemetry"),
    ("filter", "culvert_l7::network"),
    ("grpc", "culvert_xds::transport"),
    ("hc", "culvert_l7::upstream"),
    ("health_checker", "culvert_l7::upstream"),
    ("http", "culvert_l7::manager"),
    ("http2", "culvert_l7::h2"),
    ("init", "culvert::gateway"),
    ("io", "culvert_l7::io"),
    ("jwt", ""),
    ("local_rate_limit", "culvert_l7::filter::local_ratelimit"),
    ("lua", ""),
    ("main", "culvert"),
    ("matcher", "culvert_policy"),
    ("misc", "culvert_runtime"),
    ("pool", "culvert_l7::pool"),
    ("rbac", "culvert_l7::filter::rbac"),
    ("router", "culvert_l7::forward"),
    ("runtime", "culvert_xds::envoy::discover"),
    ("secret", "culvert_identity"),
    ("stats", "culvert_l7::stats"),
    ("tracing", ""),
    ("upstream", "culvert_l7::upstream"),
];

/// What is said now, and the way to change it.
#[derive(Debug)]
pub(super) struct Logs {
    handle: LogHandle,
    file: Option<LogFile>,
    state: Mutex<State>,
}

#[derive(Clone, Debug)]
struct State {
    all: Level,
    /// By component, where it differs.
    some: BTreeMap<&'static str, Level>,
}

/// Why a level cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotALevel {
    #[error("unknown logger level")]
    Level,
    #[error("unknown logger name")]
    Name,
}

impl Logs {
    /// Begins the log of the process.
    ///
    /// # Errors
    ///
    /// When a component is not known, or the file cannot be written to.
    pub(super) fn start(options: &LogOptions) -> Result<Self, String> {
        let mut state = State { all: options.level, some: BTreeMap::new() };
        for pair in options.components.iter().flat_map(|all| all.split(',')) {
            state
                .set_pair(pair)
                .map_err(|error| format!("--component-log-level: {pair:?}: {error}"))?;
        }
        let directives = state.directives();
        let (handle, file) = culvert_telemetry::log::init_to(options.path.as_deref(), &directives)
            .map_err(|error| said(&error, options.path.as_deref()))?;
        Ok(Self { handle, file, state: Mutex::new(state) })
    }

    /// Sets one component, or all of them.
    pub(super) fn set(&self, name: Option<&str>, level: &str) -> Result<(), NotALevel> {
        self.change(|state| state.set(name, level))
    }

    /// `name:level,name:level`.
    pub(super) fn set_pairs(&self, pairs: &str) -> Result<(), NotALevel> {
        self.change(|state| pairs.split(',').try_for_each(|pair| state.set_pair(pair)))
    }

    fn change(
        &self,
        by: impl FnOnce(&mut State) -> Result<(), NotALevel>,
    ) -> Result<(), NotALevel> {
        let mut state = self.state.lock();
        let mut changed = state.clone();
        by(&mut changed)?;
        self.handle.set(&changed.directives()).map_err(|_unset| NotALevel::Level)?;
        *state = changed;
        Ok(())
    }

    /// Opens the file anew, if there is one.
    pub(super) fn reopen(&self) {
        if let Some(Err(error)) = self.file.as_ref().map(LogFile::reopen) {
            tracing::warn!(%error, "the log cannot be opened again; the old file is kept");
        }
    }

    /// Each component with its level.
    pub(super) fn levels(&self) -> Vec<(&'static str, Level)> {
        let state = self.state.lock();
        COMPONENTS.iter().map(|(name, _)| (*name, state.of(name))).collect()
    }
}

impl State {
    fn of(&self, name: &str) -> Level {
        self.some.get(name).copied().unwrap_or(self.all)
    }

    fn set(&mut self, name: Option<&str>, level: &str) -> Result<(), NotALevel> {
        let level = Level::named(level).ok_or(NotALevel::Level)?;
        let Some(name) = name else {
            *self = Self { all: level, some: BTreeMap::new() };
            return Ok(());
        };
        let mut known = COMPONENTS.iter();
        let (name, _) = known.find(|(known, _)| *known == name).ok_or(NotALevel::Name)?;
        self.some.insert(name, level);
        Ok(())
    }

    fn set_pair(&mut self, pair: &str) -> Result<(), NotALevel> {
        let (name, level) = pair.trim().split_once(':').ok_or(NotALevel::Level)?;
        self.set(Some(name), level)
    }

    /// Libraries say no more than `info` asks for.
    fn directives(&self) -> String {
        let libraries = self.all.max(Level::Info).word();
        let mut directives = format!("{libraries},culvert={}", self.all.word());
        for (name, target) in COMPONENTS.iter().filter(|(_, target)| !target.is_empty()) {
            if let Some(level) = self.some.get(name) {
                directives.push_str(&format!(",{target}={}", level.word()));
            }
        }
        directives
    }
}

impl Level {
    fn named(name: &str) -> Option<Self> {
        <Self as clap::ValueEnum>::from_str(name, false).ok()
    }

    /// As directives have it.
    const fn word(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warn",
            Self::Error | Self::Critical => "error",
            Self::Off => "off",
        }
    }
}

/// As Envoy has it.
impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Trace | Self::Debug | Self::Info | Self::Error | Self::Off => self.word(),
        })
    }
}

fn said(error: &LogError, path: Option<&Path>) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    let place = path.map(|path| format!("--log-path {}: ", path.display())).unwrap_or_default();
    format!("{place}{error}{}", cause.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_become_parts_of_ours() {
        let mut state = State { all: Level::Info, some: BTreeMap::new() };
        assert_eq!(state.directives(), "info,culvert=info");
        state.set(None, "debug").unwrap();
        assert_eq!(state.directives(), "info,culvert=debug");
        state.set(None, "warn").unwrap();
        state.set_pair("upstream:trace").unwrap();
        state.set_pair("lua:trace").unwrap();
        assert_eq!(state.directives(), "warn,culvert=warn,culvert_l7::upstream=trace");
        assert_eq!(state.of("upstream").to_string(), "trace");
        assert_eq!(state.of("http").to_string(), "warning");
        assert_eq!(state.set(Some("nobody"), "info"), Err(NotALevel::Name));
        assert_eq!(state.set(Some("http"), "loud"), Err(NotALevel::Level));
    }
}
