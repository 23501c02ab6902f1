//! A process of a lab.
use crate::error::LabError;
use culvert_kernel::netns::Netns;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    io,
    path::Path,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Output},
};

/// A started process; killed when dropped.
#[derive(Debug)]
pub struct LabChild {
    program: String,
    /// `None` once it was waited for by [`Self::output`].
    child: Option<Child>,
}

impl LabChild {
    pub(crate) fn start(
        mut command: Command,
        netns: &Netns,
        cgroup: &Path,
    ) -> Result<Self, LabError> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = netns.place(&mut command, Some(cgroup)).and_then(|()| command.spawn());
        match child {
            Ok(child) => Ok(Self { program, child: Some(child) }),
            Err(source) => Err(LabError::Start { program, source }),
        }
    }

    pub fn program(&self) -> &str {
        &self.program
    }

    /// Its process id; `None` when it has been waited for.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Sends a signal; a process that has ended takes none.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn signal(&mut self, signal: Signal) -> io::Result<()> {
        let Some(child) = &mut self.child else { return Ok(()) };
        if child.try_wait()?.is_some() {
            return Ok(());
        }
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        Ok(kill(Pid::from_raw(pid), signal)?)
    }

    /// Takes the pipe to its standard input.
    pub fn stdin(&mut self) -> Option<ChildStdin> {
        self.child.as_mut().and_then(|child| child.stdin.take())
    }

    /// Takes the pipe from its standard output.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.as_mut().and_then(|child| child.stdout.take())
    }

    /// Takes the pipe from its standard error.
    pub fn stderr(&mut self) -> Option<ChildStderr> {
        self.child.as_mut().and_then(|child| child.stderr.take())
    }

    /// How it ended; `None` while it runs.
    ///
    /// # Errors
    ///
    /// What `waitpid(2)` reports.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.as_mut().map_or(Ok(None), Child::try_wait)
    }

    /// Waits until it ends.
    ///
    /// # Errors
    ///
    /// What `waitpid(2)` reports.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.as_mut().map_or_else(|| Err(waited_for()), Child::wait)
    }

    /// Waits until it ends, and returns what it wrote into the pipes that were not taken.
    ///
    /// # Errors
    ///
    /// When a pipe cannot be read.
    pub fn output(mut self) -> io::Result<Output> {
        self.child.take().map_or_else(|| Err(waited_for()), Child::wait_with_output)
    }
}

impl Drop for LabChild {
    fn drop(&mut self) {
        let Some(child) = &mut self.child else { return };
        // One that has ended cannot be killed, and one that cannot be waited for is not ours.
        drop(child.kill());
        drop(child.wait());
    }
}

fn waited_for() -> io::Error {
    io::Error::other("the process has been waited for")
}
