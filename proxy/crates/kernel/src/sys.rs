//! `bpf(2)` where aya has no call for it: links of every kind, pins, programs, and map entries
//! through `&self`.
#![expect(unsafe_code, reason = "bpf(2) takes untyped memory")]
use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

pub(crate) use self::{
    link::{Attached, Hook, Target, has_tcx, link_attached, link_create, link_detach, link_update},
    map::{Shape, Table, fill_and_freeze, map_shape, usable},
    program::{Rejected, btf_load, prog_load},
};

mod link;
mod map;
mod program;

// Commands of `enum bpf_cmd`, linux/bpf.h.
const OBJ_PIN: libc::c_long = 6;
const OBJ_GET: libc::c_long = 7;
const OBJ_GET_INFO_BY_FD: libc::c_long = 15;

#[repr(C)]
struct Object {
    path: u64,
    fd: u32,
    flags: u32,
}

#[repr(C)]
struct InfoByFd {
    fd: u32,
    len: u32,
    info: u64,
}

/// Opens what is pinned at `path`: a map, a program or a link.
pub(crate) fn obj_get(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = Object { path: path.as_ptr() as u64, fd: 0, flags: 0 };
    // SAFETY: `path` ends with a zero byte and outlives the call.
    unsafe { bpf_fd(OBJ_GET, &mut attr) }
}

/// Pins a map, a program or a link at `path`, which must not exist.
pub(crate) fn obj_pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = Object { path: path.as_ptr() as u64, fd: fd_u32(object), flags: 0 };
    // SAFETY: `path` ends with a zero byte and outlives the call.
    unsafe { bpf(OBJ_PIN, &mut attr) }.map(drop)
}

/// What the programs call the time.
pub(crate) fn monotonic_ns() -> io::Result<u64> {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)?;
    u64::try_from(std::time::Duration::from(now).as_nanos()).map_err(io::Error::other)
}

/// A value that a program wrote as bytes; `None` when it is shorter.
pub(crate) fn from_bytes<T: aya::Pod>(bytes: &[u8]) -> Option<T> {
    let bytes = bytes.get(..size_of::<T>())?;
    // SAFETY: as many bytes as a `T` has, wherever they are, and any bytes are a valid `T: Pod`.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

/// Refuses a descriptor that is not of this kind: the info call would fill our structure with
/// another object's.
fn expect_kind(fd: BorrowedFd<'_>, kind: &str) -> io::Result<()> {
    let target = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
    // Kernels write `bpf-map`, and `bpf_link` or `bpf-link`.
    let found = target.to_string_lossy().replace('_', "-");
    if found.strip_prefix("anon-inode:") == Some(kind) {
        return Ok(());
    }
    let message = format!("{} instead of a {kind}", target.display());
    Err(io::Error::new(io::ErrorKind::InvalidData, message))
}

/// The start of an object's info.
fn info<T: aya::Pod>(object: BorrowedFd<'_>, mut info: T) -> io::Result<T> {
    let (fd, len) = (fd_u32(object), size_u32::<T>());
    let mut attr = InfoByFd { fd, len, info: std::ptr::from_mut(&mut info) as u64 };
    // SAFETY: the kernel writes at most `len` bytes to `info`, which outlives the call, and any
    // bytes are a valid `T: Pod`.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut attr) }?;
    Ok(info)
}

/// The call itself; `attr` is the command's member of `union bpf_attr`, integers without padding.
///
/// # Safety
///
/// Every pointer in `attr` is valid for what the command reads or writes there, and `attr` is at
/// least as long as what the command writes back into it.
unsafe fn bpf<A>(command: libc::c_long, attr: &mut A) -> io::Result<libc::c_long> {
    let attr = std::ptr::from_mut(attr);
    // SAFETY: `attr` is valid for reads and writes of its size, which is passed; the rest is the
    // caller's promise.
    let rc = unsafe { libc::syscall(libc::SYS_bpf, command, attr, size_of::<A>()) };
    if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(rc) }
}

/// A command that makes a descriptor.
///
/// # Safety
///
/// As for [`bpf`], and `command` is such a command.
unsafe fn bpf_fd<A>(command: libc::c_long, attr: &mut A) -> io::Result<OwnedFd> {
    // SAFETY: the caller's promise.
    let fd = unsafe { bpf(command, attr) }?;
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made the descriptor for us; nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A descriptor as `bpf(2)` wants it; it is not negative, being open.
fn fd_u32(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

const fn size_u32<T>() -> u32 {
    const {
        assert!(size_of::<T>() <= 4096);
    }
    #[expect(clippy::cast_possible_truncation, reason = "at most 4096")]
    {
        size_of::<T>() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd as _;

    #[test]
    fn an_ordinary_file_is_neither_map_nor_link() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(map_shape(file.as_fd()).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(link_attached(file.as_fd()).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
