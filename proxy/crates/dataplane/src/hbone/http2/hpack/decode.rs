//! What a block says.
use super::{
    OVERHEAD, TABLE_DEFAULT, huffman, integer,
    table::{Name, Table},
};
use std::borrow::Cow;

/// Reads the blocks of one direction of a link, all of them, in the order in which they come.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    /// How large the peer may make the table.
    max_table: usize,
}

/// Why a block cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HpackError {
    /// It was read to its end, and the table is in order.
    #[error("the list of headers is longer than what we said we take")]
    TooLong,
    #[error("a block of headers ends in the middle of one")]
    Truncated,
    #[error("a number in a block of headers is too large")]
    Integer,
    #[error("a text in a block of headers is no Huffman code")]
    Huffman,
    #[error("a number stands for no header")]
    Index,
    #[error("the table of headers is made larger than what we said")]
    TableSize,
    #[error("the table of headers is resized after the beginning of a block")]
    LateResize,
}

/// What a first byte says.
enum Form {
    Indexed,
    /// A literal, to be kept.
    Kept,
    /// A literal, not to be kept.
    Passing,
    Resize,
}

/// The name of a literal.
enum Named<'b> {
    Known(Name),
    New(Cow<'b, [u8]>),
}

impl Decoder {
    /// For a peer that was told it may use a table of `max_table` bytes. Until it has heard that it
    /// may use [`TABLE_DEFAULT`], so there is none that may be smaller.
    pub fn new(max_table: usize) -> Self {
        Self { table: Table::default(), max_table: max_table.max(TABLE_DEFAULT) }
    }

    /// Tells `each` header, name and value, of a list of at most `limit` bytes as RFC 9113 counts
    /// them (6.5.2), and keeps what is to be kept.
    ///
    /// # Errors
    ///
    /// [`HpackError::TooLong`] after the first so many headers were told. After any other the link
    /// has to end.
    pub fn decode(
        &mut self,
        block: &[u8],
        limit: usize,
        each: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), HpackError> {
        let (mut rest, mut begun, mut left) = (block, false, Some(limit));
        while let Some(form) = rest.first().copied().map(Form::of) {
            let mut tell = |name: &[u8], value: &[u8]| {
                left = left.and_then(|left| left.checked_sub(name.len() + value.len() + OVERHEAD));
                if left.is_some() {
                    each(name, value);
                }
            };
            match form {
                Form::Indexed => self.indexed(&mut rest, tell)?,
                Form::Kept => {
                    let (name, value) = self.literal(&mut rest, 6)?;
                    tell(name.bytes(), &value);
                    self.table.insert(name.keep(), &value);
                }
                Form::Passing => {
                    let (name, value) = self.literal(&mut rest, 4)?;
                    tell(name.bytes(), &value);
                }
                Form::Resize if begun => return Err(HpackError::LateResize),
                Form::Resize => {
                    self.resize(&mut rest)?;
                    continue;
                }
            }
            begun = true;
        }
        left.map(drop).ok_or(HpackError::TooLong)
    }

    /// Reads a block that nobody wants.
    ///
    /// # Errors
    ///
    /// When the link has to end.
    pub fn skip(&mut self, block: &[u8]) -> Result<(), HpackError> {
        match self.decode(block, 0, &mut |_, _| {}) {
            Ok(()) | Err(HpackError::TooLong) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn indexed(&self, rest: &mut &[u8], tell: impl FnOnce(&[u8], &[u8])) -> Result<(), HpackError> {
        let index = integer::read(rest, 7)?;
        let (name, value) = self.table.header(index).ok_or(HpackError::Index)?;
        tell(name.bytes(), value);
        Ok(())
    }

    fn literal<'b>(
        &self,
        rest: &mut &'b [u8],
        prefix: u32,
    ) -> Result<(Named<'b>, Cow<'b, [u8]>), HpackError> {
        let name = match integer::read(rest, prefix)? {
            0 => Named::New(text(rest)?),
            index => Named::Known(self.table.header(index).ok_or(HpackError::Index)?.0),
        };
        Ok((name, text(rest)?))
    }

    fn resize(&mut self, rest: &mut &[u8]) -> Result<(), HpackError> {
        let max = integer::read(rest, 5)?;
        if self.max_table < max {
            return Err(HpackError::TableSize);
        }
        self.table.resize(max);
        Ok(())
    }
}

impl Form {
    const fn of(first: u8) -> Self {
        match first {
            0x80.. => Self::Indexed,
            0x40.. => Self::Kept,
            0x20.. => Self::Resize,
            _ => Self::Passing,
        }
    }
}

impl Named<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Known(name) => name.bytes(),
            Self::New(name) => name,
        }
    }

    fn keep(self) -> Name {
        match self {
            Self::Known(name) => name,
            Self::New(name) => Name::from(&*name),
        }
    }
}

impl HpackError {
    /// Whether the table is lost, and the link with it.
    pub const fn is_link_fault(&self) -> bool {
        !matches!(self, Self::TooLong)
    }
}

/// Reads a name or a value, and moves `from` past it.
fn text<'b>(from: &mut &'b [u8]) -> Result<Cow<'b, [u8]>, HpackError> {
    let is_huffman = from.first().is_some_and(|first| first & 0x80 != 0);
    let length = integer::read(from, 7)?;
    let (text, rest) = from.split_at_checked(length).ok_or(HpackError::Truncated)?;
    *from = rest;
    if !is_huffman {
        return Ok(Cow::Borrowed(text));
    }
    let mut plain = Vec::new();
    huffman::decode(text, &mut plain)?;
    Ok(Cow::Owned(plain))
}
