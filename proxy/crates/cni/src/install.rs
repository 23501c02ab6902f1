//! Beside whatever CNI is there: the program in the folder of plugins, and the entry in the list
//! that the runtime takes. Each file is replaced whole or not at all.
use crate::{
    NAME,
    chain::{self, Entry, Fault, Plan},
    replace::{Beside, Like, replace},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

/// Larger files are no configurations.
const LARGEST: u64 = 1 << 20;

/// How often a folder is looked at that changes while it is looked at.
const ROUNDS: usize = 5;

/// How often the new program is tried that somebody has just written.
const TRIES: usize = 20;

/// Where a node installed what; kept in its run folder, for whoever uninstalls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    pub bin_dir: Option<PathBuf>,
    pub conf_dir: Option<PathBuf>,
}

/// What was found in the folder of configurations, and done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chained {
    /// The file that has the entry; `None`: there is no CNI yet.
    pub file: Option<PathBuf>,
    /// Whether anything was changed.
    pub changed: bool,
    /// Files that could not have it, and would have come before.
    pub faults: Vec<(PathBuf, Fault)>,
}

/// Why the plugin is not installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    #[error("cannot {what} {}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the plugin does not run in {}: {why}", folder.display())]
    DoesNotRun { folder: PathBuf, why: String },
    #[error("{} changes faster than an entry can be put into its files", .0.display())]
    Restless(PathBuf),
}

impl InstallError {
    /// What to do about it.
    #[must_use]
    pub fn next(&self) -> &'static str {
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "make the folder, or name another with cni_bin_dir or cni_conf_dir"
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                "mount the folder of the host writable"
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "free some space there: what was there is as it was"
            }
            Self::Io { .. } => "see that it can be read and written by root",
            Self::DoesNotRun { .. } => {
                "see that the folder is not mounted noexec, and that the program is for this machine"
            }
            Self::Restless(_) => "see who writes there: it is tried again",
        }
    }
}

/// Puts the program into the folder of plugins; says whether it was not there.
///
/// # Errors
///
/// When it cannot be written there or does not run; what was there stays.
pub fn put_program(program: &Path, bin_dir: &Path) -> Result<bool, InstallError> {
    let path = bin_dir.join(NAME);
    let own = fs::read(program).map_err(io_error("read", program))?;
    if fs::read(&path).is_ok_and(|there| there == own) {
        return Ok(false);
    }
    let beside = Beside::write(&path, &own, Like::PROGRAM).map_err(io_error("write", &path))?;
    try_out(&beside.beside)
        .map_err(|why| InstallError::DoesNotRun { folder: bin_dir.to_owned(), why })?;
    beside.take().map_err(io_error("replace", &path))?;
    Ok(true)
}

/// Whether the program answers as a plugin does.
fn try_out(program: &Path) -> Result<(), String> {
    let mut command = Command::new(program);
    command.arg("cni").env_clear().env("CNI_COMMAND", "VERSION");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for _ in 0..TRIES {
        match command.output() {
            // A child of another thread that has not begun yet holds what was written here.
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                thread::sleep(Duration::from_millis(10));
            }
            Err(error) => return Err(error.to_string()),
            Ok(done) if done.status.success() => {
                let said = String::from_utf8_lossy(&done.stdout);
                let speaks = said.contains("supportedVersions");
                return if speaks { Ok(()) } else { Err("it says no versions".to_owned()) };
            }
            Ok(done) => {
                let said = String::from_utf8_lossy(&done.stderr);
                let last = said.lines().last().unwrap_or_default();
                return Err(format!("{}: {last}", done.status));
            }
        }
    }
    Err("it is busy".to_owned())
}

/// Sees to it that the file that the runtime takes has the entry, and no other.
///
/// # Errors
///
/// When the folder cannot be read, or a file not be replaced; every file is whole then, too.
pub fn put_entry(conf_dir: &Path, entry: &Entry) -> Result<Chained, InstallError> {
    settle(conf_dir, &entry.instance, Some(entry))
}

/// Sees to it that no file has an entry of the instance.
///
/// # Errors
///
/// As [`put_entry`].
pub fn take_entry(conf_dir: &Path, instance: &str) -> Result<Chained, InstallError> {
    settle(conf_dir, instance, None)
}

/// The file that the runtime takes now, and which plugins are in it; `None`: there is no CNI.
///
/// # Errors
///
/// When the folder cannot be read.
pub fn taken(conf_dir: &Path) -> Result<Option<(PathBuf, Vec<String>)>, InstallError> {
    let files = read_folder(conf_dir)?;
    Ok(chain::taken(&files).map(|(name, kinds)| (conf_dir.join(name), kinds)))
}

