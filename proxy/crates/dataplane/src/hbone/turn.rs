//! What a piece of plain text means for the streams of a link.
use super::{
    framer::Taker,
    http2::{
        block::Assembly,
        code::{Code, Fault},
        frame::{DataPart, Flags, Frame, Head, Kind, write},
        hpack::Decoder,
        settings::Settings,
    },
    inlet::Phase,
    pinger::PING,
    role::{Role, Use},
    stream::Stream,
    wire::Wire,
};
use std::{io::IoSlice, sync::Arc};

/// How many pieces of a stream are written with one call.
const PIECES: usize = 64;

/// How many frames of no use a peer may send in the time of a ping.
const USELESS_MAX: u32 = 20_000;

/// What is known of a link from one turn to the next.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) assembly: Assembly,
    pub(super) decoder: Decoder,
    /// Frames of no use since the last tick.
    pub(super) useless: u32,
    /// The answer to our ping came.
    pub(super) pong: bool,
    /// An answer to another of our pings came.
    pub(super) other_pong: Option<[u8; 8]>,
    /// Whether the peer has said what it takes.
    introduced: bool,
    /// The stream that DATA was for last, if there still is one.
    current: Option<(u32, Option<Arc<Stream>>)>,
}

/// One turn.
pub(super) struct Turn<'t, 'p, R> {
    wire: &'t Arc<Wire>,
    talk: &'t mut Talk,
    role: &'t mut R,
    /// Data of the current stream that was not handed on yet.
    slices: [IoSlice<'p>; PIECES],
    used: usize,
    bytes: usize,
    /// What came in DATA, and what of it has left.
    arrived: usize,
    gone: usize,
    /// Frames in answer.
    out: Vec<u8>,
}

impl Talk {
    pub(super) fn new(headers: u32) -> Self {
        Self {
            assembly: Assembly::new(headers as usize),
            decoder: Decoder::new(4096),
            useless: 0,
            pong: false,
            other_pong: None,
            introduced: false,
            current: None,
        }
    }
}

impl<'t, R: Role> Turn<'t, '_, R> {
    pub(super) fn new(wire: &'t Arc<Wire>, talk: &'t mut Talk, role: &'t mut R) -> Self {
        Self {
            wire,
            talk,
            role,
            slices: [IoSlice::new(&[]); PIECES],
            used: 0,
            bytes: 0,
            arrived: 0,
            gone: 0,
            out: Vec::new(),
        }
    }

    /// Hands on what is left, and answers.
    pub(super) fn end(mut self) -> Result<(), Fault> {
        self.hand_on();
        if !self.wire.arrives(self.arrived) {
            let why = "more data than the window of the link";
            return Err(Fault::link(Code::FLOW_CONTROL_ERROR, why));
        }
        // What came of a frame that began earlier leaves too.
        if 0 < self.arrived + self.gone {
            for update in [self.wire.leave(self.gone), self.wire.adjust()].into_iter().flatten() {
                write::window_update(0, update, &mut self.out);
            }
        }
        let Self { wire, out, .. } = self;
        if !out.is_empty() {
            wire.with_line(|line| line.frames(|frames| frames.extend_from_slice(&out)));
        }
        Ok(())
    }

    /// Hands the data on that was put together.
    fn hand_on(&mut self) {
        let (slices, bytes) = (&self.slices[..self.used], self.bytes);
        if let Some((id, Some(stream))) = &self.talk.current
            && 0 < bytes
        {
            let taken = stream.inlet.lock().take(slices, bytes, &self.wire.link);
            self.gone += taken.gone;
            if let Some(update) = taken.update {
                write::window_update(*id, update, &mut self.out);
            }
        }
        (self.used, self.bytes) = (0, 0);
    }

    /// Ends what a fault asks for; what it cannot end here is the link.
    fn judge(&mut self, fault: Fault) -> Result<(), Fault> {
        let Fault::Stream { stream: id, code, .. } = fault else { return Err(fault) };
        self.hand_on();
        self.useless()?;
        match self.wire.find(id) {
            Some(stream) => {
                self.wire.reset(&stream, code);
                self.broken_off(&stream, code)?;
            }
            None => write::reset(id, code, &mut self.out),
        }
        if self.talk.current.as_ref().is_some_and(|(current, _)| *current == id) {
            self.talk.current = Some((id, None));
        }
        Ok(())
    }

    fn useless(&mut self) -> Result<(), Fault> {
        self.talk.useless += 1;
        if USELESS_MAX < self.talk.useless {
            return Err(Fault::link(Code::ENHANCE_YOUR_CALM, "too many frames of no use"));
        }
        Ok(())
    }

    /// The stream of a frame; `None`: it is over.
    fn find(&self, id: u32) -> Result<Option<Arc<Stream>>, Fault> {
        match self.wire.find(id) {
            None if self.role.is_idle(self.wire, id) => {
                Err(Fault::link(Code::PROTOCOL_ERROR, "a frame of a stream that there never was"))
            }
            found => Ok(found),
        }
    }

    fn reset(&mut self, id: u32, code: Code) -> Result<(), Fault> {
        self.hand_on();
        self.talk.current = None;
        let Some(stream) = self.find(id)? else { return self.useless() };
        stream.break_off();
        self.wire.remove(id);
        self.broken_off(&stream, code)
    }

    /// Whoever reads the stream hears of it, and its breaking off is counted.
    fn broken_off(&mut self, stream: &Stream, code: Code) -> Result<(), Fault> {
        let mut inlet = stream.inlet.lock();
        inlet.end(Phase::Reset(code));
        let answered = inlet.answered;
        drop(inlet);
        self.role.broken_off(self.wire, answered)
    }

