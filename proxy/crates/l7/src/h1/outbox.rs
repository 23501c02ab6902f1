//! What is on its way out, in pieces that go with as few system calls as possible.
use crate::io::Io;
use bytes::{Buf as _, Bytes, BytesMut};
use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    task::{Context, Poll, ready},
};

/// Pieces that go with one system call.
const PIECES: usize = 32;

/// A piece that is copied behind the one before it rather than sent as one of its own.
const COPIED: usize = 2 << 10;

/// From so many bytes on nothing is fetched to go along.
pub(super) const FULL: usize = 256 << 10;

/// Holds no memory while there is nothing in it.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// The pieces before `last`.
    pieces: VecDeque<Bytes>,
    /// Where small pieces are put together.
    last: BytesMut,
    len: usize,
    /// Something was written that is not yet handed on.
    unflushed: bool,
}

impl Outbox {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn is_full(&self) -> bool {
        FULL <= self.len
    }

    /// Where `make` writes what goes out next.
    pub(super) fn write(&mut self, room: usize, make: impl FnOnce(&mut BytesMut)) {
        if self.last.is_empty() {
            self.last = BytesMut::with_capacity(room);
        }
        let before = self.last.len();
        make(&mut self.last);
        self.len += self.last.len() - before;
    }

    /// Puts `bytes` behind what there is.
    pub(super) fn push(&mut self, bytes: Bytes) {
        self.len += bytes.len();
        if bytes.len() <= COPIED
            && (bytes.len() <= self.last.capacity() - self.last.len() || !self.last.is_empty())
        {
            self.last.extend_from_slice(&bytes);
            return;
        }
        self.close_last();
        self.pieces.push_back(bytes);
    }

    /// Writes until nothing is left.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>, io: &Io) -> Poll<io::Result<()>> {
        while 0 < self.len {
            let written = if self.pieces.is_empty() {
                ready!(io.poll_write(cx, &[IoSlice::new(&self.last)]))?
            } else {
                self.close_last();
                let mut slices = [IoSlice::new(&[]); PIECES];
                let mut count = 0;
                for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
                    *slice = IoSlice::new(piece);
                    count += 1;
                }
                ready!(io.poll_write(cx, &slices[..count]))?
            };
            self.unflushed = true;
            self.wrote(written);
        }
        if self.unflushed {
            ready!(io.poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn close_last(&mut self) {
        if !self.last.is_empty() {
            self.pieces.push_back(std::mem::take(&mut self.last).freeze());
        }
    }

    fn wrote(&mut self, mut written: usize) {
        self.len -= written;
        if self.len == 0 {
            *self = Self { unflushed: self.unflushed, ..Self::default() };
            return;
        }
        while let Some(first) = self.pieces.front_mut() {
            if written < first.len() {
                first.advance(written);
                return;
            }
            written -= first.len();
            self.pieces.pop_front();
        }
        self.last.advance(written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_was_put_in_comes_out_in_order(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5000), 0..20),
            writes: Vec<u16>,
        ) {
            let mut outbox = Outbox::default();
            for (i, piece) in pieces.iter().enumerate() {
                if i % 3 == 0 {
                    outbox.write(100, |last| last.extend_from_slice(piece));
                } else {
                    outbox.push(Bytes::copy_from_slice(piece));
                }
            }
            prop_assert_eq!(outbox.len(), pieces.concat().len());
            let mut seen = 0;
            for write in writes {
                outbox.close_last();
                let all: Vec<u8> = outbox.pieces.iter().flatten().copied().collect();
                prop_assert_eq!(&all, &pieces.concat()[seen..]);
                let write = usize::from(write).min(outbox.len());
                outbox.wrote(write);
                seen += write;
            }
        }
    }
}
