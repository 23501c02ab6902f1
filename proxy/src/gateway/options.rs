//! What a gateway is started with.
use crate::config::Config;
use culvert_model::name::ObjectName;
use std::{num::NonZeroU16, path::PathBuf, time::Duration};

/// How long connections may go on that belong to what is no longer, as Envoy has it.
pub(crate) const DRAIN: Duration = Duration::from_secs(600);

/// How long the last requests may take when the process is told to end.
const LAST: Duration = Duration::from_secs(30);

/// All that the command line says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// A gateway of the mesh, in place of a bootstrap.
    pub(crate) of: Option<Box<Of>>,
    pub(crate) path: Option<PathBuf>,
    /// Counts over what the file says.
    pub(crate) yaml: Option<String>,
    pub(crate) node: NodeOptions,
    pub(crate) mode: Mode,
    /// `None`: as many as there are processors to be had.
    pub(crate) concurrency: Option<NonZeroU16>,
    pub(crate) drain: Option<Duration>,
    pub(crate) log: LogOptions,
    /// Where the address of the admin interface is written to.
    pub(crate) admin_address: Option<PathBuf>,
    /// Flags of Envoy's that were given and change nothing.
    pub(crate) ignored: Vec<&'static str>,
}

/// Which gateway of the mesh, and its way into it.
#[derive(Clone, Debug)]
pub(crate) struct Of {
    pub(crate) name: ObjectName,
    pub(crate) config: Config,
}

/// What counts over the bootstrap's `node`.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeOptions {
    pub(crate) id: Option<String>,
    pub(crate) cluster: Option<String>,
    pub(crate) zone: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct LogOptions {
    pub(crate) level: super::logs::Level,
    /// `upstream:debug,config:trace`.
    pub(crate) components: Option<String>,
    /// `None`: standard error.
    pub(crate) path: Option<PathBuf>,
}

/// What is to be done with the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mode {
    /// Serve until told to end.
    #[default]
    Serve,
    /// Say whether it is good, and end.
    Validate,
    /// Start, and end once everything is ready.
    #[value(name = "init_only", alias = "init-only")]
    InitOnly,
}

impl Options {
    pub(crate) fn workers(&self) -> usize {
        let said = self.concurrency.map(|workers| usize::from(workers.get()));
        said.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, Into::into))
    }

    /// For connections of what a change of the configuration has ended.
    pub(crate) fn drain(&self) -> Duration {
        self.drain.unwrap_or(DRAIN)
    }

    /// For all connections, once the process is to end.
    pub(crate) fn last(&self) -> Duration {
        self.drain.unwrap_or(LAST)
    }

    /// How messages name the configuration.
    pub(crate) fn source(&self) -> String {
        if let Some(of) = &self.of {
            return format!("gateway {}", of.name);
        }
        match (&self.path, &self.yaml) {
            (Some(path), None) => path.display().to_string(),
            (Some(path), Some(_)) => format!("{} with --config-yaml", path.display()),
            (None, _) => "--config-yaml".to_owned(),
        }
    }
}
