//! How a command ends: the exit code, and what is said on the way out.
use std::{error::Error, fmt, process::ExitCode};

/// Exit codes; scripts rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, or allowed.
    Done,
    /// Found problems, or denied.
    Found,
    /// Wrong use: arguments or settings.
    Usage,
    /// Cannot reach or cannot run.
    Cannot,
}

/// Why a command could not do its work.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// One per line, outermost first.
    causes: Vec<String>,
    /// What to do now.
    next: String,
}

impl Exit {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Found => 1,
            Self::Usage => 2,
            Self::Cannot => 3,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

impl Failure {
    /// `what` in a few words, and what to do about it.
    pub(crate) fn new(exit: Exit, what: impl fmt::Display, next: impl Into<String>) -> Self {
        Self { exit, causes: vec![what.to_string()], next: next.into() }
    }

    /// An error with its causes.
    pub(crate) fn of(exit: Exit, error: &(dyn Error + 'static), next: impl Into<String>) -> Self {
        Self { exit, causes: Vec::new(), next: next.into() }.because(error)
    }

    /// One more cause with all of its own, unless it only repeats the line above.
    #[must_use]
    pub(crate) fn because(mut self, error: &(dyn Error + 'static)) -> Self {
        for error in std::iter::successors(Some(error), |&error| error.source()) {
            self = self.and(error);
        }
        self
    }

    /// One more line.
    #[must_use]
    pub(crate) fn and(mut self, cause: impl fmt::Display) -> Self {
        let cause = cause.to_string();
        if self.causes.last().is_none_or(|above| !above.ends_with(&cause)) {
            self.causes.push(cause);
        }
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { exit: _, causes, next } = self;
        for (depth, cause) in causes.iter().enumerate() {
            for (line_no, line) in cause.trim_end().lines().enumerate() {
                let lead = if (depth, line_no) == (0, 0) { "culvert: " } else { "  " };
                writeln!(f, "{lead}{line}")?;
            }
        }
        write!(f, "next: {next}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn says_one_cause_per_line_and_last_what_to_do() {
        let failure = Failure::new(Exit::Cannot, "cannot listen", "stop the other process")
            .because(&io::Error::from_raw_os_error(libc::EADDRINUSE));
        assert_eq!(
            failure.to_string(),
            "culvert: cannot listen\n  Address already in use (os error 98)\nnext: stop the other process"
        );
    }

    #[test]
    fn a_cause_of_several_lines_stays_in_its_shape() {
        let failure = Failure::new(Exit::Found, "two", "mend").and("a:1:1: x\n 1 | y\n   | ^");
        assert_eq!(failure.to_string(), "culvert: two\n  a:1:1: x\n   1 | y\n     | ^\nnext: mend");
    }

    #[test]
    fn does_not_repeat_a_cause_that_the_line_above_ends_with() {
        let failure =
            Failure::new(Exit::Cannot, "cannot read x: no such file", "look").and("no such file");
        assert_eq!(failure.to_string(), "culvert: cannot read x: no such file\nnext: look");
    }
}
