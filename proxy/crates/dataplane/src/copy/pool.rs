//! Free copy buffers, kept per thread.
//!
//! A thread that borrows none for a while gives their memory back to the kernel ([`rest`]): a node
//! whose connections are idle needs no more than before they were busy.
use super::buffer::Grade;
use culvert_kernel::memory;
use parking_lot::Mutex;
use std::sync::{Arc, Weak};

/// How many free buffers of each grade a thread keeps; 1.9 MiB together. A direction that is not
/// blocked gives its buffer back before the next one borrows, so a few serve all.
const KEPT: [usize; Grade::ALL.len()] = [16, 4, 2, 1];

/// The threads' buffers, for whoever looks which are not used.
static THREADS: Mutex<Vec<Weak<Mutex<Free>>>> = Mutex::new(Vec::new());

thread_local! {
    static FREE: Arc<Mutex<Free>> = register();
}

/// Locked by its thread, and once in a while by [`rest`].
#[derive(Debug, Default)]
struct Free {
    buffers: [Vec<Box<[u8]>>; Grade::ALL.len()],
    state: State,
}

/// What became of a thread's buffers lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Busy,
    /// Not used since [`rest`] looked.
    Quiet,
    /// Not used since, and without memory.
    Resting,
}

/// A free buffer of this thread; whatever is in it is old.
pub(super) fn take(grade: Grade) -> Option<Box<[u8]>> {
    // When the thread ends its buffers may be gone.
    FREE.try_with(|free| {
        let mut free = free.lock();
        free.state = State::Busy;
        free.buffers[grade.index()].pop()
    })
    .ok()
    .flatten()
}

/// Keeps a buffer for the next [`take`] of this thread, or frees it.
pub(super) fn keep(grade: Grade, bytes: Box<[u8]>) {
    // A thread that ends has no pool: the buffer is freed.
    let _ended = FREE.try_with(|free| {
        let mut free = free.lock();
        free.state = State::Busy;
        let free = &mut free.buffers[grade.index()];
        if free.len() < KEPT[grade.index()] {
            free.push(bytes);
        }
    });
}

/// Takes the memory of buffers that no thread has used since the call before.
///
/// To be called every few seconds.
pub(crate) fn rest() {
    THREADS.lock().retain(|thread| {
        let Some(free) = thread.upgrade() else { return false };
        free.lock().rest();
        true
    });
}

impl Free {
    fn rest(&mut self) {
        self.state = match self.state {
            State::Busy => State::Quiet,
            State::Resting => return,
            State::Quiet => {
                self.buffers.iter_mut().flatten().for_each(|bytes| memory::give_back(bytes));
                State::Resting
            }
        };
    }
}

fn register() -> Arc<Mutex<Free>> {
    let free = Arc::default();
    THREADS.lock().push(Arc::downgrade(&free));
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_goes_back_to_its_thread() {
        keep(Grade::Medium, vec![1; Grade::Medium.size()].into());
        assert_eq!(take(Grade::Medium).map(|bytes| bytes[0]), Some(1));
        assert_eq!(take(Grade::Medium), None);
    }

    #[test]
    fn buffers_lose_their_memory_once_they_were_not_used_for_a_whole_turn() {
        let middle = Grade::Huge.size() / 2;
        let mut free = Free::default();
        free.buffers[Grade::Huge.index()].push(vec![7; Grade::Huge.size()].into());
        let has = |free: &Free| free.buffers[Grade::Huge.index()][0][middle] == 7;
        free.rest();
        assert!(has(&free), "used since the turn before");
        free.rest();
        assert!(!has(&free) && free.state == State::Resting);
    }
}
