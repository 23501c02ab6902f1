//! `culvert completion`
use super::{Cli, output};
use crate::failure::{Exit, Failure};
use clap::CommandFactory as _;
use clap_complete::Shell;

/// Print a shell's completion script.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  culvert completion bash > /etc/bash_completion.d/culvert")]
pub(crate) struct Completion {
    shell: Shell,
}

impl Completion {
    #[expect(clippy::unnecessary_wraps, reason = "every command ends the same way")]
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "culvert", &mut script);
        output::print(String::from_utf8_lossy(&script).trim_end());
        Ok(Exit::Done)
    }
}
