//! Bytes of one stream on their way out, in the memory they are sealed and sent from.
//!
//! They are read from the application's socket to where they are to be in the records of the link,
//! with room left for the heads of records and frames: nothing is copied after that.
use super::http2::frame::{HEAD, Head};
use crate::copy::{Buffer, Grade};
use culvert_identity::channel::{HEADER, PLAIN_MAX, RECORD_MAX, Sealer, TRAILER};
use socket2::SockRef;
use std::{
    array,
    io::{self, IoSliceMut, Read as _},
    mem,
};
use tokio::{io::Interest, net::TcpStream};

/// How many records the largest buffer that is read into has.
const RECORDS: usize = Grade::Large.size().div_ceil(RECORD_MAX);

/// How frames lie in records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// One over all records.
    Whole,
    /// One in each, for a peer that takes no larger ones.
    Each,
}

/// What is sent of one stream at a time.
#[derive(Debug)]
pub(crate) struct Parcel {
    buffer: Buffer,
    framing: Framing,
    stream: u32,
    /// How much of the stream is in it.
    content: usize,
}

/// Sealed records that the socket has not taken yet.
#[derive(Debug)]
pub(super) struct Sealed {
    buffer: Buffer,
    from: u32,
    to: u32,
}

impl Parcel {
    /// An empty one of `stream`, for a peer that takes frames of up to `frame_max`.
    pub(super) fn new(grade: Grade, stream: u32, frame_max: u32) -> Self {
        let buffer = Buffer::borrow(grade.min(Grade::Large));
        let whole = buffer.bytes().len() <= frame_max as usize;
        let framing = if whole { Framing::Whole } else { Framing::Each };
        Self { buffer, framing, stream, content: 0 }
    }

    /// How much one of `grade` can hold at most.
    pub(super) const fn room(grade: Grade) -> usize {
        grade.size()
    }

    pub(super) const fn grade(&self) -> Grade {
        self.buffer.grade()
    }

    pub(super) const fn content(&self) -> usize {
        self.content
    }

    /// Memory it takes.
    pub(super) fn size(&self) -> usize {
        self.buffer.bytes().len()
    }

    /// Reads what is there, at most `most`; one that does not fill it has emptied the socket, which
    /// is noted so that no other read must find out. Says whether it was filled.
    pub(super) fn read(&mut self, io: &TcpStream, most: usize) -> io::Result<bool> {
        let (mut read, mut space) = (0, 0);
        let outcome = io.try_io(Interest::READABLE, || {
            (read, space) = self.read_now(io, most)?;
            if 0 < read && read < space { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match outcome {
            Err(error) if read == 0 => Err(error),
            Err(_) | Ok(()) => Ok(0 < read && read == space),
        }
    }

    /// Reads past tokio's readiness; says how much, and how much it could have been.
    pub(super) fn read_now(&mut self, io: &TcpStream, most: usize) -> io::Result<(usize, usize)> {
        let mut slots: [_; RECORDS] = array::from_fn(|_| IoSliceMut::new(&mut []));
        let (mut used, mut space) = (0, 0);
        for record in self.buffer.bytes_mut().chunks_mut(RECORD_MAX) {
            let head = HEADER + self.framing.head(used);
            let end = record.len().saturating_sub(TRAILER).min(head + most - space);
            if end <= head {
                break;
            }
            space += end - head;
            slots[used] = IoSliceMut::new(&mut record[head..end]);
            used += 1;
        }
        let read = match &mut slots[..used] {
            [one] => (&*SockRef::from(io)).read(one)?,
            all => (&*SockRef::from(io)).read_vectored(all)?,
        };
        self.content = read;
        Ok((read, space))
    }

    /// Takes in as much of `bytes` as fits.
    pub(super) fn fill(&mut self, mut bytes: &[u8]) {
        for (index, record) in self.buffer.bytes_mut().chunks_mut(RECORD_MAX).enumerate() {
            let head = HEADER + self.framing.head(index);
            let end = record.len().saturating_sub(TRAILER);
            if end <= head || bytes.is_empty() {
                break;
            }
            let (now, later) = bytes.split_at(bytes.len().min(end - head));
            record[head..head + now.len()].copy_from_slice(now);
            self.content += now.len();
            bytes = later;
        }
    }

    /// Writes the heads of frames and seals the records.
    pub(super) fn seal(mut self, sealer: &mut Sealer) -> io::Result<Sealed> {
        let Self { framing, stream, content, .. } = self;
        let (mut left, mut end) = (content, 0);
        for (index, record) in self.buffer.bytes_mut().chunks_mut(RECORD_MAX).enumerate() {
            if left == 0 {
                break;
            }
            let head = framing.head(index);
            let part = left.min(record.len() - HEADER - head - TRAILER);
            if head != 0 {
                let length = if framing == Framing::Whole { content } else { part };
                // No grade is larger than a frame may be.
                let length = u32::try_from(length).unwrap_or_default();
                let frame = Head::data(stream, length, false).write();
                record[HEADER..HEADER + HEAD].copy_from_slice(&frame);
            }
            let whole = HEADER + head + part + TRAILER;
            sealer.seal(&mut record[..whole])?;
            left -= part;
            end += whole;
        }
        let to = u32::try_from(end).unwrap_or(u32::MAX);
        Ok(Sealed { buffer: self.buffer, from: 0, to })
    }
}

impl Framing {
    /// How long the head of a frame is in the record of that number.
    const fn head(self, record: usize) -> usize {
        match self {
            Self::Whole if record != 0 => 0,
            Self::Whole | Self::Each => HEAD,
        }
    }
}

impl Sealed {
    /// Whole frames that are neither data nor many, in records of their own.
    pub(super) fn of_frames(frames: &[u8], sealer: &mut Sealer) -> io::Result<Self> {
        let needed = frames.len() + frames.len().div_ceil(PLAIN_MAX) * (HEADER + TRAILER);
        let grade = Grade::ALL.into_iter().find(|grade| needed <= grade.size());
        let mut buffer = Buffer::borrow(grade.unwrap_or(Grade::Medium));
        let mut end = 0;
        for part in frames.chunks(PLAIN_MAX) {
            let whole = HEADER + part.len() + TRAILER;
            let record = buffer.bytes_mut().get_mut(end..end + whole);
            let record = record.ok_or(io::ErrorKind::OutOfMemory)?;
            record[HEADER..HEADER + part.len()].copy_from_slice(part);
            sealer.seal(record)?;
            end += whole;
        }
        Ok(Self { buffer, from: 0, to: u32::try_from(end).unwrap_or(u32::MAX) })
    }

    /// Records that are sealed already.
    pub(super) fn of_records(records: &[u8]) -> Self {
        let mut buffer = Buffer::borrow(Grade::Small);
        buffer.bytes_mut()[..records.len()].copy_from_slice(records);
        Self { buffer, from: 0, to: u32::try_from(records.len()).unwrap_or(u32::MAX) }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer.bytes()[self.from as usize..self.to as usize]
    }

    /// Memory it takes.
    pub(super) fn size(&self) -> usize {
        self.buffer.bytes().len()
    }

    /// So many of them are gone.
    pub(super) fn advance(&mut self, count: usize) {
        self.from += u32::try_from(count).unwrap_or(u32::MAX);
    }
}

/// Takes frames out of `from`, at most so many bytes that they fit into a buffer.
pub(super) fn frames_of(from: &mut Vec<u8>) -> Vec<u8> {
    const MOST: usize = 3 * PLAIN_MAX;
    if from.len() <= MOST {
        return mem::take(from);
    }
    from.drain(..MOST).collect()
}
