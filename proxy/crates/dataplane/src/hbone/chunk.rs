//! What is sent: a lent buffer, given back when its bytes are in the link's records.
use crate::copy::Buffer;
use bytes::Buf;

/// The bytes of `buffer[from..to]`; none, for the end of a stream.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    buffer: Option<Buffer>,
    from: u32,
    to: u32,
}

impl Chunk {
    /// The first `filled` bytes of `buffer`.
    pub(crate) fn filled(buffer: Buffer, filled: usize) -> Self {
        debug_assert!(filled <= buffer.bytes().len());
        // No grade is anywhere near 4 GiB.
        Self { buffer: Some(buffer), from: 0, to: u32::try_from(filled).unwrap_or(u32::MAX) }
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
