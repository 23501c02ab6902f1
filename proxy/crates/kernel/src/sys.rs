//! `bpf(2)` where aya has no call for it: links of every kind, pins, and map entries through `&self`.
#![expect(unsafe_code, reason = "bpf(2) takes untyped memory")]
use aya::Pod;
use std::{
    ffi::CString,
    fmt, io,
    marker::PhantomData,
    mem::MaybeUninit,
    os::{
        fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

// Commands of `enum bpf_cmd`, linux/bpf.h.
const MAP_LOOKUP_ELEM: libc::c_long = 1;
const MAP_UPDATE_ELEM: libc::c_long = 2;
const MAP_DELETE_ELEM: libc::c_long = 3;
const OBJ_PIN: libc::c_long = 6;
const OBJ_GET: libc::c_long = 7;
const OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const PROG_QUERY: libc::c_long = 16;
const LINK_CREATE: libc::c_long = 28;
const LINK_UPDATE: libc::c_long = 29;
const LINK_DETACH: libc::c_long = 34;

/// `BPF_LINK_TYPE_*` of the links we make.
const LINK_CGROUP: u32 = 3;
const LINK_NETNS: u32 = 5;
const LINK_TCX: u32 = 11;

/// Where a program is attached: values of `enum bpf_attach_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    SockOps = 3,
    Connect4 = 10,
    Connect6 = 11,
    Getpeername4 = 29,
    Getpeername6 = 30,
    SkLookup = 36,
    TcxIngress = 46,
}

/// What a program is attached to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target<'a> {
    /// A cgroup folder or a network namespace.
    Fd(BorrowedFd<'a>),
    /// An interface of the calling thread's namespace.
    Interface(u32),
}

/// What a link hangs on, as the kernel tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attached {
    /// By cgroup id; zero when the cgroup is gone.
    Cgroup(u64),
    /// By inode; zero when the namespace is gone.
    Netns(u32),
    /// By interface index; zero when the interface is gone.
    Interface(u32),
    Other,
}

/// What a map is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) kind: u32,
    pub(crate) key: u32,
    pub(crate) value: u32,
}

/// A map whose key and value sizes were compared with `K` and `V`.
pub(crate) struct Table<K, V> {
    fd: OwnedFd,
    types: PhantomData<fn(K) -> V>,
}

/// Memory in the layout of one member of `union bpf_attr`: plain integers, no padding.
///
/// # Safety
///
/// Wherever this module makes one: every pointer in it is valid for what the command reads or
/// writes there, and it is as long as what the command writes back into it.
unsafe trait Attr {}

#[repr(C)]
struct Element {
    map: u32,
    zero: u32,
    key: u64,
    value: u64,
    flags: u64,
}

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

#[repr(C)]
struct LinkCreate {
    program: u32,
    target: u32,
    hook: u32,
    flags: u32,
}

#[repr(C)]
struct LinkUpdate {
    link: u32,
    program: u32,
    flags: u32,
    old_program: u32,
}

#[repr(C)]
struct LinkDetach {
    link: u32,
}

#[repr(C)]
#[derive(Default)]
struct Query {
    target: u32,
    hook: u32,
    flags: u32,
    attach_flags: u32,
    programs: u64,
    count: u32,
    zero: u32,
    /// What newer kernels write back reaches to the end of this.
    rest: [u64; 4],
}

/// The start of `struct bpf_map_info`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct MapInfo {
    kind: u32,
    id: u32,
    key: u32,
    value: u32,
}

/// The start of `struct bpf_link_info`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct LinkInfo {
    kind: u32,
    id: u32,
    program: u32,
    zero: u32,
    /// `u64` cgroup id, or `u32` inode or interface index.
    target: [u32; 2],
}

// SAFETY: the constructors below fill the pointers with references that outlive the call.
unsafe impl Attr for Element {}
// SAFETY: as above.
unsafe impl Attr for Object {}
// SAFETY: as above.
unsafe impl Attr for InfoByFd {}
// SAFETY: no pointers.
unsafe impl Attr for LinkCreate {}
// SAFETY: no pointers.
unsafe impl Attr for LinkUpdate {}
// SAFETY: no pointers.
unsafe impl Attr for LinkDetach {}
// SAFETY: no pointers: `programs` is zero with a `count` of zero.
unsafe impl Attr for Query {}

