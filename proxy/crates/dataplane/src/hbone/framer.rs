//! Frames out of plain text, wherever a record or a read cuts them; pure.
//!
//! The content of DATA is handed on as it comes. All other frames are short and are put together
//! first, when they do not lie in one piece anyway.
use super::{
    http2::{
        code::{Code, Fault},
        frame::{DataPart, Flags, Frame, HEAD, Head, Kind, PREFACE},
    },
    settings::FRAME_MAX,
};
use std::mem;

/// Who takes what is found, in the order in which it came.
pub(super) trait Taker<'p> {
    /// Any frame begins. Whether it may come now.
    fn begins(&mut self, head: Head) -> Result<(), Fault>;

    /// DATA begins.
    fn data_begins(&mut self, head: Head, part: DataPart) -> Result<(), Fault>;

    /// A piece of it.
    fn data(&mut self, bytes: &'p [u8]);

    /// The whole of it was handed on.
    fn data_ends(&mut self, head: Head) -> Result<(), Fault>;

    /// Any other frame.
    fn frame(&mut self, frame: &Frame<'_>) -> Result<(), Fault>;

    /// A frame that must not be. What it ends if not the link is seen to.
    fn wrong(&mut self, fault: Fault) -> Result<(), Fault>;
}

/// What is known of the frame that is coming.
#[derive(Debug)]
pub(super) struct Framer {
    state: State,
    /// The beginning of whatever is not there as a whole.
    kept: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Preface,
    Head,
    /// The byte that says how much padding there is.
    Pad(Head),
    Data {
        head: Head,
        left: u32,
        padding: u32,
    },
    /// The payload of another frame.
    Payload(Head),
    /// What is not looked at.
    Skip(u32),
}

impl Framer {
    /// Of a peer that begins with the preface, which clients do.
    pub(super) const fn new(with_preface: bool) -> Self {
        let state = if with_preface { State::Preface } else { State::Head };
        Self { state, kept: Vec::new() }
    }

    /// Whether the preface was there, if there has to be one.
    pub(super) const fn has_begun(&self) -> bool {
        !matches!(self.state, State::Preface)
    }

    /// Takes what came.
    pub(super) fn feed<'p>(
        &mut self,
        mut bytes: &'p [u8],
        taker: &mut impl Taker<'p>,
    ) -> Result<(), Fault> {
        // Some frames have no payload, so there may be something to do without a byte.
        while !bytes.is_empty() || self.is_due() {
            bytes = self.step(bytes, taker)?;
        }
        Ok(())
    }

    /// Whether the frame that is coming is there without another byte.
    const fn is_due(&self) -> bool {
        matches!(
            self.state,
            State::Skip(0) | State::Payload(Head { length: 0, .. }) | State::Data { left: 0, .. }
        )
    }

    fn step<'p>(&mut self, bytes: &'p [u8], taker: &mut impl Taker<'p>) -> Result<&'p [u8], Fault> {
        match self.state {
            State::Preface => {
                let (now, rest) = bytes.split_at(bytes.len().min(PREFACE.len() - self.kept.len()));
                self.kept.extend_from_slice(now);
                if !PREFACE.starts_with(&self.kept) {
                    return Err(Fault::link(Code::PROTOCOL_ERROR, "no client of HTTP/2"));
                }
                if self.kept.len() == PREFACE.len() {
                    self.kept = Vec::new();
                    self.state = State::Head;
                }
                Ok(rest)
            }
            State::Head => self.head(bytes, taker),
            State::Pad(head) => {
                let Some((pad, rest)) = bytes.split_first() else { return Ok(bytes) };
                self.data(head, head.data_part(Some(*pad))?, taker)?;
                Ok(rest)
            }
            State::Data { head, left, padding } => {
                let (now, rest) = bytes.split_at(bytes.len().min(left as usize));
                if !now.is_empty() {
                    taker.data(now);
                }
                // At most `left`, which is a u32.
                let left = left - u32::try_from(now.len()).unwrap_or(left);
                self.state = State::Data { head, left, padding };
                if left == 0 {
                    taker.data_ends(head)?;
                    self.state = if padding == 0 { State::Head } else { State::Skip(padding) };
                }
                Ok(rest)
            }
            State::Payload(head) => self.payload(head, bytes, taker),
            State::Skip(left) => {
                let (now, rest) = bytes.split_at(bytes.len().min(left as usize));
                let left = left - u32::try_from(now.len()).unwrap_or(left);
                self.state = if left == 0 { State::Head } else { State::Skip(left) };
                Ok(rest)
            }
        }
    }

    fn head<'p>(&mut self, bytes: &'p [u8], taker: &mut impl Taker<'p>) -> Result<&'p [u8], Fault> {
        let (head, rest) = match bytes.split_first_chunk::<HEAD>() {
            Some((head, rest)) if self.kept.is_empty() => (*head, rest),
            Some(_) | None => {
                let (now, rest) = bytes.split_at(bytes.len().min(HEAD - self.kept.len()));
                self.kept.extend_from_slice(now);
                let Ok(head) = self.kept.as_slice().try_into() else { return Ok(rest) };
                self.kept.clear();
                (head, rest)
            }
        };
        let head = Head::parse(&head);
        head.check(FRAME_MAX)?;
        taker.begins(head)?;
        match head.kind {
            Kind::Data if head.flags.has(Flags::PADDED) => self.state = State::Pad(head),
            Kind::Data => self.data(head, head.data_part(None)?, taker)?,
            kind if kind.is_ignored() => {
                taker.frame(&Frame::Ignored)?;
                self.state = State::Skip(head.length);
            }
            Kind::Headers
            | Kind::Priority
            | Kind::Reset
            | Kind::Settings
            | Kind::PushPromise
            | Kind::Ping
            | Kind::GoAway
            | Kind::WindowUpdate
            | Kind::Continuation
            | Kind::Unknown(_) => self.state = State::Payload(head),
        }
        Ok(rest)
    }

    fn data<'p>(
        &mut self,
        head: Head,
        part: DataPart,
        taker: &mut impl Taker<'p>,
    ) -> Result<(), Fault> {
        taker.data_begins(head, part)?;
        self.state = State::Data { head, left: part.data, padding: part.padding };
        Ok(())
    }

    fn payload<'p>(
        &mut self,
        head: Head,
        bytes: &'p [u8],
        taker: &mut impl Taker<'p>,
    ) -> Result<&'p [u8], Fault> {
        let length = head.length as usize;
        let missing = length - self.kept.len();
        if bytes.len() < missing {
            self.kept.extend_from_slice(bytes);
            return Ok(&[]);
        }
        let (now, rest) = bytes.split_at(missing);
        self.state = State::Head;
        if self.kept.is_empty() {
            take(head, now, taker)?;
        } else {
            let mut whole = mem::take(&mut self.kept);
            whole.extend_from_slice(now);
            take(head, &whole, taker)?;
        }
        Ok(rest)
    }
}

fn take<'p>(head: Head, payload: &[u8], taker: &mut impl Taker<'p>) -> Result<(), Fault> {
    match Frame::parse(head, payload) {
        Ok(frame) => taker.frame(&frame),
        Err(fault) => taker.wrong(fault),
    }
}

#[cfg(test)]
mod tests;
