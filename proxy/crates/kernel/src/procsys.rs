//! `/proc/sys`, which container runtimes mount read-only, and where a pod's settings are written.
use nix::{
    mount::{MsFlags, mount},
    sys::statvfs::{FsFlags, statvfs},
};
use std::io;

const PLACE: &str = "/proc/sys";

/// Settings of pods cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("/proc/sys is read-only here, and cannot be mounted anew")]
pub struct ReadOnly(#[source] io::Error);

/// Makes it writable in this process's mount namespace, if it is not; whether it was not.
///
/// # Errors
///
/// When the process may not, or it is no mount of its own.
pub fn make_writable() -> Result<bool, ReadOnly> {
    let flags = statvfs(PLACE).map_err(|error| ReadOnly(error.into()))?.flags();
    if !flags.contains(FsFlags::ST_RDONLY) {
        return Ok(false);
    }
    // Nothing else of the mount changes.
    let none = None::<&str>;
    mount(none, PLACE, none, MsFlags::MS_REMOUNT | MsFlags::MS_BIND | kept(flags), none)
        .map_err(|error| ReadOnly(error.into()))?;
    Ok(true)
}

/// What a remount would take away.
fn kept(flags: FsFlags) -> MsFlags {
    let all = [
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
        (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
    ];
    all.into_iter().filter(|(is, _)| flags.contains(*is)).map(|(_, stays)| stays).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_but_what_was_there() {
        let there = FsFlags::ST_RDONLY | FsFlags::ST_NOSUID | FsFlags::ST_RELATIME;
        assert_eq!(kept(there), MsFlags::MS_NOSUID | MsFlags::MS_RELATIME);
    }
}
