//! Reading a link's socket in large pieces.
use crate::copy::{Appetite, Buffer, Grade, read};
use culvert_identity::channel::HEADER;
use std::{
    io,
    task::{Context, Poll},
};
use tokio::net::TcpStream;

/// The largest read.
const READ_MAX: Grade = Grade::Large;

/// Memory for what came; none while there is nothing.
#[derive(Debug)]
pub(super) struct Intake {
    buffer: Option<Buffer>,
    filled: usize,
    appetite: Appetite,
}

impl Intake {
    /// With what came before.
    pub(super) fn new(early: &[u8]) -> Self {
        let mut intake = Self { buffer: None, filled: 0, appetite: Appetite::new(READ_MAX) };
        if !early.is_empty() {
            let grade = Grade::ALL.into_iter().find(|grade| early.len() <= grade.size());
            let mut buffer = Buffer::borrow(grade.unwrap_or(READ_MAX));
            buffer.bytes_mut()[..early.len()].copy_from_slice(early);
            (intake.buffer, intake.filled) = (Some(buffer), early.len());
        }
        intake
    }

    /// What came and was not taken.
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        match &mut self.buffer {
            Some(buffer) => &mut buffer.bytes_mut()[..self.filled],
            None => &mut [],
        }
    }

    /// Reads once, behind what is there; zero at the end.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        tcp: &TcpStream,
    ) -> Poll<io::Result<usize>> {
        loop {
            if tcp.poll_read_ready(cx)?.is_pending() {
                self.rest();
                return Poll::Pending;
            }
            let filled = self.filled;
            let buffer = self.space();
            let grade = buffer.grade();
            let space = &mut buffer.bytes_mut()[filled..];
            let whole = space.len();
            match read(tcp, space) {
                Ok(read) => {
                    // A full one is full, although a part of it was filled before.
                    let used = if read == whole { grade.size() } else { read };
                    self.appetite.read(used, grade);
                    self.filled += read;
                    return Poll::Ready(Ok(read));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// The first `count` bytes are of no use any more.
    pub(super) fn taken(&mut self, count: usize) {
        let Some(buffer) = &mut self.buffer else { return };
        if count == self.filled {
            (self.buffer, self.filled) = (None, 0);
            return;
        }
        buffer.bytes_mut().copy_within(count..self.filled, 0);
        self.filled -= count;
    }

    /// A buffer with room behind what is there, as large as the appetite.
    fn space(&mut self) -> &mut Buffer {
        let needed = self.needed();
        let Self { buffer, filled, appetite } = self;
        let grades = Grade::ALL.into_iter();
        let fits = grades.filter(|grade| needed <= grade.size()).min().unwrap_or(READ_MAX);
        let wanted = appetite.grade().max(fits);
        match buffer {
            Some(buffer) if wanted <= buffer.grade() => {}
            Some(small) => {
                let mut larger = Buffer::borrow(wanted);
                larger.bytes_mut()[..*filled].copy_from_slice(&small.bytes()[..*filled]);
                *small = larger;
            }
            None => *buffer = Some(Buffer::borrow(wanted)),
        }
        buffer.get_or_insert_with(|| Buffer::borrow(wanted))
    }

    /// How much room the record needs that is not there as a whole.
    fn needed(&mut self) -> usize {
        match self.bytes() {
            [_, _, _, high, low, ..] => {
                HEADER + usize::from(u16::from_be_bytes([*high, *low])).max(1)
            }
            few => few.len() + 1,
        }
    }

    /// Nothing more comes for now: what is not a whole record waits in as little as it needs.
    fn rest(&mut self) {
        let Some(buffer) = &mut self.buffer else { return };
        let grades = Grade::ALL.into_iter();
        let fits = grades.filter(|grade| self.filled < grade.size()).min().unwrap_or(READ_MAX);
        if fits < buffer.grade() {
            let mut smaller = Buffer::borrow(fits);
            smaller.bytes_mut()[..self.filled].copy_from_slice(&buffer.bytes()[..self.filled]);
            *buffer = smaller;
        }
    }
}
