//! What comes in of one stream.
//!
//! The link's driver writes what comes to the application at once, as long as the application takes
//! it: no other task is woken. What it does not take waits in a queue, for the relay to go on.
use super::{
    http2::{code::Code, response::Response},
    link::Link,
    queue::Queue,
};
use crate::copy::write_all_of;
use std::{io::IoSlice, mem, sync::Arc, task::Waker};
use tokio::net::TcpStream;

/// Counts what was written to the application.
pub(super) type Meter = Box<dyn Fn(u64) + Send + Sync>;

/// Where an application takes what comes.
pub(super) struct Outfall {
    pub(super) tcp: Arc<TcpStream>,
    pub(super) meter: Meter,
}

/// The way in; behind the lock of its stream.
pub(super) struct Inlet {
    /// The answer to our request, until it is taken.
    pub(super) answer: Option<Box<Response>>,
    /// Whether the request was answered, by whichever end has to.
    pub(super) answered: bool,
    phase: Phase,
    queue: Queue,
    /// Where what comes may go at once.
    outfall: Option<Outfall>,
    /// Whether the relay has taken something from the queue that it has not written yet.
    held: bool,
    /// What the peer may still send.
    window: u32,
    whole: u32,
    /// What has left, and the peer was not told of.
    gone: u32,
    pub(super) waker: Option<Waker>,
}

/// How it stands with what the peer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// It has said everything.
    Ended,
    /// It broke the stream off.
    Reset(Code),
    /// Nobody here listens any more.
    Deaf,
}

/// What became of data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// So much has left; the link's window may open by it.
    pub(super) gone: usize,
    /// The stream's window is to be opened by so much.
    pub(super) update: Option<u32>,
}

impl Inlet {
    pub(super) const fn new(window: u32) -> Self {
        Self {
            answer: None,
            answered: false,
            phase: Phase::Open,
            queue: Queue::new(),
            outfall: None,
            held: false,
            window,
            whole: window,
            gone: 0,
            waker: None,
        }
    }

    pub(super) const fn phase(&self) -> Phase {
        self.phase
    }

    /// A frame of so many bytes begins; `false`: the peer may not send that much.
    pub(super) fn arrives(&mut self, length: u32) -> bool {
        match self.window.checked_sub(length) {
            Some(left) => self.window = left,
            None => return false,
        }
        true
    }

    /// Takes data, `bytes` in all, and writes what can be written now.
    pub(super) fn take(&mut self, slices: &[IoSlice<'_>], bytes: usize, link: &Link) -> Taken {
        if self.phase != Phase::Open {
            return Taken { gone: bytes, update: None };
        }
        let mut written = 0;
        if let Some(outfall) = &self.outfall
            && self.queue.is_empty()
            && !self.held
        {
            // An error shows again where it can be told: in the relay.
            written = write_all_of(&outfall.tcp, slices, bytes).unwrap_or(0);
            if 0 < written {
                (outfall.meter)(written as u64);
            }
        }
        if written < bytes {
            let mut skip = written;
            for slice in slices {
                let part = skip.min(slice.len());
                self.queue.push(&slice[part..]);
                skip -= part;
            }
            // Before anybody else can take it.
            link.wait(bytes - written);
            self.wake();
        }
        Taken { gone: written, update: self.leave(written) }
    }

    /// So much has left; the update that is due.
    pub(super) fn leave(&mut self, bytes: usize) -> Option<u32> {
        // No window is anywhere near 4 GiB.
        self.gone += u32::try_from(bytes).unwrap_or(u32::MAX);
        if self.phase != Phase::Open || self.gone < self.whole / 2 {
            return None;
        }
        self.window += self.gone;
        Some(mem::take(&mut self.gone))
    }

    /// The peer has said everything, or broke off.
    pub(super) fn end(&mut self, phase: Phase) {
        if self.phase == Phase::Open
            || matches!(phase, Phase::Reset(_)) && self.phase == Phase::Ended
        {
            self.phase = phase;
        }
        self.wake();
    }

    /// Nobody listens any more; says how much was thrown away.
    pub(super) fn deafen(&mut self) -> usize {
        self.phase = Phase::Deaf;
        (self.outfall, self.waker) = (None, None);
        mem::take(&mut self.queue).len()
    }

    /// Where what comes may go at once from now on.
    pub(super) fn drain_into(&mut self, outfall: Outfall) {
        self.outfall = Some(outfall);
    }

    /// Lets go of the application's socket.
    pub(super) fn detach(&mut self) {
        self.outfall = None;
    }

    /// Moves what waits to `held`, for the relay to write.
    pub(super) fn hold(&mut self, held: &mut Queue) {
        held.append(mem::take(&mut self.queue));
        self.held = !held.is_empty();
    }

    pub(super) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Has `waker` woken at whatever comes next that is not written at once.
    pub(super) fn listen(&mut self, waker: &Waker) {
        self.waker.get_or_insert_with(|| waker.clone()).clone_from(waker);
    }
}
