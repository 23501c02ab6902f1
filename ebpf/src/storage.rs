//! What is known of a socket, kept with it.
use core::ptr;

use aya_ebpf::{
    bindings::{
        BPF_F_CLONE, BPF_F_NO_PREALLOC, BPF_SK_STORAGE_GET_F_CREATE,
        bpf_map_type::BPF_MAP_TYPE_SK_STORAGE, bpf_sock,
    },
    helpers::generated::bpf_sk_storage_get,
    macros::btf_map,
};
use culvert_common::conn::OrigDst;

/// Storage that a listener hands down to what it accepts, so that the proxy's sockets are known on
/// either side. (The library's kind of map does not.)
#[repr(C)]
struct Inherited<T> {
    r#type: *const [i32; BPF_MAP_TYPE_SK_STORAGE as usize],
    key: *const i32,
    value: *const T,
    max_entries: *const [i32; 0],
    map_flags: *const [i32; (BPF_F_NO_PREALLOC | BPF_F_CLONE) as usize],
}

// SAFETY: a description for the loader; nothing ever follows the pointers.
unsafe impl<T> Sync for Inherited<T> {}

/// What is known of a socket; freed with it.
///
/// Key: the socket. Written by `connect` (client), `sockops` (accepted) and, through the fd, by
/// user space (its own sockets, before they connect or listen); read by those and `getpeer`. No
/// memory: the connection is refused. 56 bytes and about 70 of the kernel's per socket.
#[btf_map]
static ORIG: Inherited<OrigDst> = Inherited {
    r#type: ptr::null(),
    key: ptr::null(),
    value: ptr::null(),
    max_entries: ptr::null(),
    map_flags: ptr::null(),
};

/// Whether to make storage that is not there.
#[derive(Clone, Copy)]
pub(crate) enum Storage {
    Existing,
    Created,
}

/// The storage of `sk`. Created storage is zeros.
#[inline(always)]
pub(crate) fn orig(sk: *mut bpf_sock, storage: Storage) -> Option<&'static mut OrigDst> {
    let flags = match storage {
        Storage::Existing => 0,
        Storage::Created => u64::from(BPF_SK_STORAGE_GET_F_CREATE),
    };
    if sk.is_null() {
        return None;
    }
    // SAFETY: the helper takes the map, a socket of the running hook, which is not null, and no
    // initial value.
    let value = unsafe {
        bpf_sk_storage_get((&raw const ORIG).cast_mut().cast(), sk.cast(), ptr::null_mut(), flags)
    };
    // SAFETY: null or this socket's value, which lives until the program ends. The hooks that
    // write it hold the socket's lock; user space writes it before the socket is connected.
    unsafe { value.cast::<OrigDst>().as_mut() }
}
