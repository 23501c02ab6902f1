//! Maps.
use super::{bpf, expect_kind, fd_u32, info, obj_get, size_u32};
use aya::Pod;
use std::{
    fmt, io,
    marker::PhantomData,
    mem::MaybeUninit,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::Path,
};

// Commands of `enum bpf_cmd`, linux/bpf.h.
const MAP_LOOKUP_ELEM: libc::c_long = 1;
const MAP_UPDATE_ELEM: libc::c_long = 2;
const MAP_DELETE_ELEM: libc::c_long = 3;
const MAP_FREEZE: libc::c_long = 22;
const MAP_LOOKUP_BATCH: libc::c_long = 24;

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

#[repr(C)]
struct Element {
    map: u32,
    zero: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct Batch {
    from: u64,
    next: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

#[repr(C)]
struct MapFreeze {
    map: u32,
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

// SAFETY: integers without padding.
unsafe impl Pod for MapInfo {}

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

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The value under `key`.
    pub(crate) fn get(&self, key: &K) -> io::Result<Option<V>> {
        let mut value = MaybeUninit::<V>::uninit();
        let mut attr = self.element(key, value.as_mut_ptr() as u64, 0);
        // SAFETY: key and value are as long as `open` found the map's to be, and outlive the call.
        match unsafe { bpf(MAP_LOOKUP_ELEM, &mut attr) } {
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
        // SAFETY: as in `get`.
        unsafe { bpf(MAP_UPDATE_ELEM, &mut attr) }.map(drop)
    }

    /// Puts `value` under `key` unless there is one; whether it did.
    pub(crate) fn set_if_absent(&self, key: &K, value: &V) -> io::Result<bool> {
        const NO_EXIST: u64 = 1;
        let mut attr = self.element(key, std::ptr::from_ref(value) as u64, NO_EXIST);
        // SAFETY: as in `get`.
        match unsafe { bpf(MAP_UPDATE_ELEM, &mut attr) } {
            Ok(_) => Ok(true),
            Err(e) if e.raw_os_error() == Some(libc::EEXIST) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Removes what is under `key`; nothing there is removed already.
    pub(crate) fn remove(&self, key: &K) -> io::Result<()> {
        let mut attr = self.element(key, 0, 0);
        // SAFETY: as in `get`; there is no value.
        match unsafe { bpf(MAP_DELETE_ELEM, &mut attr) } {
            // EINVAL is how a sockmap says that the slot is empty.
            Err(e) if !matches!(e.raw_os_error(), Some(libc::ENOENT | libc::EINVAL)) => Err(e),
            _ => Ok(()),
        }
    }

    /// Everything in a hash map. What is added or removed meanwhile may be missing or there.
    pub(crate) fn entries(&self) -> io::Result<Vec<(K, V)>> {
        let mut all = Vec::new();
        let mut room = 256;
        let mut from: Option<u32> = None;
        loop {
            let mut keys = Vec::<K>::with_capacity(room);
            let mut values = Vec::<V>::with_capacity(room);
            let mut next = 0_u32;
            let mut attr = Batch {
                from: from.as_ref().map_or(0, |from| std::ptr::from_ref(from) as u64),
                next: std::ptr::from_mut(&mut next) as u64,
                keys: keys.as_mut_ptr() as u64,
                values: values.as_mut_ptr() as u64,
                count: u32::try_from(room).map_err(io::Error::other)?,
                map: fd_u32(self.fd.as_fd()),
                element_flags: 0,
                flags: 0,
            };
            // SAFETY: keys and values are as long as `open` found the map's to be, with room for
            // `count`; where to go on is four bytes in hash maps; all outlive the call.
            let rc = unsafe { bpf(MAP_LOOKUP_BATCH, &mut attr) };
            let is_last = match rc {
                Ok(_) => false,
                Err(e) if e.raw_os_error() == Some(libc::ENOENT) => true,
                // A bucket holds more than that.
                Err(e) if e.raw_os_error() == Some(libc::ENOSPC) && room < 1 << 20 => {
                    room *= 4;
                    continue;
                }
                Err(e) => return Err(e),
            };
            let count = (attr.count as usize).min(room);
            // SAFETY: the kernel wrote so many, and any bytes are a valid `Pod`.
            unsafe { keys.set_len(count) };
            // SAFETY: as for the keys.
            unsafe { values.set_len(count) };
            all.extend(keys.into_iter().zip(values));
            if is_last {
                return Ok(all);
            }
            room = 4096;
            from = Some(next);
        }
    }

    /// Removes everything that is there when it begins.
    pub(crate) fn clear(&self) -> io::Result<()> {
        self.entries()?.iter().try_for_each(|(key, _)| self.remove(key))
    }

    fn element(&self, key: &K, value: u64, flags: u64) -> Element {
        let map = fd_u32(self.fd.as_fd());
        Element { map, zero: 0, key: std::ptr::from_ref(key) as u64, value, flags }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, key, value } = self;
        write!(f, "a map of type {kind} with keys of {key} and values of {value} bytes")
    }
}

impl<K, V> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Table").field(&self.fd).finish()
    }
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

/// Writes the only value of a map of settings, and lets nobody change it.
pub(crate) fn fill_and_freeze(map: BorrowedFd<'_>, value: &[u8]) -> io::Result<()> {
    let shape = map_shape(map)?;
    if (shape.key as usize, shape.value as usize) != (size_of::<u32>(), value.len()) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let (first, map) = (0_u32, fd_u32(map));
    let key = std::ptr::from_ref(&first) as u64;
    let mut attr = Element { map, zero: 0, key, value: value.as_ptr() as u64, flags: 0 };
    // SAFETY: key and value are as long as the map's, which was checked, and outlive the call.
    unsafe { bpf(MAP_UPDATE_ELEM, &mut attr) }?;
    // SAFETY: no pointers.
    unsafe { bpf(MAP_FREEZE, &mut MapFreeze { map }) }.map(drop)
}

/// Whether `bpf(2)` exists at all and lets this process in.
pub(crate) fn usable() -> io::Result<()> {
    let mut attr = Element { map: u32::MAX, zero: 0, key: 0, value: 0, flags: 0 };
    // SAFETY: there is no such map, so nothing is read or written.
    match unsafe { bpf(MAP_LOOKUP_ELEM, &mut attr) } {
        Err(e) if e.raw_os_error() == Some(libc::EBADF) => Ok(()),
        other => other.map(drop),
    }
}
