//! Memory that is kept but not used.
#![expect(unsafe_code, reason = "madvise(2), and a call of the allocator")]
use nix::unistd::{SysconfVar, sysconf};

/// Gives the whole pages of `bytes` back to the kernel (`MADV_DONTNEED`); what they held reads as
/// zeros afterwards.
///
/// A hint: where the kernel does not take pages back (locked memory), all stays as it is.
pub fn give_back(bytes: &mut [u8]) {
    let Ok(Some(page)) = sysconf(SysconfVar::PAGE_SIZE) else { return };
    let Ok(page) = usize::try_from(page) else { return };
    let before = bytes.as_ptr().align_offset(page).min(bytes.len());
    let Some(pages) = bytes.get_mut(before..) else { return };
    let length = pages.len() / page * page;
    if length == 0 {
        return;
    }
    // SAFETY: the range is within a slice that is borrowed exclusively, and stays mapped. Its bytes
    // stay initialised: they become zeros, or what a file behind them has.
    unsafe { libc::madvise(pages.as_mut_ptr().cast(), length, libc::MADV_DONTNEED) };
}

/// Gives what the allocator has had free for a second back to the kernel.
///
/// It does so by itself when it is called, by whatever thread: a process at rest calls nobody. Where
/// mimalloc is not the allocator nothing happens.
pub fn give_back_free() {
    // SAFETY: any thread may call it at any time; it touches nothing that is in use.
    unsafe { libmimalloc_sys::mi_collect(false) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_pages_become_zeros_and_their_neighbours_stay() {
        let mut memory = vec![7_u8; 1 << 20];
        let inside = 1000..(1 << 20) - 1000;
        give_back(&mut memory[inside.clone()]);
        assert!(memory[..inside.start].iter().chain(&memory[inside.end..]).all(|&b| b == 7));
        assert!(memory[1 << 16..(1 << 20) - (1 << 16)].iter().all(|&b| b == 0));
        memory.fill(8);
        assert!(memory.iter().all(|&b| b == 8));
    }

    #[test]
    fn less_than_a_page_stays_as_it_is() {
        let mut memory = [7_u8; 100];
        give_back(&mut memory);
        assert_eq!(memory, [7; 100]);
    }
}