/// Takes the program away, unless somebody else's entry needs it; says whether it was there.
///
/// # Errors
///
/// When it cannot be removed.
pub fn take_program(bin_dir: &Path, conf_dir: Option<&Path>) -> Result<bool, InstallError> {
    let path = bin_dir.join(NAME);
    let files = conf_dir.map(read_folder).transpose().unwrap_or_default().unwrap_or_default();
    if files.values().any(|text| chain::has_plugin(text)) {
        return Ok(false);
    }
    take_file(&path)
}

/// Removes a file; says whether it was there.
///
/// # Errors
///
/// When it cannot be removed.
pub fn take_file(path: &Path) -> Result<bool, InstallError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        removed => removed.map(|()| true).map_err(io_error("remove", path)),
    }
}

fn settle(conf_dir: &Path, instance: &str, entry: Option<&Entry>) -> Result<Chained, InstallError> {
    let mut changed = false;
    for _ in 0..ROUNDS {
        let files = read_folder(conf_dir)?;
        let plan = chain::plan(&files, instance, entry);
        if plan.changes.is_empty() {
            let Plan { chained, faults, .. } = plan;
            let named = |name: String| conf_dir.join(name);
            return Ok(Chained {
                file: chained.map(named),
                changed,
                faults: faults.into_iter().map(|(name, fault)| (named(name), fault)).collect(),
            });
        }
        changed |= carry_out(conf_dir, &files, &plan)?;
    }
    Err(InstallError::Restless(conf_dir.to_owned()))
}

/// Writes what is to be added first, so that there is always an entry. Says whether all was as it
/// had been read.
fn carry_out(
    conf_dir: &Path,
    files: &BTreeMap<String, String>,
    plan: &Plan,
) -> Result<bool, InstallError> {
    let is_first = |name: &str| plan.chained.as_deref() == Some(name);
    let first = plan.changes.iter().filter(|(name, _)| is_first(name));
    let rest = plan.changes.iter().filter(|(name, _)| !is_first(name));
    for (name, text) in first.chain(rest) {
        let path = conf_dir.join(name);
        // A link stays a link.
        let path = fs::canonicalize(&path).unwrap_or(path);
        let before = files.get(name);
        if before.is_some_and(|before| fs::read(&path).ok().as_deref() != Some(before.as_bytes())) {
            return Ok(false);
        }
        match text {
            Some(text) => {
                // A new list may be read by whom the single plugin beside it is for.
                let like = fs::metadata(&path).map_or(Like::PRIVATE, |there| Like::file(&there));
                replace(&path, text.as_bytes(), like).map_err(io_error("write", &path))?;
            }
            None => drop(take_file(&path)?),
        }
    }
    Ok(true)
}

/// The configurations of a folder, by name.
fn read_folder(conf_dir: &Path) -> Result<BTreeMap<String, String>, InstallError> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(conf_dir).map_err(io_error("read", conf_dir))? {
        let path = entry.map_err(io_error("read", conf_dir))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let is_file = fs::metadata(&path).is_ok_and(|at| at.is_file() && at.len() <= LARGEST);
        if !chain::is_conf(name) || !is_file {
            continue;
        }
        match fs::read(&path) {
            // What is no text is no configuration either, and is said to be none.
            Ok(text) => {
                files.insert(name.to_owned(), String::from_utf8(text).unwrap_or_default());
            }
            // Gone since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io_error("read", &path)(error)),
        }
    }
    Ok(files)
}

impl Places {
    /// Where they are kept.
    fn file(run_dir: &Path) -> PathBuf {
        run_dir.join("cni.json")
    }

    /// Keeps them.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn record(&self, run_dir: &Path) -> io::Result<()> {
        // Two paths of settings always serialize.
        let text = serde_json::to_vec(self).unwrap_or_default();
        replace(&Self::file(run_dir), &text, Like::PRIVATE)
    }

    /// These, and `others` where nothing is said.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            bin_dir: self.bin_dir.or(others.bin_dir),
            conf_dir: self.conf_dir.or(others.conf_dir),
        }
    }

    /// Those that were kept; none where nothing was.
    #[must_use]
    pub fn recorded(run_dir: &Path) -> Self {
        let text = fs::read(Self::file(run_dir)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }
}

impl fmt::Display for Chained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}", file.display()),
            None => f.write_str("no CNI configuration"),
        }
    }
}

fn io_error(what: &'static str, path: &Path) -> impl Fn(io::Error) -> InstallError {
    move |source| InstallError::Io { what, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
