//! What waits to be sent in a link, and who waits to send.
//!
//! Frames are sent in the order in which they are put here; the locks are held for moments only.
//! Streams that find no room stand in line and are let in one after the other, a parcel each: so
//! each has its turn, however much the others have to say.
use super::{
    http2::{
        code::{Code, Fault},
        frame::{LARGEST, write},
        hpack::Encoder,
        settings::Settings,
    },
    parcel::{Parcel, frames_of},
    settings::{CLIENT_STREAMS, FIRST_FRAME_MAX, FIRST_WINDOW, SEND_MAX},
    stream::Stream,
};
use crate::copy::Grade;
use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Poll, Waker},
};

/// How much of frames that are no data may wait before nothing more is read of a peer that asks for
/// answers and does not take them.
const FRAMES_MAX: usize = 256 << 10;

/// Behind the lock of a link.
pub(super) struct Line {
    queue: VecDeque<Piece>,
    /// Memory of what waits here, and of what is sealed and waits for the socket.
    waiting: usize,
    /// Of that, frames that are no data.
    frames: usize,
    /// Streams that want to send and may not yet.
    standing: VecDeque<Arc<Stream>>,
    /// What all streams together may still send.
    window: i64,
    /// The peer's settings.
    stream_window: i64,
    frame_max: u32,
    pub(super) streams_max: u32,
    pub(super) encoder: Encoder,
    /// The next stream we open.
    next_id: u32,
    /// No new streams of ours.
    pub(super) retired: bool,
    /// Whom to wake when the peer takes answers again.
    clog: Option<Waker>,
    /// The socket takes nothing now; the driver waits for it.
    pub(super) blocked: bool,
    /// The link has ended.
    pub(super) closed: bool,
}

/// What waits in line.
pub(super) enum Piece {
    /// Frames as bytes.
    Frames(Vec<u8>),
    Data(Parcel),
}

/// How a stream may send now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(super) bytes: usize,
    pub(super) frame_max: u32,
}

impl Room {
    pub(super) const fn bytes(self) -> usize {
        self.bytes
    }
}