impl<K: Pod, V: Pod> Table<K, V> {
    /// Opens the map pinned at `path`.
    ///
    /// # Errors
    ///
    /// When there is none, or `InvalidData` when its key or value has another size.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let fd = obj_get(path)?;
        let shape = map_shape(fd.as_fd())?;
        if (shape.key, shape.value) != (size_u32::<K>(), size_u32::<V>()) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("a map of {} byte keys and {} byte values", shape.key, shape.value),
            ));
        }
        Ok(Self { fd, types: PhantomData })
    }

    /// The value under `key`.
    pub(crate) fn get(&self, key: &K) -> io::Result<Option<V>> {
        let mut value = MaybeUninit::<V>::uninit();
        let mut attr = self.element(key, value.as_mut_ptr() as u64, 0);
        match bpf(MAP_LOOKUP_ELEM, &mut attr) {
            // SAFETY: the kernel wrote the map's value size, which `open` found to be that of `V`,
            // and any bytes are a valid `V: Pod`.
            Ok(_) => Ok(Some(unsafe { value.assume_init() })),
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Puts `value` under `key`, whether or not there is one.
    pub(crate) fn set(&self, key: &K, value: &V) -> io::Result<()> {
        let mut attr = self.element(key, std::ptr::from_ref(value) as u64, 0);
        bpf(MAP_UPDATE_ELEM, &mut attr).map(drop)
    }

    /// Puts `value` under `key` unless there is one; whether it did.
    pub(crate) fn set_if_absent(&self, key: &K, value: &V) -> io::Result<bool> {
        const NO_EXIST: u64 = 1;
        let mut attr = self.element(key, std::ptr::from_ref(value) as u64, NO_EXIST);
        match bpf(MAP_UPDATE_ELEM, &mut attr) {
            Ok(_) => Ok(true),
            Err(e) if e.raw_os_error() == Some(libc::EEXIST) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Removes what is under `key`; nothing there is removed already.
    pub(crate) fn remove(&self, key: &K) -> io::Result<()> {
        let mut attr = self.element(key, 0, 0);
        match bpf(MAP_DELETE_ELEM, &mut attr) {
            // EINVAL is how a sockmap says that the slot is empty.
            Err(e) if !matches!(e.raw_os_error(), Some(libc::ENOENT | libc::EINVAL)) => Err(e),
            _ => Ok(()),
        }
    }

    fn element(&self, key: &K, value: u64, flags: u64) -> Element {
        let map = fd_u32(self.fd.as_fd());
        Element { map, zero: 0, key: std::ptr::from_ref(key) as u64, value, flags }
    }
}

impl<K, V> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Table").field(&self.fd).finish()
    }
}

/// Opens what is pinned at `path`: a map, a program or a link.
pub(crate) fn obj_get(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let fd = bpf(OBJ_GET, &mut Object { path: path.as_ptr() as u64, fd: 0, flags: 0 })?;
    owned(fd)
}

/// Pins a map, a program or a link at `path`, which must not exist.
pub(crate) fn obj_pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = Object { path: path.as_ptr() as u64, fd: fd_u32(object), flags: 0 };
    bpf(OBJ_PIN, &mut attr).map(drop)
}

/// Attaches `program`; it stays until the link's last descriptor and pin are gone.
pub(crate) fn link_create(
    program: BorrowedFd<'_>,
    target: Target<'_>,
    hook: Hook,
) -> io::Result<OwnedFd> {
    let target = match target {
        Target::Fd(fd) => fd_u32(fd),
        Target::Interface(index) => index,
    };
    let program = fd_u32(program);
    owned(bpf(LINK_CREATE, &mut LinkCreate { program, target, hook: hook as u32, flags: 0 })?)
}

/// Puts another program behind a link, atomically (Linux 5.7).
pub(crate) fn link_update(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let (link, program) = (fd_u32(link), fd_u32(program));
    bpf(LINK_UPDATE, &mut LinkUpdate { link, program, flags: 0, old_program: 0 }).map(drop)
}

/// Detaches a link whoever else holds it (Linux 5.9).
pub(crate) fn link_detach(link: BorrowedFd<'_>) -> io::Result<()> {
    bpf(LINK_DETACH, &mut LinkDetach { link: fd_u32(link) }).map(drop)
}

/// What a link hangs on.
///
/// # Errors
///
/// When `link` is no link.
pub(crate) fn link_attached(link: BorrowedFd<'_>) -> io::Result<Attached> {
    expect_kind(link, "bpf-link")?;
    let LinkInfo { kind, target, .. } = info(link, LinkInfo::default())?;
    Ok(match kind {
        LINK_CGROUP => {
            let [[a, b, c, d], [e, f, g, h]] = target.map(u32::to_ne_bytes);
            Attached::Cgroup(u64::from_ne_bytes([a, b, c, d, e, f, g, h]))
        }
        LINK_NETNS => Attached::Netns(target[0]),
        LINK_TCX => Attached::Interface(target[0]),
        _ => Attached::Other,
    })
}

/// What a map is made of.
///
/// # Errors
///
/// When `map` is no map.
pub(crate) fn map_shape(map: BorrowedFd<'_>) -> io::Result<Shape> {
    expect_kind(map, "bpf-map")?;
    let MapInfo { kind, key, value, .. } = info(map, MapInfo::default())?;
    Ok(Shape { kind, key, value })
}

/// Whether programs can be attached to interfaces by links (Linux 6.6).
pub(crate) fn has_tcx() -> bool {
    /// The index of `lo` in every namespace.
    const LOOPBACK: u32 = 1;
    let hook = Hook::TcxIngress as u32;
    bpf(PROG_QUERY, &mut Query { target: LOOPBACK, hook, ..Query::default() }).is_ok()
}

/// Whether `bpf(2)` exists at all and lets this process in.
pub(crate) fn usable() -> io::Result<()> {
    let mut attr = Element { map: u32::MAX, zero: 0, key: 0, value: 0, flags: 0 };
    match bpf(MAP_LOOKUP_ELEM, &mut attr) {
        Err(e) if e.raw_os_error() == Some(libc::EBADF) => Ok(()),
        other => other.map(drop),
    }
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
fn info<T: Copy>(object: BorrowedFd<'_>, mut info: T) -> io::Result<T> {
    let (fd, len) = (fd_u32(object), size_u32::<T>());
    bpf(OBJ_GET_INFO_BY_FD, &mut InfoByFd { fd, len, info: std::ptr::from_mut(&mut info) as u64 })?;
    Ok(info)
}

fn bpf<A: Attr>(command: libc::c_long, attr: &mut A) -> io::Result<libc::c_long> {
    let attr = std::ptr::from_mut(attr);
    // SAFETY: `attr` is valid for reads and writes of its size, which is passed; what it points to
    // is valid by the contract of `Attr`.
    let rc = unsafe { libc::syscall(libc::SYS_bpf, command, attr, size_of::<A>()) };
    if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(rc) }
}

fn owned(fd: libc::c_long) -> io::Result<OwnedFd> {
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

    #[test]
    fn an_ordinary_file_is_neither_map_nor_link() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(map_shape(file.as_fd()).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(link_attached(file.as_fd()).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
