//! What is sent: a lent buffer, given back when its bytes are in the link's records.
use crate::copy::{Buffer, Grade};
use bytes::Buf;

/// Where in a buffer the bytes begin that are to be sent.
///
/// TLS copies them to 5 bytes after the beginning of a block of memory. If both began a page, each
/// load would wait for the store before it, which has the same place in its page: the copy then
/// takes several times as long.
const BEGIN: usize = 2048;

/// The bytes of `buffer[from..to]`; none, for the end of a stream.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    buffer: Option<Buffer>,
    from: u32,
    to: u32,
}

impl Chunk {
    /// Where to read to, at most `room` bytes.
    pub(crate) fn space(buffer: &mut Buffer, room: usize) -> &mut [u8] {
        let space = &mut buffer.bytes_mut()[BEGIN..];
        let room = room.min(space.len());
        &mut space[..room]
    }

    /// The first `filled` bytes of the [`space`](Self::space) of `buffer`.
    pub(crate) fn filled(buffer: Buffer, filled: usize) -> Self {
        let end = BEGIN + filled;
        debug_assert!(end <= buffer.bytes().len());
        // No grade is anywhere near 4 GiB.
        let cut = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self { buffer: Some(buffer), from: cut(BEGIN), to: cut(end) }
    }

    /// How much one of `grade` can hold.
    pub(crate) const fn room(grade: Grade) -> usize {
        grade.size() - BEGIN
    }
}

impl Buf for Chunk {
    fn remaining(&self) -> usize {
        (self.to - self.from) as usize
    }

    fn chunk(&self) -> &[u8] {
        let all = self.buffer.as_ref().map_or(&[][..], Buffer::bytes);
        &all[self.from as usize..self.to as usize]
    }

    fn advance(&mut self, count: usize) {
        assert!(count <= self.remaining(), "advanced beyond the end");
        // At most what remains, which fits.
        self.from += u32::try_from(count).unwrap_or(u32::MAX);
        if self.from == self.to {
            *self = Self::default();
        }
    }
}
