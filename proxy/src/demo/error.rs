//! Why the demonstration cannot go on.
use culvert_lab::LabError;
use std::io;

/// Why the stage cannot be built or used.
#[derive(Debug, thiserror::Error)]
pub(super) enum StageError {
    #[error("cannot make its nodes and pods")]
    Lab(#[from] LabError),
    #[error("a process or file of the demonstration")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Unexpected(String),
    #[error("interrupted")]
    Interrupted,
}
