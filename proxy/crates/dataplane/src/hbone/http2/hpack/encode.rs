//! Blocks that are sent.
use super::{
    OVERHEAD, TABLE_DEFAULT, integer,
    table::{Found, Name, Table},
};
use crate::hbone::http2::settings::Settings;

/// What is another in every request of a link, so that it is not worth a place.
const PASSING: [&[u8]; 2] = [b"forwarded", b"traceparent"];

/// What must not be kept by anybody on the way (RFC 7541, 7.1.3).
const SECRET: [&[u8]; 4] = [b"authorization", b"cookie", b"proxy-authorization", b"set-cookie"];

const KEPT: Literal = Literal { first: 0x40, prefix: 6 };
const PASSES: Literal = Literal { first: 0, prefix: 4 };
const NEVER_KEPT: Literal = Literal { first: 0x10, prefix: 4 };

/// How a header is written out: the bits it begins with, and how many are left for its name.
#[derive(Clone, Copy, Debug)]
struct Literal {
    first: u8,
    prefix: u32,
}

/// Writes the blocks of one direction of a link, which have to be sent in the order in which they
/// were written.
///
/// A link says the same things over and over: from the second time on that is a byte for each.
#[derive(Debug, Default)]
pub struct Encoder {
    table: Table,
    /// How small the table had to be since the last block.
    resized: Option<usize>,
}

impl Encoder {
    /// Keeps to what the peer says of its table.
    pub fn apply(&mut self, settings: &Settings) {
        let Some(size) = settings.header_table_size else { return };
        let max = usize::try_from(size).unwrap_or(usize::MAX).min(TABLE_DEFAULT);
        if max != self.table.max() {
            self.resized = Some(self.resized.map_or(max, |least| least.min(max)));
            self.table.resize(max);
        }
    }

    /// Appends a header to a block.
    pub fn encode(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        if SECRET.contains(&name) {
            return self.encode_secret(name, value, out);
        }
        self.tell_size(out);
        let found = self.table.find(name, value);
        match found {
            Found::Whole(index) => integer::write(index, 7, 0x80, out),
            Found::Name(..) | Found::Nothing if !self.is_kept(name, value) => {
                PASSES.write(name, &found, value, out);
            }
            Found::Name(_, ref known) => {
                KEPT.write(name, &found, value, out);
                self.table.insert(known.clone(), value);
            }
            Found::Nothing => {
                KEPT.write(name, &found, value, out);
                self.table.insert(Name::from(name), value);
            }
        }
    }

    /// Appends one that must not be kept by anybody on the way.
    pub fn encode_secret(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        self.tell_size(out);
        let found = self.table.find(name, value);
        NEVER_KEPT.write(name, &found, value, out);
    }

    /// A block begins with how large the table has become, if that is new.
    fn tell_size(&mut self, out: &mut Vec<u8>) {
        if let Some(least) = self.resized.take() {
            if least < self.table.max() {
                integer::write(least, 5, 0x20, out);
            }
            integer::write(self.table.max(), 5, 0x20, out);
        }
    }

    /// Whether it may be said again, and does not push out everything else.
    fn is_kept(&self, name: &[u8], value: &[u8]) -> bool {
        !PASSING.contains(&name) && name.len() + value.len() + OVERHEAD <= self.table.max() / 2
    }
}

impl Literal {
    /// Appends a header of which at most the name was found.
    fn write(self, name: &[u8], found: &Found, value: &[u8], out: &mut Vec<u8>) {
        let Self { first, prefix } = self;
        match *found {
            Found::Whole(index) | Found::Name(index, _) => {
                integer::write(index, prefix, first, out);
            }
            Found::Nothing => {
                out.push(first);
                text(name, out);
            }
        }
        text(value, out);
    }
}

fn text(text: &[u8], out: &mut Vec<u8>) {
    integer::write(text.len(), 7, 0, out);
    out.extend_from_slice(text);
}
