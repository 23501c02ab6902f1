//! What the driver of a link and its tunnels have in common.
use super::{
    credit::Credit,
    http2::{
        code::{Code, Fault},
        frame::write,
    },
    inlet::{Phase, Taken},
    line::Line,
    link::{Link, LinkEnd},
    stream::Stream,
    writer::{Went, Writer},
};
use culvert_identity::channel::Sealer;
use parking_lot::Mutex;
use std::{collections::HashMap, fmt, io, sync::Arc};
use tokio::net::TcpStream;

/// Locks are taken in the order of the fields, and none but the writer's is held for longer than
/// moments.
pub(super) struct Wire {
    pub(super) link: Arc<Link>,
    writer: Mutex<Writer>,
    line: Mutex<Line>,
    streams: Mutex<HashMap<u32, Arc<Stream>>>,
    credit: Mutex<Credit>,
}

impl Wire {
    pub(super) fn new(tcp: Arc<TcpStream>, sealer: Sealer) -> Arc<Self> {
        Arc::new(Self {
            link: Link::new(),
            writer: Mutex::new(Writer::new(tcp, sealer)),
            line: Mutex::new(Line::new()),
            streams: Mutex::default(),
            credit: Mutex::new(Credit::new()),
        })
    }

    /// Changes what waits in line, and sends what can be sent.
    pub(super) fn with_line<T>(&self, change: impl FnOnce(&mut Line) -> T) -> T {
        let mut line = self.line.lock();
        let done = change(&mut line);
        let ready = line.is_ready();
        drop(line);
        if ready {
            self.pump();
        }
        done
    }

    /// Looks at what waits in line.
    pub(super) fn line<T>(&self, look: impl FnOnce(&mut Line) -> T) -> T {
        look(&mut self.line.lock())
    }

    /// Sends what waits, unless somebody does already, who will find it.
    pub(super) fn pump(&self) {
        loop {
            let Some(mut writer) = self.writer.try_lock() else { return };
            let went = writer.send(&self.line);
            drop(writer);
            match went {
                // Somebody may have come while nobody could be asked.
                Ok(Went::Out) if self.line.lock().is_ready() => {}
                Ok(Went::Out) => return,
                Ok(Went::Blocked) => {
                    self.link.nudge.notify_one();
                    // Whoever unblocked it meanwhile was turned away at the lock.
                    if self.line.lock().blocked {
                        return;
                    }
                }
                Err(error) => return self.unwritable(error),
            }
        }
    }

    /// The socket takes something again.
    pub(super) fn unblock(&self) {
        self.line.lock().blocked = false;
        self.pump();
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.line.lock().blocked
    }

    /// Whether all that was to be sent is with the kernel.
    pub(super) fn is_flushed(&self) -> bool {
        self.line.lock().is_empty() && self.writer.lock().is_empty()
    }

    /// Has new keys used.
    pub(super) fn renew(&self) -> io::Result<()> {
        self.writer.lock().renew()?;
        self.pump();
        Ok(())
    }

    /// Nothing can be written any more. What the peer said last may say why.
    fn unwritable(&self, error: io::Error) {
        self.line.lock().closed = true;
        self.link.unwritable(error);
        self.link.nudge.notify_one();
    }

    pub(super) fn find(&self, id: u32) -> Option<Arc<Stream>> {
        self.streams.lock().get(&id).map(Arc::clone)
    }

    pub(super) fn add(&self, stream: Arc<Stream>) {
        self.streams.lock().insert(stream.id, stream);
    }

    pub(super) fn streams(&self) -> usize {
        self.streams.lock().len()
    }

    /// Those that `pick` picks.
    pub(super) fn select(&self, pick: impl Fn(u32) -> bool) -> Vec<Arc<Stream>> {
        let streams = self.streams.lock();
        streams.values().filter(|stream| pick(stream.id)).map(Arc::clone).collect()
    }

    /// Forgets a stream of which nothing more is said.
    pub(super) fn remove(&self, id: u32) {
        let mut streams = self.streams.lock();
        if streams.remove(&id).is_some() && streams.is_empty() {
            streams.shrink_to_fit();
            if self.link.tells_unused() {
                self.link.nudge.notify_one();
            }
        }
    }

    /// Forgets a stream of which both ends have said everything.
    pub(super) fn remove_finished(&self, stream: &Stream) {
        let finished = stream.send.lock().finished;
        if finished && stream.inlet.lock().phase() != Phase::Open {
            self.remove(stream.id);
        }
    }

    /// The peer has said everything in a stream.
    pub(super) fn end(&self, stream: &Stream) -> Result<(), Fault> {
        let mut inlet = stream.inlet.lock();
        if inlet.phase() == Phase::Ended {
            return Err(Fault::stream(stream.id, Code::STREAM_CLOSED, "an end after the end"));
        }
        inlet.end(Phase::Ended);
        drop(inlet);
        self.remove_finished(stream);
        Ok(())
    }

    /// Breaks a stream off, for the peer to see.
    pub(super) fn reset(&self, stream: &Stream, code: Code) {
        stream.break_off();
        self.remove(stream.id);
        self.with_line(|line| {
            line.frames(|out| write::reset(stream.id, code, out));
            line.let_in();
        });
    }

    /// So much came in; `false`: more than might.
    pub(super) fn arrives(&self, bytes: usize) -> bool {
        self.credit.lock().arrives(bytes)
    }

    /// So much of the link has left.
    pub(super) fn leave(&self, bytes: usize) -> Option<u32> {
        self.credit.lock().leave(bytes)
    }

    /// The link's window is to be as what waits asks for.
    pub(super) fn adjust(&self) -> Option<u32> {
        self.credit.lock().adjust(self.link.waiting())
    }

    /// Tells the peer what it may send in addition.
    pub(super) fn update(&self, stream: &Stream, taken: Taken) {
        let link = self.leave(taken.gone);
        if link.is_none() && taken.update.is_none() {
            return;
        }
        let updates = [(stream.id, taken.update), (0, link)];
        let updates = updates.into_iter().filter_map(|(id, update)| Some((id, update?)));
        self.with_line(|line| {
            line.frames(|out| updates.for_each(|(id, more)| write::window_update(id, more, out)));
        });
    }

    /// So much waited and nobody reads it any more; others may use the room.
    pub(super) fn thrown_away(&self, stream: &Stream, waits: usize) {
        if 0 < waits {
            self.link.go(waits);
            self.update(stream, Taken { gone: waits, update: None });
        }
    }

    /// Ends it all: `end` is why, unless there was a reason before.
    pub(super) fn close(&self, end: LinkEnd) {
        self.link.ended(end);
        let mut writer = self.writer.lock();
        match self.link.end() {
            Some(LinkEnd::Closed | LinkEnd::Http(_) | LinkEnd::Silent) => writer.farewell(None),
            Some(LinkEnd::Io(error)) => writer.farewell(Some(error)),
            Some(LinkEnd::Revoked | LinkEnd::Forgotten) | None => {}
        }
        writer.close();
        drop(writer);
        self.line.lock().close();
        let streams = std::mem::take(&mut *self.streams.lock());
        for stream in streams.into_values() {
            let waker = stream.send.lock().waker.take();
            stream.inlet.lock().wake();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("link", &self.link).finish_non_exhaustive()
    }
}
