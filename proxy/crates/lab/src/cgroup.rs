//! Cgroups of version 2: made, emptied, removed.
use crate::error::LabError;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs::{self, File},
    io,
    path::Path,
    process, thread,
    time::Duration,
};

/// How long killed processes may take to disappear, and how often we look.
const GONE_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(5);

pub(crate) fn make(path: &Path) -> Result<(), LabError> {
    fs::create_dir_all(path).map_err(failed("make", path))
}

pub(crate) fn open(path: &Path) -> Result<File, LabError> {
    File::open(path).map_err(failed("open", path))
}

/// Kills every process in `path` and below, and waits until they are gone.
pub(crate) fn end_processes(path: &Path) -> Result<(), LabError> {
    let looks = GONE_WITHIN.as_millis() / LOOK_EVERY.as_millis();
    for _ in 0..looks {
        let pids = processes(path)?;
        if pids.is_empty() {
            return Ok(());
        }
        // Again and again: a process may have forked between the list and the signal.
        for pid in pids {
            end(path, pid)?;
        }
        thread::sleep(LOOK_EVERY);
    }
    Err(LabError::Undead { pids: processes(path)? })
}

/// Removes the cgroups below `path`, which must be empty of processes.
pub(crate) fn remove_below(path: &Path) -> Result<(), LabError> {
    folders(path)?.iter().try_for_each(|below| remove(below))
}

pub(crate) fn remove(path: &Path) -> Result<(), LabError> {
    remove_below(path)?;
    match fs::remove_dir(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(e)),
        _ => Ok(()),
    }
}

fn end(path: &Path, pid: i32) -> Result<(), LabError> {
    if u32::try_from(pid) == Ok(process::id()) {
        // Whoever clears up after a demo may have been started inside it.
        let mut outside = path.to_owned();
        outside.pop();
        let procs = outside.join("cgroup.procs");
        return fs::write(&procs, "0").map_err(failed("move this process to", &procs));
    }
    match kill(Pid::from_raw(pid), Signal::SIGKILL) {
        Ok(()) | Err(nix::Error::ESRCH) => Ok(()),
        Err(e) => Err(failed("end the processes of", path)(e.into())),
    }
}

/// The processes in `path` and below; zombies are not among them.
fn processes(path: &Path) -> Result<Vec<i32>, LabError> {
    let procs = path.join("cgroup.procs");
    let text = match fs::read_to_string(&procs) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
        text => text.map_err(failed("read", &procs))?,
    };
    let mut pids: Vec<i32> = text.lines().filter_map(|line| line.parse().ok()).collect();
    for below in folders(path)? {
        pids.extend(processes(&below)?);
    }
    Ok(pids)
}

fn folders(path: &Path) -> Result<Vec<std::path::PathBuf>, LabError> {
    let entries = match fs::read_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed("list", path))?,
    };
    let folders = entries.flatten().filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir()));
    Ok(folders.map(|entry| entry.path()).collect())
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LabError {
    move |source| LabError::File { what, path: path.to_owned(), source }
}
