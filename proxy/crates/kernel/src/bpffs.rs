//! The file system that pins live in.
use nix::{
    mount::{MsFlags, mount},
    sys::statfs::statfs,
};
use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::Path,
};

/// Where it is mounted, by convention.
pub const ROOT: &str = "/sys/fs/bpf";

/// `BPF_FS_MAGIC` of linux/magic.h.
const MAGIC: i64 = 0xcafe_4a11;

/// Mounts it where nothing did: bare machines and most containers have the folder only.
pub(crate) fn ensure() -> io::Result<()> {
    if is_mounted()? {
        return Ok(());
    }
    mount(Some("bpf"), ROOT, Some("bpf"), MsFlags::empty(), None::<&str>)?;
    Ok(())
}

/// Whether it is there.
///
/// # Errors
///
/// When not even the folder is.
pub fn is_mounted() -> io::Result<bool> {
    Ok(statfs(ROOT)?.filesystem_type().0 == MAGIC)
}

/// Makes a folder and its parents that nobody but root may enter.
///
/// Root without any capability may open a pin whose path it can reach, and whoever has the socket
/// map can mark its own sockets as the proxy's.
pub(crate) fn private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}
