//! Files that others replace in place.
//!
//! They are read again and again and compared by content: that also sees what no notification
//! tells of, such as Kubernetes swapping the link above the link that a secret's file is.
use culvert_runtime::drain::Worker;
use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::{self, MissedTickBehavior};

/// The contents of several files, in their order.
pub(crate) type Contents = Vec<Vec<u8>>;

/// Files that belong together, and what was in them last.
#[derive(Debug)]
pub(crate) struct Files {
    paths: Vec<PathBuf>,
    seen: Contents,
}

impl Files {
    /// Reads them all; an error names the file.
    ///
    /// Blocks its thread for the time a few kilobytes take.
    pub(crate) fn open(paths: &[&Path]) -> Result<Self, (PathBuf, io::Error)> {
        let paths: Vec<PathBuf> = paths.iter().map(|path| (*path).to_owned()).collect();
        let seen = read(&paths)?;
        Ok(Self { paths, seen })
    }

    pub(crate) fn contents(&self) -> &Contents {
        &self.seen
    }
}

/// Reads `files` every `period` until the drain; what differs from the last time is parsed and
/// applied.
///
/// What cannot be read or parsed is logged once and changes nothing.
pub(crate) async fn follow<T, E: Error>(
    mut files: Files,
    period: Duration,
    worker: Worker,
    parse: impl Fn(&Contents) -> Result<T, E>,
    mut apply: impl FnMut(T),
) {
    let mut ticks = time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut readable = true;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = worker.finishing() => return,
        }
        match read(&files.paths) {
            Ok(contents) if contents == files.seen => readable = true,
            Ok(contents) => {
                readable = true;
                files.seen = contents;
                told(&files.paths, parse(&files.seen)).into_iter().for_each(&mut apply);
            }
            Err((path, error)) if readable => {
                readable = false;
                tracing::warn!(path = %path.display(), %error, "cannot read a file again");
            }
            Err(_) => {}
        }
    }
}

fn read(paths: &[PathBuf]) -> Result<Contents, (PathBuf, io::Error)> {
    let read = |path: &PathBuf| std::fs::read(path).map_err(|error| (path.clone(), error));
    paths.iter().map(read).collect()
}

/// What was read, having told of it.
fn told<T, E: Error>(files: &[PathBuf], parsed: Result<T, E>) -> Option<T> {
    match &parsed {
        Ok(_) => tracing::info!(?files, "files were replaced"),
        Err(error) => {
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            tracing::warn!(%error, cause, "replaced files are not used");
        }
    }
    parsed.ok()
}
