//! Compressed lists of headers (RFC 7541).
//!
//! Both ends keep a table of headers that were sent, which every block changes. So each block that
//! comes has to be decoded, in order, whoever wants it, and one that cannot be is the end of the
//! link.
//!
//! The work for a block is bounded by its bytes and by the limit of the list: a reference costs
//! the same whatever it stands for until it is told, and nothing is told beyond the limit.
mod decode;
mod encode;
mod huffman;
mod integer;
mod table;

pub use decode::{Decoder, HpackError};
pub use encode::Encoder;

/// How large a table is of which nothing was said.
pub const TABLE_DEFAULT: usize = 4096;

/// What a header costs beside its bytes, in a table and against the limit of a list.
pub const OVERHEAD: usize = 32;

#[cfg(test)]
mod tests;
