//! What came for an application and waits until it takes it; the peer's window bounds it.
//!
//! Pieces are put together: many small frames must not become as many blocks of memory, and what
//! waits must not keep alive the large block that it came in.
use crate::copy::write_all_of;
use std::{
    collections::VecDeque,
    io::{self, IoSlice},
};
use tokio::{io::ReadBuf, net::TcpStream};

/// The smallest and the largest block.
const BLOCK_MIN: usize = 1 << 10;
const BLOCK_MAX: usize = 64 << 10;

/// How many blocks one write takes.
const BLOCKS: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Queue {
    blocks: VecDeque<Vec<u8>>,
    /// How much of the first one is gone.
    gone: usize,
    bytes: usize,
}

impl Queue {
    pub(super) const fn new() -> Self {
        Self { blocks: VecDeque::new(), gone: 0, bytes: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.bytes
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let size = bytes.len().max(self.bytes).clamp(BLOCK_MIN, BLOCK_MAX);
            self.bytes += bytes.len();
            let block = match self.blocks.back_mut() {
                Some(block) if block.len() < block.capacity() => block,
                Some(_) | None => {
                    self.blocks.push_back(Vec::with_capacity(size));
                    let Some(block) = self.blocks.back_mut() else { return };
                    block
                }
            };
            let fits = bytes.len().min(block.capacity() - block.len());
            let (now, later) = bytes.split_at(fits);
            block.extend_from_slice(now);
            self.bytes -= later.len();
            bytes = later;
        }
    }

    /// Appends another one.
    pub(super) fn append(&mut self, mut other: Self) {
        if self.is_empty() {
            *self = other;
            return;
        }
        if other.gone != 0
            && let Some(first) = other.blocks.front_mut()
        {
            first.drain(..other.gone);
        }
        self.bytes += other.bytes;
        self.blocks.append(&mut other.blocks);
    }

    /// Writes what is taken now, with one call; says how much that was.
    pub(super) fn write(&mut self, tcp: &TcpStream) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); BLOCKS];
        let (mut used, mut whole, mut gone) = (0, 0, self.gone);
        for (slice, block) in slices.iter_mut().zip(&self.blocks) {
            *slice = IoSlice::new(&block[gone..]);
            whole += block.len() - gone;
            used += 1;
            gone = 0;
        }
        let written = write_all_of(tcp, &slices[..used], whole)?;
        self.drop_front(written);
        Ok(written)
    }

    /// Reads what there is room for; says how much that was.
    pub(super) fn read(&mut self, buf: &mut ReadBuf<'_>) -> usize {
        let (mut read, mut gone) = (0, self.gone);
        for block in &self.blocks {
            let part = &block[gone..];
            let fits = part.len().min(buf.remaining());
            buf.put_slice(&part[..fits]);
            read += fits;
            gone = 0;
            if fits < part.len() {
                break;
            }
        }
        self.drop_front(read);
        read
    }

    fn drop_front(&mut self, count: usize) {
        self.bytes -= count;
        if self.bytes == 0 {
            // At rest it holds nothing.
            *self = Self::default();
            return;
        }
        self.gone += count;
        while let Some(first) = self.blocks.front()
            && first.len() <= self.gone
        {
            self.gone -= first.len();
            self.blocks.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn what_is_put_in_comes_out_in_order(
            parts in prop::collection::vec((0usize..100_000, 0usize..150_000, any::<bool>()), 1..20)
        ) {
            let (mut queue, mut other) = (Queue::default(), Queue::default());
            let (mut put, mut taken) = (0_usize, 0_usize);
            let bytes = |from: usize, count: usize| -> Vec<u8> {
                (from..from + count).map(|at| at.to_le_bytes()[0]).collect()
            };
            for (push, drop, append) in parts {
                if append {
                    queue.append(std::mem::take(&mut other));
                }
                other.push(&bytes(put, push));
                put += push;
                if append {
                    queue.append(std::mem::take(&mut other));
                }
                let drop = drop.min(queue.len());
                let mut all: Vec<u8> = Vec::new();
                let mut gone = queue.gone;
                for block in &queue.blocks {
                    all.extend_from_slice(&block[gone..]);
                    gone = 0;
                }
                prop_assert_eq!(all.len(), queue.len());
                prop_assert_eq!(all, bytes(taken, queue.len()));
                queue.drop_front(drop);
                taken += drop;
            }
            queue.append(other);
            prop_assert_eq!(queue.len(), put - taken);
        }
    }
}
