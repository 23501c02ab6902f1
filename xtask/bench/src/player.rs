//! A process inside a pod, spoken to by lines.
use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use culvert_lab::PodNs;

/// The core of whatever is measured, and the core of everything else.
pub(crate) const PROXY_CORE: &str = "0";
pub(crate) const LOAD_CORE: &str = "1";

/// Whether the node's kernel programs see a process's sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// In the pod's cgroup, below the one that the programs are attached to.
    Yes,
    /// In the pod's network namespace only: as if there were no programs on the node.
    No,
}

/// A process that ends when this does.
#[derive(Debug)]
pub(crate) struct Player {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Player {
    /// Starts a command in a pod, with our ends on its input and output.
    pub(crate) fn start(pod: &PodNs, seen: Seen, mut command: Command) -> Result<Self> {
        let cgroup = (seen == Seen::Yes).then(|| pod.cgroup());
        pod.netns().place(&mut command, cgroup)?;
        Self::placed(command)
    }

    /// Starts a command that was placed where it belongs.
    pub(crate) fn placed(mut command: Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{command:?}"))?;
        let output = child.stdout.take().context("a child without output")?;
        Ok(Self { child, output: BufReader::new(output) })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the next line.
    pub(crate) fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.output.read_line(&mut line)? > 0, "process {} ended early", self.child.id());
        Ok(line.trim_end().to_owned())
    }

    /// Lets it go on where it waits for that.
    pub(crate) fn go_on(&mut self) -> Result<()> {
        let input = self.child.stdin.as_mut().context("a child without input")?;
        Ok(input.write_all(b"\n")?)
    }

    /// Waits for a line that says exactly this.
    pub(crate) fn says(&mut self, expected: &str) -> Result<()> {
        let line = self.line()?;
        ensure!(line == expected, "process {} says {line:?}, not {expected:?}", self.child.id());
        Ok(())
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        // Both fail only for a process that has ended, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A part of [`crate::role`], as words of a command line.
pub(crate) fn role(words: &[&str]) -> Result<Command> {
    role_by(pinned(LOAD_CORE, &env::current_exe()?), words)
}

/// The same on the proxy's core, where it leaves it free.
pub(crate) fn role_on_proxy_core(words: &[&str]) -> Result<Command> {
    role_by(pinned(PROXY_CORE, &env::current_exe()?), words)
}

/// The same on whatever core is free.
pub(crate) fn role_anywhere(words: &[&str]) -> Result<Command> {
    role_by(Command::new(env::current_exe()?), words)
}

fn role_by(mut command: Command, words: &[&str]) -> Result<Command> {
    command.arg("role").args(words);
    Ok(command)
}

/// A program that runs on one core only, so that a proxy and its load do not take turns.
pub(crate) fn pinned(core: &str, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core]).arg(program);
    command
}