    fn settings(&mut self, settings: &Settings) -> Result<(), Fault> {
        self.useless()?;
        if R::ASKS {
            settings.check_of_server()?;
        }
        self.wire.with_line(|line| {
            let change = line.apply(settings);
            if change == 0 {
                return Ok(());
            }
            // Under the lock of the line: no stream begins meanwhile.
            for stream in self.wire.select(|_| true) {
                if stream.widen(change).is_none() {
                    let why = "a window is too large";
                    return Err(Fault::link(Code::FLOW_CONTROL_ERROR, why));
                }
            }
            Ok(())
        })
    }

    fn widen(&mut self, id: u32, increment: u32) -> Result<(), Fault> {
        if id == 0 {
            return self.wire.with_line(|line| line.widen(increment));
        }
        let Some(stream) = self.find(id)? else { return Ok(()) };
        match stream.widen(i64::from(increment)) {
            Some(()) => Ok(()),
            None => {
                let why = "the window of a stream is too large";
                self.judge(Fault::stream(id, Code::FLOW_CONTROL_ERROR, why))
            }
        }
    }
}

impl<'p, R: Role> Taker<'p> for Turn<'_, 'p, R> {
    fn begins(&mut self, head: Head) -> Result<(), Fault> {
        if !self.talk.introduced {
            if head.kind != Kind::Settings || head.flags.has(Flags::ACK) {
                return Err(Fault::link(Code::PROTOCOL_ERROR, "the first frame is no SETTINGS"));
            }
            self.talk.introduced = true;
        }
        self.talk.assembly.check(head)
    }

    fn data_begins(&mut self, head: Head, part: DataPart) -> Result<(), Fault> {
        let id = head.stream;
        self.arrived += head.length as usize;
        if self.talk.current.as_ref().is_none_or(|(current, _)| *current != id) {
            self.hand_on();
            self.talk.current = Some((id, self.find(id)?));
        }
        if head.length == 0 && !head.flags.has(Flags::END_STREAM) {
            self.useless()?;
        }
        // Of the padding nothing stays here.
        let padding = head.length - part.data;
        self.gone += padding as usize;
        let Some((_, Some(stream))) = &self.talk.current else { return Ok(()) };
        let mut inlet = stream.inlet.lock();
        let fault = match inlet.phase() {
            Phase::Ended => {
                Some(Fault::stream(id, Code::STREAM_CLOSED, "data after the end of a stream"))
            }
            Phase::Open if R::ASKS && !inlet.answered => {
                Some(Fault::stream(id, Code::PROTOCOL_ERROR, "data before the answer"))
            }
            Phase::Open | Phase::Reset(_) | Phase::Deaf if !inlet.arrives(head.length) => {
                let why = "more data than the window of a stream";
                Some(Fault::stream(id, Code::FLOW_CONTROL_ERROR, why))
            }
            Phase::Open | Phase::Reset(_) | Phase::Deaf => None,
        };
        if let Some(update) = inlet.leave(padding as usize) {
            write::window_update(id, update, &mut self.out);
        }
        drop(inlet);
        fault.map_or(Ok(()), |fault| self.judge(fault))
    }

    fn data(&mut self, bytes: &'p [u8]) {
        if !matches!(&self.talk.current, Some((_, Some(_)))) {
            self.gone += bytes.len();
            return;
        }
        if self.used == PIECES {
            self.hand_on();
        }
        self.slices[self.used] = IoSlice::new(bytes);
        self.used += 1;
        self.bytes += bytes.len();
    }

    fn data_ends(&mut self, head: Head) -> Result<(), Fault> {
        if !head.flags.has(Flags::END_STREAM) {
            return Ok(());
        }
        self.hand_on();
        let Some((_, Some(stream))) = &self.talk.current else { return Ok(()) };
        if stream.inlet.lock().phase() == Phase::Open {
            self.wire.end(stream)?;
        }
        Ok(())
    }

    fn wrong(&mut self, fault: Fault) -> Result<(), Fault> {
        self.judge(fault)
    }

    fn frame(&mut self, frame: &Frame<'_>) -> Result<(), Fault> {
        match frame {
            Frame::Headers { .. } | Frame::Continuation { .. } => {
                let Some(block) = self.talk.assembly.take(frame)? else { return Ok(()) };
                self.hand_on();
                self.talk.current = None;
                match self.role.block(self.wire, &mut self.talk.decoder, &block) {
                    Ok(Use::Some) => Ok(()),
                    Ok(Use::None) => self.useless(),
                    Err(fault) => self.judge(fault),
                }
            }
            Frame::Reset { stream, code } => self.reset(*stream, *code),
            Frame::Settings(settings) => self.settings(settings),
            Frame::Ping(said) => {
                self.useless()?;
                write::pong(*said, &mut self.out);
                Ok(())
            }
            Frame::Pong(PING) => {
                self.talk.pong = true;
                Ok(())
            }
            Frame::Pong(said) => {
                self.talk.other_pong = Some(*said);
                self.useless()
            }
            Frame::GoAway { last, code, .. } => {
                self.role.go_away(self.wire, *last, *code);
                self.useless()
            }
            Frame::WindowUpdate { stream, increment } => self.widen(*stream, *increment),
            Frame::SettingsAck | Frame::Ignored => self.useless(),
            // Handed on as it comes.
            Frame::Data { .. } => Ok(()),
        }
    }
}
