//! `culvert up`
use super::output;
use crate::{
    config::{
        Config, Problems,
        flags::SettingFlags,
        report::Report,
        sources::{self, Sources, Variables},
    },
    failure::{Exit, Failure},
    up,
};
use std::path::{self, PathBuf};

/// Hold the pods of this machine: control plane and node in one process.
///
/// Reads the manifests, captures every connection of the pods they enrol, and follows changes
/// until SIGTERM or Ctrl-C; a second signal ends it at once.
/// A running process of the same instance is taken over without a lost connection.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "\
Examples:
  culvert up -f manifests/
  culvert up -f pods.yaml -f policy/ --config node.yaml --strict
  culvert up --print-config

More settings with --help; all of them are in docs/settings.md.",
    after_long_help = "\
Examples:
  culvert up -f manifests/
  culvert up -f pods.yaml -f policy/ --config node.yaml --strict
  culvert up --print-config

Each setting is also a field of the settings file and a CULVERT_* variable: docs/settings.md."
)]
pub(crate) struct Up {
    /// A manifest, a folder of manifests, or - for standard input; may be repeated. Changes apply
    /// within a second.
    #[arg(short, long = "file", value_name = "PATH", num_args = 1.., required_unless_present = "print_config")]
    files: Vec<PathBuf>,
    /// The settings file [default: the one that `CULVERT_CONFIG` names].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the settings that result and where each came from, and end.
    #[arg(long)]
    print_config: bool,
    /// How --print-config prints.
    #[arg(short, long, value_name = "FORMAT", default_value = "text", requires = "print_config")]
    output: output::Format,
    #[command(flatten)]
    settings: SettingFlags,
}

impl Up {
    pub(super) fn run(self, variables: &Variables) -> Result<Exit, Failure> {
        let Self { files, config, print_config, output, settings } = self;
        let sources = Sources::read(config.as_deref(), variables, settings.0).map_err(|error| {
            Failure::of(Exit::Usage, &error, "name a file that exists and can be read")
        })?;
        let (config, report) =
            Config::check(sources, &sources::machine()).map_err(|problems| wrong(&problems))?;
        if print_config {
            print(&report, output);
            return Ok(Exit::Done);
        }
        // As `culvert status` shows them, wherever that is asked.
        let files = files.into_iter().map(whole).collect();
        up::run(config, report, files)
    }
}

/// The whole path of a manifest; standard input is no path.
fn whole(path: PathBuf) -> PathBuf {
    if path.as_os_str() == "-" { path } else { path::absolute(&path).unwrap_or(path) }
}

/// Every problem on its own line.
fn wrong(problems: &Problems) -> Failure {
    let next = "mend them and start again; `culvert up --help` lists the settings";
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
