//! Files that are found whole, now and after a crash: written beside, and moved into place.
use nix::unistd::{Gid, Uid, fchown};
use std::{
    fs::{self, File, Metadata, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// What every file that is not in its place yet ends in: no runtime takes it for a configuration.
const BESIDE: &str = ".culvert-new";

/// Whose a file is to be, and who may read it.
#[derive(Clone, Copy, Debug)]
pub struct Like {
    mode: u32,
    owner: Option<(u32, u32)>,
}

impl Like {
    /// For everybody to read.
    pub const PUBLIC: Self = Self { mode: 0o644, owner: None };
    /// For its owner.
    pub const PRIVATE: Self = Self { mode: 0o600, owner: None };
    /// For everybody to run.
    pub(crate) const PROGRAM: Self = Self { mode: 0o755, owner: None };

    /// As the file that is there.
    #[must_use]
    pub fn file(there: &Metadata) -> Self {
        Self { mode: there.mode() & 0o7777, owner: Some((there.uid(), there.gid())) }
    }
}

/// Replaces a file whole or not at all.
///
/// # Errors
///
/// When it cannot be written: what was there is there still, and nothing is left beside.
pub fn replace(path: &Path, text: &[u8], like: Like) -> io::Result<()> {
    let beside = Beside::write(path, text, like)?;
    beside.take()
}

/// A whole file that is not in its place yet; dropped, it is gone.
#[derive(Debug)]
pub(crate) struct Beside {
    path: PathBuf,
    pub(crate) beside: PathBuf,
}

impl Beside {
    /// Writes it.
    pub(crate) fn write(path: &Path, text: &[u8], like: Like) -> io::Result<Self> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(BESIDE);
        let file = Self { path: path.to_owned(), beside: beside.into() };
        // What a process that was killed left there may have another mode.
        drop(fs::remove_file(&file.beside));
        let mut options = OpenOptions::new();
        let mut opened = options.write(true).create_new(true).mode(like.mode).open(&file.beside)?;
        // Whatever the umask is.
        opened.set_permissions(Permissions::from_mode(like.mode))?;
        if let Some((uid, gid)) = like.owner {
            fchown(&opened, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        opened.write_all(text)?;
        opened.sync_all()?;
        Ok(file)
    }

    /// Has it found in place of what lies there.
    pub(crate) fn take(self) -> io::Result<()> {
        fs::rename(&self.beside, &self.path)?;
        match self.path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Moved already, as a rule.
        drop(fs::remove_file(&self.beside));
    }
}