impl Line {
    pub(super) fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            waiting: 0,
            frames: 0,
            standing: VecDeque::new(),
            window: i64::from(FIRST_WINDOW),
            stream_window: i64::from(FIRST_WINDOW),
            frame_max: FIRST_FRAME_MAX,
            streams_max: CLIENT_STREAMS,
            encoder: Encoder::default(),
            next_id: 1,
            retired: false,
            clog: None,
            blocked: false,
            closed: false,
        }
    }

    /// The window of a stream that begins now.
    pub(super) fn stream_window(&self) -> i64 {
        self.stream_window
    }

    pub(super) fn frame_max(&self) -> u32 {
        self.frame_max
    }

    /// The id of the stream that is opened next; `None`: there are no more.
    pub(super) fn take_id(&mut self) -> Option<u32> {
        let id = self.next_id;
        (id <= LARGEST).then(|| self.next_id += 2)?;
        Some(id)
    }

    /// Whether no stream of that id was opened yet.
    pub(super) fn is_idle(&self, id: u32) -> bool {
        self.next_id <= id
    }

    /// Puts frames in line, as `write` appends them.
    pub(super) fn frames(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.closed {
            return;
        }
        if !matches!(self.queue.back(), Some(Piece::Frames(_))) {
            self.queue.push_back(Piece::Frames(Vec::new()));
        }
        if let Some(Piece::Frames(frames)) = self.queue.back_mut() {
            let before = frames.len();
            write(frames);
            self.waiting += frames.len() - before;
            self.frames += frames.len() - before;
        }
    }

    /// Keeps room for at most `want` of `stream`. Pending, it stands in line now, and `waker` is
    /// woken when it is its turn; `None`: it may not send any more.
    pub(super) fn reserve(
        &mut self,
        stream: &Arc<Stream>,
        want: usize,
        waker: &Waker,
    ) -> Poll<Option<Room>> {
        let mut send = stream.send.lock();
        if send.finished {
            return Poll::Ready(None);
        }
        let own = usize::try_from(send.window).unwrap_or(0);
        let shared = usize::try_from(self.window).unwrap_or(0);
        let bytes = want.min(own).min(shared);
        if bytes == 0 || SEND_MAX <= self.waiting {
            send.waker.get_or_insert_with(|| waker.clone()).clone_from(waker);
            if own != 0 && !send.stands {
                send.stands = true;
                self.standing.push_back(Arc::clone(stream));
            }
            return Poll::Pending;
        }
        let taken = i64::try_from(bytes).unwrap_or(i64::MAX);
        send.window -= taken;
        self.window -= taken;
        Poll::Ready(Some(Room { bytes, frame_max: self.frame_max }))
    }

    /// Gives back what was kept and is not used.
    pub(super) fn give_back(&mut self, stream: &Stream, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        stream.send.lock().window += bytes;
        self.window += bytes;
    }

    pub(super) fn data(&mut self, parcel: Parcel) {
        if !self.closed {
            self.waiting += parcel.size();
            self.queue.push_back(Piece::Data(parcel));
        }
    }

    /// What is sealed next.
    pub(super) fn next(&mut self) -> Option<Piece> {
        match self.queue.pop_front()? {
            Piece::Frames(mut frames) => {
                let part = frames_of(&mut frames);
                if !frames.is_empty() {
                    self.queue.push_front(Piece::Frames(frames));
                }
                self.waiting -= part.len();
                self.frames -= part.len();
                if self.frames < FRAMES_MAX
                    && let Some(waker) = self.clog.take()
                {
                    waker.wake();
                }
                Some(Piece::Frames(part))
            }
            Piece::Data(parcel) => {
                self.waiting -= parcel.size();
                Some(Piece::Data(parcel))
            }
        }
    }

    /// So much is sealed and waits for the socket, or no longer does.
    pub(super) fn sealed(&mut self, more: usize, less: usize) {
        self.waiting = (self.waiting + more).saturating_sub(less);
        self.let_in();
    }

    /// Whether there is something to seal, and a socket that may take it.
    pub(super) fn is_ready(&self) -> bool {
        !self.queue.is_empty() && !self.blocked
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether the peer does not take the answers that it asks for; `waker` is woken when it does.
    pub(super) fn is_clogged(&mut self, waker: &Waker) -> bool {
        let clogged = FRAMES_MAX <= self.frames;
        self.clog = clogged.then(|| waker.clone());
        clogged
    }

    /// Lets as many in as there is room for.
    pub(super) fn let_in(&mut self) {
        if self.standing.is_empty() || self.window <= 0 {
            return;
        }
        let mut room = SEND_MAX.saturating_sub(self.waiting).div_ceil(Grade::Medium.size());
        while 0 < room {
            let Some(stream) = self.standing.pop_front() else { return };
            let mut send = stream.send.lock();
            send.stands = false;
            // One that was broken off meanwhile takes nobody's place.
            if let Some(waker) = send.waker.take() {
                waker.wake();
                room -= 1;
            }
        }
    }

    /// The peer takes so much more of all streams.
    pub(super) fn widen(&mut self, increment: u32) -> Result<(), Fault> {
        self.window += i64::from(increment);
        if i64::from(LARGEST) < self.window {
            return Err(Fault::link(Code::FLOW_CONTROL_ERROR, "the window is too large"));
        }
        self.let_in();
        Ok(())
    }

    /// What the peer says of itself; returns by how much the windows of streams change.
    pub(super) fn apply(&mut self, settings: &Settings) -> i64 {
        self.encoder.apply(settings);
        if let Some(most) = settings.max_frame_size {
            self.frame_max = most;
        }
        if let Some(most) = settings.max_concurrent_streams {
            self.streams_max = most;
        }
        let before = self.stream_window;
        if let Some(window) = settings.initial_window_size {
            self.stream_window = i64::from(window);
        }
        self.frames(write::settings_ack);
        self.stream_window - before
    }

    /// Sends nothing more, and wakes everybody who wanted to.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.queue = VecDeque::new();
        for stream in std::mem::take(&mut self.standing) {
            let mut send = stream.send.lock();
            send.stands = false;
            if let Some(waker) = send.waker.take() {
                waker.wake();
            }
        }
    }
}
