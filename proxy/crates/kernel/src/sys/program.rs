//! Programs, and the types they come with.
use super::{bpf_fd, link::Hook};
use aya_obj::generated::bpf_insn;
use std::{ffi::CStr, io, os::fd::OwnedFd};

// Commands of `enum bpf_cmd`, linux/bpf.h.
const PROG_LOAD: libc::c_long = 5;
const BTF_LOAD: libc::c_long = 18;

/// A program that the verifier did not take.
#[derive(Debug)]
pub(crate) struct Rejected {
    /// The end of what it said.
    pub(crate) log: String,
    pub(crate) source: io::Error,
}

#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    expected: u32,
}

#[repr(C)]
struct BtfLoad {
    types: u64,
    log: u64,
    size: u32,
    log_size: u32,
    log_level: u32,
    zero: u32,
}

/// Has the verifier check a program; asks it for its reasons only when it says no.
pub(crate) fn prog_load(
    name: &str,
    hook: Hook,
    instructions: &[bpf_insn],
    license: &CStr,
) -> Result<OwnedFd, Rejected> {
    const VERBOSE: u32 = 1;
    let attempt = |log: &mut [u8]| {
        let mut attr = ProgLoad {
            kind: hook.program_type(),
            count: u32::try_from(instructions.len()).map_err(io::Error::other)?,
            instructions: instructions.as_ptr() as u64,
            license: license.as_ptr() as u64,
            log_level: if log.is_empty() { 0 } else { VERBOSE },
            log_size: u32::try_from(log.len()).map_err(io::Error::other)?,
            log: if log.is_empty() { 0 } else { log.as_mut_ptr() as u64 },
            expected: hook.expected(),
            ..ProgLoad::default()
        };
        // One byte less, so that the name ends.
        let room = attr.name.iter_mut().take(15);
        room.zip(name.bytes()).for_each(|(slot, byte)| *slot = byte);
        // SAFETY: instructions, licence (ends with a zero byte) and log outlive the call, and are
        // as long as `attr` says.
        unsafe { bpf_fd(PROG_LOAD, &mut attr) }
    };
    attempt(&mut []).or_else(|_| {
        let mut log = vec![0; 1 << 20];
        attempt(&mut log).map_err(|source| Rejected { log: last_lines(&log), source })
    })
}

/// Gives the kernel the types of an object.
pub(crate) fn btf_load(types: &[u8]) -> io::Result<OwnedFd> {
    let size = u32::try_from(types.len()).map_err(io::Error::other)?;
    let types = types.as_ptr() as u64;
    let mut attr = BtfLoad { types, log: 0, size, log_size: 0, log_level: 0, zero: 0 };
    // SAFETY: `types` outlives the call and is `size` long; there is no log.
    unsafe { bpf_fd(BTF_LOAD, &mut attr) }
}

/// The end of a log, which ends with a zero byte.
fn last_lines(log: &[u8]) -> String {
    const LINES: usize = 8;
    let text = log.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join("\n")
}
