//! `culvert log`
use super::{
    door::{DoorArgs, Whom},
    output,
};
use crate::{
    admin::view,
    config::{raw::nearest, sources::Variables},
    failure::{Exit, Failure},
};
use culvert_kubernetes::path::escape;

/// Show or change what a running node logs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  culvert log                             what is logged now
  culvert log debug                       everything of level debug
  culvert log info,culvert_kernel=trace   one part in detail

The change lasts until the node is restarted; the setting `log` makes it permanent.")]
pub(crate) struct Log {
    /// A level, or target=level pairs with commas.
    #[arg(value_name = "DIRECTIVES")]
    directives: Option<String>,
    #[command(flatten)]
    door: DoorArgs,
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: output::Format,
}

/// The parts that log.
const TARGETS: [&str; 9] = [
    "culvert",
    "culvert_control",
    "culvert_dataplane",
    "culvert_identity",
    "culvert_kernel",
    "culvert_policy",
    "culvert_runtime",
    "culvert_telemetry",
    "culvert_xds",
];

impl Log {
    pub(super) fn run(self, variables: &Variables) -> Result<Exit, Failure> {
        let door = self.door.door(variables, Whom::Node)?;
        let document = match &self.directives {
            Some(directives) => door.put(&format!("/log?level={}", escape(directives))),
            None => door.get("/log"),
        }?;
        match self.output {
            output::Format::Json => output::print(document),
            output::Format::Text => output::print(door.read::<view::Log>(&document)?.log),
        }
        if let Some(directives) = &self.directives {
            for note in notes(directives) {
                output::say(format_args!("note: {note}"));
            }
        }
        Ok(Exit::Done)
    }
}

/// What directives do that who wrote them may not have meant.
fn notes(directives: &str) -> Vec<String> {
    let parts: Vec<_> = directives.split(',').map(str::trim).collect();
    let targets = parts.iter().filter_map(|part| {
        let end = part.find(['=', '['])?;
        part.get(..end).filter(|target| !target.is_empty())
    });
    let unknown = targets.filter(|target| {
        let part = target.split("::").next().unwrap_or(target);
        !TARGETS.contains(&part)
    });
    let mut notes: Vec<_> = unknown
        .map(|target| match nearest(target, TARGETS.into_iter()) {
            Some(meant) => format!("no part of culvert is called {target}; did you mean {meant}?"),
            None => {
                format!("no part of culvert is called {target}; there are {}", TARGETS.join(", "))
            }
        })
        .collect();
    if parts.iter().all(|part| part.contains(['=', '['])) {
        notes.push(format!("nothing else is logged, not even errors; for that: info,{directives}"));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_was_hardly_meant() {
        assert_eq!(notes("info,culvert_kernel::node=debug"), [""; 0]);
        assert_eq!(notes("off"), [""; 0]);
        assert_eq!(
            notes("culvert_kernl=debug"),
            [
                "no part of culvert is called culvert_kernl; did you mean culvert_kernel?",
                "nothing else is logged, not even errors; for that: info,culvert_kernl=debug",
            ]
        );
    }
}
