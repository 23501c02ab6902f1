//! Leaving nothing behind, whatever state an instance is in.
use crate::{
    instance::Instance,
    netns::Netns,
    node::{NodeError, links, load},
    pod::{
        guard,
        record::{self, Record, RecordError},
        undo,
    },
};
use std::{
    error::Error,
    fmt, fs, io,
    path::{Path, PathBuf},
};

/// What was removed, and what could not be; each line is for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub removed: Vec<String>,
    pub left: Vec<String>,
}

/// Removes an instance's programs, pins, what it changed in pods, its cgroup and its run folder.
///
/// Connections through a proxy that still runs are cut loose from capture: end it first. Running
/// it again finds nothing to remove. What fails is reported and does not keep the rest from being
/// removed.
///
/// # Errors
///
/// When pins or records cannot be listed.
pub fn uninstall(instance: &Instance) -> Result<Report, NodeError> {
    let mut report = Report::default();
    let layouts: Vec<PathBuf> = load::layouts(instance)?.into_iter().map(|(_, dir)| dir).collect();
    // Outbound capture first, whole: from here no connection meets half of it.
    for dir in &layouts {
        report.note(detach_all(dir));
    }
    let node = Netns::current()?;
    for path in record::paths(&instance.run_dir())? {
        report.note(undo_recorded(&path, &node, &layouts));
    }
    for dir in &layouts {
        report.note(remove_pins(dir));
    }
    report.note(remove_empty(&instance.all_pins(), "pins"));
    drop(instance.all_pins().parent().map(fs::remove_dir));
    report.note(remove_empty(&instance.cgroup(), "cgroup"));
    let run = instance.run_dir();
    if record::paths(&run)?.is_empty() {
        report.note(remove_tree(&run, "run folder"));
        drop(run.parent().map(fs::remove_dir));
    } else {
        report.left.push(format!("{}: its records are still needed", run.display()));
    }
    Ok(report)
}

/// What one step did: `None` when there was nothing to do.
type Step = Result<Option<String>, String>;

impl Report {
    fn note(&mut self, step: Step) {
        match step {
            Ok(done) => self.removed.extend(done),
            Err(failed) => self.left.push(failed),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.removed.is_empty() && self.left.is_empty() {
            return f.write_str("nothing was installed");
        }
        self.removed.iter().try_for_each(|line| writeln!(f, "removed {line}"))?;
        self.left.iter().try_for_each(|line| writeln!(f, "left {line}"))
    }
}

/// Detaches the node's programs.
fn detach_all(dir: &Path) -> Step {
    let mut detached = 0;
    for pin in children(dir).map_err(|e| io_line(dir, &e))? {
        if is_link(&pin) {
            links::remove(&pin).map_err(|e| io_line(&pin, &e))?;
            detached += 1;
        }
    }
    Ok((detached > 0).then(|| format!("{detached} programs attached to the cgroup")))
}

/// Undoes what a record tells of, and removes the record.
fn undo_recorded(path: &Path, node: &Netns, layouts: &[PathBuf]) -> Step {
    let done = match record::read(path) {
        Ok(record) => undo_pod(&record, node, layouts)?,
        // Its pins are found without it. What the pod was like before nobody knows any more.
        Err(RecordError::Malformed { path, source }) => {
            let path = path.display();
            Some(format!("damaged record {path} ({source}); its pod keeps sysctls and routing"))
        }
        Err(error) => return Err(chain(&error)),
    };
    record::forget(path).map_err(|e| chain(&e))?;
    Ok(done)
}

fn undo_pod(record: &Record, node: &Netns, layouts: &[PathBuf]) -> Step {
    let failed = |error: &dyn Error| format!("{}: {}", record.uid, chain(error));
    for dir in layouts {
        let dir = dir.join("pods").join(record.pod_id.to_string());
        if let Some(guarded) = &record.guard {
            guard::remove(node, &dir, guarded).map_err(|e| failed(&e))?;
        }
        undo::remove_dir(&dir).map_err(|e| failed(&e))?;
    }
    match undo::netns_of(record) {
        Some(netns) => {
            undo::restore(record, &netns).map_err(|e| failed(&e))?;
            Ok(Some(format!("{}: capture, routing and sysctls", record.uid)))
        }
        None => Ok(Some(format!("{}: capture (its network namespace is gone)", record.uid))),
    }
}

/// Removes what is pinned of one layout, with pods nobody has a record of.
fn remove_pins(dir: &Path) -> Step {
    let pods = dir.join("pods");
    for pod in children(&pods).map_err(|e| io_line(&pods, &e))? {
        undo::remove_dir(&pod).map_err(|e| chain(&e))?;
    }
    remove_tree(dir, "pins")
}

fn remove_tree(dir: &Path, what: &str) -> Step {
    done(fs::remove_dir_all(dir), dir, what)
}

fn remove_empty(dir: &Path, what: &str) -> Step {
    if !dir.exists() {
        // A file system that is read-only would say so before it looks.
        return Ok(None);
    }
    done(fs::remove_dir(dir), dir, what)
}

fn done(result: io::Result<()>, dir: &Path, what: &str) -> Step {
    match result {
        Ok(()) => Ok(Some(format!("{what} {}", dir.display()))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) if e.raw_os_error() == Some(libc::EBUSY) => {
            Err(format!("{}: a process is still in it", dir.display()))
        }
        Err(e) => Err(io_line(dir, &e)),
    }
}

fn children(dir: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.map(|entry| Ok(entry?.path())).collect(),
    }
}

fn is_link(pin: &Path) -> bool {
    let name = pin.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with("link_"))
}

fn io_line(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}
