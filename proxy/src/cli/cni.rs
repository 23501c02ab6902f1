//! `culvert cni`: a plugin that container runtimes call.
use crate::failure::{Exit, Failure};
use culvert_cni::{
    NAME, conf,
    plugin::{self, Outcome},
};
use std::{
    env,
    ffi::OsStr,
    io::{self, Read as _, Write as _},
    path::Path,
    process::ExitCode,
};

/// The CNI plugin: hands each new pod over to the node before a container starts in it.
///
/// A container runtime calls it, last in its list of plugins, with CNI_* variables and the list's
/// entry on standard input; `culvert node` puts the entry there. Answers as the CNI specification
/// says, also with its exit code: 0, or 1 and an error on standard output.
/// The same program under the name culvert-cni is this command.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  CNI_COMMAND=VERSION culvert cni < /dev/null")]
pub(crate) struct Cni {}

/// Whether the program is called by the plugin's name.
pub(crate) fn is_called() -> bool {
    let called = env::args_os().next().unwrap_or_default();
    Path::new(&called).file_name() == Some(OsStr::new(NAME))
}

impl Cni {
    #[expect(clippy::unused_self, reason = "as every command")]
    pub(super) fn run(self) -> Result<Exit, Failure> {
        if env::var_os("CNI_COMMAND").is_none() {
            let next =
                "`culvert node --cni-conf-dir DIR` has the runtime call it; see docs/kubernetes.md";
            let what = "CNI_COMMAND is not set: this is for container runtimes to call";
            return Err(Failure::new(Exit::Usage, what, next));
        }
        Ok(call())
    }
}

/// By the plugin's name nothing else is asked, and clap is not.
pub(crate) fn main() -> ExitCode {
    let done = Cni {}.run().unwrap_or_else(|failure| {
        super::output::say(&failure);
        failure.exit
    });
    Exit::into(done)
}

/// Reads what the runtime says, and answers it.
fn call() -> Exit {
    let variable = |name: &str| env::var_os(name).and_then(|value| value.into_string().ok());
    let mut text = Vec::new();
    // Half of it is understood as little as none.
    drop(io::stdin().lock().take(conf::LONGEST).read_to_end(&mut text));
    let Outcome { said, succeeded } = plugin::run(variable, &text);
    let mut stdout = io::stdout().lock();
    // A runtime that does not listen sees the exit code.
    drop(stdout.write_all(said.as_bytes()).and_then(|()| stdout.flush()));
    if succeeded { Exit::Done } else { Exit::Found }
}
