//! Bytes that were read and not yet understood.
use crate::io::Io;
use bytes::{Buf as _, Bytes, BytesMut};
use std::{
    io,
    task::{Context, Poll, ready},
};

/// The sizes of a read: a head or a small body, and what a body in bulk grows to.
const SMALL: usize = 8 << 10;
const LARGE: usize = 256 << 10;

/// Holds memory only while there is something in it.
#[derive(Debug)]
pub(super) struct Inbox {
    data: Bytes,
    /// How much the next read may bring.
    size: usize,
}

impl Default for Inbox {
    fn default() -> Self {
        Self { data: Bytes::new(), size: SMALL }
    }
}

impl Inbox {
    pub(super) const fn bytes(&self) -> &Bytes {
        &self.data
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    pub(super) fn advance(&mut self, len: usize) {
        self.data.advance(len);
        if self.data.is_empty() {
            // Lets go of the memory.
            self.data = Bytes::new();
        }
    }

    pub(super) fn take_byte(&mut self) -> Option<u8> {
        let byte = *self.data.first()?;
        self.advance(1);
        Some(byte)
    }

    /// What there is, but no more than `most`.
    pub(super) fn take_up_to(&mut self, most: u64) -> Bytes {
        match usize::try_from(most) {
            Ok(most) if most < self.data.len() => self.data.split_to(most),
            _ => std::mem::take(&mut self.data),
        }
    }

    /// Puts more behind what there is.
    pub(super) fn push(&mut self, more: BytesMut) {
        if self.data.is_empty() {
            self.data = more.freeze();
            return;
        }
        // A part of a head, or of a line: seldom, and small.
        let mut whole = match std::mem::take(&mut self.data).try_into_mut() {
            Ok(data) => data,
            Err(data) => {
                let mut whole = BytesMut::with_capacity(2 * (data.len() + more.len()));
                whole.extend_from_slice(&data);
                whole
            }
        };
        whole.extend_from_slice(&more);
        self.data = whole.freeze();
    }

    /// Reads once, `want` bytes of a body at most if that is known, and says how much came; zero at
    /// the end.
    pub(super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        io: &Io,
        want: Option<u64>,
    ) -> Poll<io::Result<usize>> {
        let size = match want.map(usize::try_from) {
            // What is known to be all that comes needs no room for more; the head of the next
            // message has room too, if it is there.
            Some(Ok(want)) => self.size.min(want.max(SMALL)),
            Some(Err(_)) | None => self.size,
        };
        let more = ready!(io.poll_read(cx, size))?;
        let read = more.len();
        self.learn(read, size);
        if 0 < read {
            self.push(more);
        }
        Poll::Ready(Ok(read))
    }

    /// A read that was filled asks for a larger one, one that was nearly empty for a smaller.
    fn learn(&mut self, read: usize, size: usize) {
        if read == size {
            self.size = (4 * self.size).min(LARGE);
        } else if read < self.size / 8 {
            self.size = (self.size / 4).max(SMALL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_empty_inbox_holds_no_memory() {
        let mut inbox = Inbox::default();
        inbox.push(BytesMut::from(&b"abc"[..]));
        assert_eq!(inbox.take_up_to(2), "ab");
        inbox.advance(1);
        assert!(inbox.is_empty());
        assert_eq!(inbox.bytes().as_ptr(), Inbox::default().bytes().as_ptr());
    }

    #[test]
    fn reads_grow_with_what_comes_and_shrink_again() {
        let mut inbox = Inbox::default();
        for _ in 0..5 {
            inbox.learn(inbox.size, inbox.size);
        }
        assert_eq!(inbox.size, LARGE);
        for _ in 0..5 {
            inbox.learn(100, inbox.size);
        }
        assert_eq!(inbox.size, SMALL);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_twice(pieces: Vec<Vec<u8>>, takes: Vec<u8>) {
            let (mut inbox, mut out) = (Inbox::default(), Vec::new());
            let mut takes = takes.into_iter().cycle();
            for piece in &pieces {
                inbox.push(BytesMut::from(&piece[..]));
                let take = takes.next().unwrap_or(3).into();
                out.extend_from_slice(&inbox.take_up_to(take));
            }
            out.extend_from_slice(&inbox.take_up_to(u64::MAX));
            prop_assert_eq!(out, pieces.concat());
        }
    }
}
