//! What drives a link: reads its socket, and has it written to once it takes more.
use super::{
    framer::Framer,
    http2::{
        code::{Code, Fault},
        frame::write,
    },
    intake::Intake,
    link::LinkEnd,
    pinger::Pinger,
    role::Role,
    turn::{Talk, Turn},
    wire::Wire,
};
use culvert_identity::channel::{Opener, Record};
use std::{
    fmt, io,
    ops::Range,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::net::TcpStream;

/// How much is read from a link before others on the thread get their turn.
const TURN: usize = 1 << 20;

/// How many places of records are remembered without being asked for.
const RECORDS: usize = 32;

pub(super) struct Engine<R> {
    pub(super) wire: Arc<Wire>,
    tcp: Arc<TcpStream>,
    opener: Opener,
    intake: Intake,
    /// Whether there is something in the intake that nobody has looked at.
    fresh: bool,
    framer: Framer,
    pub(super) talk: Talk,
    pub(super) role: R,
    pub(super) pinger: Pinger,
}

/// The parts of a link that was just made.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) tcp: Arc<TcpStream>,
    pub(super) opener: Opener,
    pub(super) early: Vec<u8>,
}

impl<R: Role> Engine<R> {
    /// Of a link whose peer begins with a preface or not, and may send so much in headers.
    pub(super) fn new(
        wire: Arc<Wire>,
        parts: Parts,
        role: R,
        with_preface: bool,
        headers: u32,
    ) -> Self {
        let Parts { tcp, opener, early } = parts;
        Self {
            wire,
            tcp,
            opener,
            fresh: !early.is_empty(),
            intake: Intake::new(&early),
            framer: Framer::new(with_preface),
            talk: Talk::new(headers),
            role,
            pinger: Pinger::new(),
        }
    }

    /// Whether the peer speaks HTTP/2.
    pub(super) const fn has_begun(&self) -> bool {
        self.framer.has_begun()
    }

    /// Reads and writes until there is nothing to read, or the link has ended.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<LinkEnd> {
        let read = self.poll_read(cx);
        while self.wire.is_blocked() {
            match self.tcp.poll_write_ready(cx) {
                Poll::Ready(Ok(())) => self.wire.unblock(),
                Poll::Ready(Err(error)) => return Poll::Ready(LinkEnd::Io(Arc::new(error))),
                Poll::Pending => break,
            }
        }
        if let Some(error) = self.wire.link.is_unwritable()
            && read.is_pending()
        {
            return Poll::Ready(LinkEnd::Io(Arc::clone(error)));
        }
        read
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<LinkEnd> {
        let mut left = TURN;
        loop {
            if self.fresh {
                self.fresh = false;
                if let Err(end) = self.digest() {
                    return Poll::Ready(end);
                }
            }
            if left == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            // Who wants answers has to take them.
            if self.wire.line(|line| line.is_clogged(cx.waker())) {
                return Poll::Pending;
            }
            match self.intake.poll_read(cx, &self.tcp) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0)) => {
                    let cut = io::Error::from(io::ErrorKind::UnexpectedEof);
                    return Poll::Ready(LinkEnd::Io(Arc::new(cut)));
                }
                Poll::Ready(Ok(read)) => {
                    self.wire.link.hear();
                    left = left.saturating_sub(read);
                    self.fresh = true;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(LinkEnd::Io(Arc::new(error))),
            }
        }
    }

    /// Opens the records that are there and takes the frames in them.
    fn digest(&mut self) -> Result<(), LinkEnd> {
        let Self { wire, opener, intake, framer, talk, role, pinger, .. } = self;
        let bytes = intake.bytes();
        let mut places: Vec<Range<usize>> = Vec::with_capacity(RECORDS);
        let (mut at, mut ends, mut renew) = (0, None, false);
        loop {
            match opener.open(&mut bytes[at..]) {
                Ok(Some((length, record))) => {
                    match record {
                        Record::Data(place) => places.push(at + place.start..at + place.end),
                        Record::Kept => {}
                        Record::Renew => renew = true,
                        Record::Closed => ends = Some(LinkEnd::Closed),
                    }
                    at += length;
                }
                Ok(None) => break,
                Err(error) => {
                    ends = Some(LinkEnd::Io(Arc::new(error)));
                    break;
                }
            }
        }
        let mut turn = Turn::new(wire, talk, role);
        let mut done = Ok(());
        for place in places {
            done = framer.feed(&bytes[place], &mut turn);
            if done.is_err() {
                break;
            }
        }
        let ended = turn.end();
        done.and(ended).map_err(|fault| give_up(wire, &fault))?;
        if std::mem::take(&mut talk.pong) {
            pinger.answered();
        }
        if renew && let Err(error) = wire.renew() {
            ends = Some(LinkEnd::Io(Arc::new(error)));
        }
        intake.taken(at);
        ends.map_or(Ok(()), Err)
    }
}

impl<R> Drop for Engine<R> {
    fn drop(&mut self) {
        // When it was driven to its end, that is known already.
        self.wire.close(LinkEnd::Closed);
    }
}

impl<R> fmt::Debug for Engine<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("wire", &self.wire).finish_non_exhaustive()
    }
}

/// Says why the link ends.
pub(super) fn give_up(wire: &Wire, fault: &Fault) -> LinkEnd {
    say_goodbye(wire, wire.link.last(), fault.code());
    LinkEnd::Http(fault.to_string())
}

/// Says that streams after `last` are not looked at.
pub(super) fn say_goodbye(wire: &Wire, last: u32, code: Code) {
    wire.with_line(|line| line.frames(|out| write::go_away(last, code, &[], out)));
}
