//! `culvert check`
use super::output;
use crate::failure::{Exit, Failure};
use culvert_control::{
    check::{Report, check},
    problem::Severity,
};
use std::{
    fmt,
    path::{Path, PathBuf},
};

mod json;
mod sarif;

/// Say what is wrong with manifests, before anybody runs them.
///
/// Offline and without privileges: every problem of every file at once, with its line, a code that
/// docs/check.md explains, and what to do about it.
/// Exit code 0 no errors, 1 errors, 3 something that was named cannot be read.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  culvert check manifests/
  kustomize build overlays/prod | culvert check -
  culvert check mesh.yaml policy/ -o json | jq -r '.findings[].message'
  culvert check mesh/ -o sarif > culvert.sarif")]
pub(crate) struct Check {
    /// A manifest, a folder of manifests, or - for standard input.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

/// `-o`: how findings are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// With the source line, for people.
    #[default]
    Text,
    /// One stable JSON document.
    Json,
    /// SARIF 2.1.0, for code hosts and editors.
    Sarif,
}

/// The last line: how much was found in how much.
struct Sum<'a>(&'a Report);

impl Check {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let Self { paths, output } = self;
        if paths.iter().filter(|path| *path == Path::new("-")).count() > 1 {
            let next = "name it once";
            return Err(Failure::new(Exit::Usage, "standard input can be read only once", next));
        }
        let report = check(&paths);
        match output {
            Format::Text => {
                report.findings.iter().for_each(|finding| output::print(finding.in_full()));
                output::print(Sum(&report));
            }
            Format::Json => output::json(&json::document(&report.findings)),
            Format::Sarif => output::json(&sarif::log(&report.findings)),
        }
        if report.is_partial() {
            let next = "name files and folders that are there and can be read";
            return Err(Failure::new(Exit::Cannot, "not all that was named could be read", next));
        }
        if report.count(Severity::Error) == 0 {
            return Ok(Exit::Done);
        }
        output::say("next: mend what is called error, and check again");
        Ok(Exit::Found)
    }
}

impl fmt::Display for Sum<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(report) = self;
        let many = |count: usize, what: &str| match count {
            1 => format!("1 {what}"),
            count => format!("{count} {what}s"),
        };
        let told =
            [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Info, "note")]
                .map(|(severity, what)| (report.count(severity), what));
        let told: Vec<_> = told
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| many(count, what))
            .collect();
        let told = if told.is_empty() { "no findings".to_owned() } else { told.join(", ") };
        let (objects, files) = (many(report.objects, "object"), many(report.files, "file"));
        write!(f, "{told} in {objects} of {files}")
    }
}
