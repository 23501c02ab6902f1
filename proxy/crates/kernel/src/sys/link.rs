//! Links: programs attached to something.
use super::{bpf, bpf_fd, expect_kind, fd_u32, info};
use aya::Pod;
use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd},
};

// Commands of `enum bpf_cmd`, linux/bpf.h.
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
    Sendmsg4 = 14,
    Sendmsg6 = 15,
    Recvmsg4 = 19,
    Recvmsg6 = 20,
    Getpeername4 = 29,
    Getpeername6 = 30,
    SkLookup = 36,
    TcxIngress = 46,
}

impl Hook {
    /// `BPF_PROG_TYPE_*` of what is attached there.
    pub(super) const fn program_type(self) -> u32 {
        match self {
            Self::SockOps => 13,
            Self::Connect4
            | Self::Connect6
            | Self::Sendmsg4
            | Self::Sendmsg6
            | Self::Recvmsg4
            | Self::Recvmsg6
            | Self::Getpeername4
            | Self::Getpeername6 => 18,
            Self::SkLookup => 30,
            Self::TcxIngress => 3,
        }
    }

    /// What the program must say when it is loaded; classifiers go to either kind of hook.
    pub(super) const fn expected(self) -> u32 {
        if matches!(self, Self::TcxIngress) { 0 } else { self as u32 }
    }
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

// SAFETY: integers without padding.
unsafe impl Pod for LinkInfo {}

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
    let mut attr = LinkCreate { program, target, hook: hook as u32, flags: 0 };
    // SAFETY: no pointers.
    unsafe { bpf_fd(LINK_CREATE, &mut attr) }
}

/// Puts another program behind a link, atomically (Linux 5.7).
pub(crate) fn link_update(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let (link, program) = (fd_u32(link), fd_u32(program));
    let mut attr = LinkUpdate { link, program, flags: 0, old_program: 0 };
    // SAFETY: no pointers.
    unsafe { bpf(LINK_UPDATE, &mut attr) }.map(drop)
}

/// Detaches a link whoever else holds it (Linux 5.9).
pub(crate) fn link_detach(link: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no pointers.
    unsafe { bpf(LINK_DETACH, &mut LinkDetach { link: fd_u32(link) }) }.map(drop)
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

/// Whether programs can be attached to interfaces by links (Linux 6.6).
pub(crate) fn has_tcx() -> bool {
    /// The index of `lo` in every namespace.
    const LOOPBACK: u32 = 1;
    let hook = Hook::TcxIngress as u32;
    let mut attr = Query { target: LOOPBACK, hook, ..Query::default() };
    // SAFETY: there is room for no program, so none is written; what is written back fits.
    unsafe { bpf(PROG_QUERY, &mut attr) }.is_ok()
}
