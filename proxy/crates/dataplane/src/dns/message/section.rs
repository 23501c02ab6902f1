//! The records of a message, read over one by one.
use super::{HEADER, Malformed, name, u16_at, u32_at};

/// Bytes of a question after its name, and of a record after its name up to its data.
const QUESTION_TAIL: usize = 4;
const RECORD_TAIL: usize = 10;

/// Where in a message a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    Answer,
    Authority,
    Additional,
}

/// One record, its data unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub section: Section,
    /// Whether it is the root's, as OPT is.
    pub is_of_root: bool,
    pub kind: u16,
    pub class: u16,
    pub ttl: u32,
    /// Where the time to live is in the message.
    pub ttl_at: usize,
    pub data: &'a [u8],
}

/// The records of a message, one after the other; ends after the first that is malformed.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
    /// How many of each section are left.
    left: [u16; 3],
}

impl<'a> Records<'a> {
    /// Of a message whose questions have been read over.
    ///
    /// # Errors
    ///
    /// When the message ends before its header or questions do.
    pub fn of(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut at = HEADER;
        for _ in 0..u16_at(bytes, 4)? {
            at = name::skip(bytes, at)? + QUESTION_TAIL;
        }
        let left = [u16_at(bytes, 6)?, u16_at(bytes, 8)?, u16_at(bytes, 10)?];
        if bytes.len() < at { Err(Malformed) } else { Ok(Self { bytes, at, left }) }
    }

    fn read(&mut self, section: Section) -> Result<Record<'a>, Malformed> {
        let bytes = self.bytes;
        let is_of_root = bytes.get(self.at) == Some(&0);
        let tail = name::skip(bytes, self.at)?;
        let ttl_at = tail + 4;
        let data = tail + RECORD_TAIL;
        let end = data + usize::from(u16_at(bytes, tail + 8)?);
        let record = Record {
            section,
            is_of_root,
            kind: u16_at(bytes, tail)?,
            class: u16_at(bytes, tail + 2)?,
            ttl: u32_at(bytes, ttl_at)?,
            ttl_at,
            data: bytes.get(data..end).ok_or(Malformed)?,
        };
        self.at = end;
        Ok(record)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let sections = [Section::Answer, Section::Authority, Section::Additional];
        let (left, section) = self.left.iter_mut().zip(sections).find(|(left, _)| 0 < **left)?;
        *left -= 1;
        let record = self.read(section);
        if record.is_err() {
            self.left = [0; 3];
        }
        Some(record)
    }
}
