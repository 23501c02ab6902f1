//! Copy buffers, lent by the thread's pool.
//!
//! A direction borrows a buffer when there is something to read and gives it back when nothing of
//! it is left to write, so that an idle connection holds none. How large a buffer it borrows
//! follows its traffic ([`Appetite`]).
use super::pool;
use std::{
    mem,
    sync::atomic::{AtomicUsize, Ordering},
};

/// How many large buffers' bytes may be lent at once in the process; who asks beyond gets a
/// medium one. Slow readers hold their buffers, and many of them must not hold all memory.
const LARGE_LENT_MAX: usize = 64 << 20;

/// How many reads in a row must have fitted into the next smaller size before it is taken.
const SMALL_READS: u8 = 16;

/// Bytes of lent buffers above [`Grade::Medium`].
static LARGE_LENT: AtomicUsize = AtomicUsize::new(0);

/// The sizes there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// 8 KiB: requests, heartbeats, prompts.
    Small,
    /// 64 KiB.
    Medium,
    /// 256 KiB.
    Large,
    /// 1 MiB: as much as a socket has at a time in a bulk transfer.
    Huge,
}

/// Which grade a direction borrows next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Appetite {
    grade: Grade,
    max: Grade,
    small_reads: u8,
}

/// Borrowed memory; goes back when dropped.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Box<[u8]>,
    grade: Grade,
}

impl Grade {
    pub(crate) const ALL: [Self; 4] = [Self::Small, Self::Medium, Self::Large, Self::Huge];

    pub(crate) const fn size(self) -> usize {
        match self {
            Self::Small => 8 << 10,
            Self::Medium => 64 << 10,
            Self::Large => 256 << 10,
            Self::Huge => 1 << 20,
        }
    }

    /// The largest whose size is at most `bytes`, else the smallest.
    pub fn at_most(bytes: usize) -> Self {
        Self::ALL.into_iter().rev().find(|grade| grade.size() <= bytes).unwrap_or(Self::Small)
    }

    const fn larger(self) -> Self {
        match self {
            Self::Small => Self::Medium,
            Self::Medium => Self::Large,
            Self::Large | Self::Huge => Self::Huge,
        }
    }

    const fn smaller(self) -> Self {
        match self {
            Self::Small | Self::Medium => Self::Small,
            Self::Large => Self::Medium,
            Self::Huge => Self::Large,
        }
    }

    pub(super) const fn index(self) -> usize {
        self as usize
    }

    /// What its lent buffers count towards [`LARGE_LENT_MAX`].
    const fn large_bytes(self) -> usize {
        match self {
            Self::Small | Self::Medium => 0,
            Self::Large | Self::Huge => self.size(),
        }
    }
}

impl Appetite {
    pub(crate) const fn new(max: Grade) -> Self {
        Self { grade: Grade::Small, max, small_reads: 0 }
    }

    pub(crate) const fn grade(self) -> Grade {
        self.grade
    }

    /// Learns from a read of `bytes` into a buffer of `grade`: a full buffer asks for a larger one,
    /// many that would have fitted into a smaller one for that.
    pub(crate) fn read(&mut self, bytes: usize, grade: Grade) {
        if grade.size() <= bytes {
            self.grade = self.grade.larger().min(self.max);
            self.small_reads = 0;
        } else if self.grade.smaller().size() < bytes {
            self.small_reads = 0;
        } else {
            self.small_reads += 1;
            if self.small_reads == SMALL_READS {
                self.grade = self.grade.smaller();
                self.small_reads = 0;
            }
        }
    }
}

impl Buffer {
    /// Borrows a buffer of `wanted`, or a medium one when too much is lent already.
    pub(crate) fn borrow(wanted: Grade) -> Self {
        let grade = if reserve(wanted) { wanted } else { Grade::Medium };
        let fresh = || vec![0; grade.size()].into_boxed_slice();
        let bytes = pool::take(grade).unwrap_or_else(fresh);
        Self { bytes, grade }
    }

    pub(crate) const fn grade(&self) -> Grade {
        self.grade
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        LARGE_LENT.fetch_sub(self.grade.large_bytes(), Ordering::Relaxed);
        pool::keep(self.grade, mem::take(&mut self.bytes));
    }
}

/// Counts a buffer of `grade` as lent, unless that would be too much.
fn reserve(grade: Grade) -> bool {
    let bytes = grade.large_bytes();
    if bytes == 0 {
        return true;
    }
    let before = LARGE_LENT.fetch_add(bytes, Ordering::Relaxed);
    let fits = before + bytes <= LARGE_LENT_MAX;
    if !fits {
        LARGE_LENT.fetch_sub(bytes, Ordering::Relaxed);
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appetite_grows_with_full_reads_up_to_its_maximum() {
        let mut appetite = Appetite::new(Grade::Large);
        for expected in [Grade::Medium, Grade::Large, Grade::Large] {
            appetite.read(appetite.grade().size(), appetite.grade());
            assert_eq!(appetite.grade(), expected);
        }
    }

    #[test]
    fn appetite_shrinks_after_many_small_reads_in_a_row() {
        let mut appetite = Appetite::new(Grade::Huge);
        appetite.read(Grade::Small.size(), Grade::Small);
        appetite.read(Grade::Medium.size(), Grade::Medium);
        assert_eq!(appetite.grade(), Grade::Large);
        for _ in 1..SMALL_READS {
            appetite.read(100, Grade::Large);
        }
        appetite.read(Grade::Medium.size() + 1, Grade::Large);
        for _ in 1..SMALL_READS {
            appetite.read(100, Grade::Large);
        }
        assert_eq!(appetite.grade(), Grade::Large, "one larger read starts the count anew");
        appetite.read(100, Grade::Large);
        assert_eq!(appetite.grade(), Grade::Medium);
    }

    #[test]
    fn a_buffer_goes_back_to_the_pool_of_its_thread() {
        let at = Buffer::borrow(Grade::Medium).bytes().as_ptr();
        assert_eq!(Buffer::borrow(Grade::Medium).bytes().as_ptr(), at);
    }

    #[test]
    fn what_is_lent_in_large_buffers_is_bounded() {
        let mut lent = Vec::new();
        while lent.len() <= LARGE_LENT_MAX / Grade::Huge.size() {
            let buffer = Buffer::borrow(Grade::Huge);
            if buffer.grade() == Grade::Medium {
                break;
            }
            lent.push(buffer);
        }
        assert!(lent.len() <= LARGE_LENT_MAX / Grade::Huge.size());
        drop(lent);
        assert_eq!(Buffer::borrow(Grade::Huge).grade(), Grade::Huge);
    }

    #[test]
    fn a_limit_in_bytes_is_the_next_smaller_grade() {
        assert_eq!(Grade::at_most(1 << 20), Grade::Huge);
        assert_eq!(Grade::at_most((1 << 20) - 1), Grade::Large);
        assert_eq!(Grade::at_most(1), Grade::Small);
    }
}
