//! What the commands that start a process have in common: settings read, checked, shown.
use super::output;
use crate::{
    config::{
        Config, Problems,
        raw::Layer,
        report::Report,
        settings::Role,
        sources::{self, Sources, Variables},
    },
    failure::{Exit, Failure},
};
use std::path::{self, Path, PathBuf};

/// Where settings come from, and whether they are only to be shown.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Start {
    /// The settings file [default: the one that `CULVERT_CONFIG` names].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the settings that result and where each came from, and end.
    #[arg(long)]
    print_config: bool,
    /// How --print-config prints.
    #[arg(short, long, value_name = "FORMAT", default_value = "text", requires = "print_config")]
    output: output::Format,
}

impl Start {
    /// Settings from this file, for something that is not started.
    pub(super) fn of(config: Option<PathBuf>) -> Self {
        Self { config, print_config: false, output: output::Format::Text }
    }

    /// Whether none of its flags is given.
    pub(super) const fn is_silent(&self) -> bool {
        self.config.is_none() && !self.print_config
    }

    /// The settings of a process of `role`; `None` when they were to be shown, and were.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with them.
    pub(super) fn settings(
        self,
        role: Role,
        variables: &Variables,
        flags: Layer,
    ) -> Result<Option<(Config, Report)>, Failure> {
        let Self { config, print_config, output } = self;
        let sources = Sources::read(config.as_deref(), variables, flags).map_err(|error| {
            Failure::of(Exit::Usage, &error, "name a file that exists and can be read")
        })?;
        let (config, report) =
            Config::check(sources, &sources::machine(role)).map_err(|p| wrong(&p, role))?;
        if print_config {
            print(&report, output);
            return Ok(None);
        }
        Ok(Some((config, report)))
    }
}

/// The whole path of a manifest, as `culvert status` shows it wherever that is asked; standard
/// input is no path.
pub(super) fn whole(path: PathBuf) -> PathBuf {
    if path == Path::new("-") { path } else { path::absolute(&path).unwrap_or(path) }
}

/// Every problem on its own line.
fn wrong(problems: &Problems, role: Role) -> Failure {
    let command = role.command();
    let next = format!("mend them and start again; `culvert {command} --help` lists the settings");
    problems.0.iter().fold(Failure::new(Exit::Usage, problems, next), Failure::and)
}

fn print(report: &Report, format: output::Format) {
    match format {
        output::Format::Json => {
            output::json(&report.0);
        }
        output::Format::Text => output::table(
            ["SETTING", "VALUE", "FROM"],
            report.0.iter().map(|entry| [entry.name.to_owned(), entry.text(), entry.from.clone()]),
        ),
    }
}
