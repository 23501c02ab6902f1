//! A message's fields as they are on the wire, for who looks at parts of it only.
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// One field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    pub number: u32,
    /// With its key.
    pub whole: &'a [u8],
    /// What is inside of a message, a string or bytes.
    pub inside: Option<&'a [u8]>,
}

/// The fields of the message that `bytes` are, in their order; `None` when they are none.
#[must_use]
pub fn of(bytes: &[u8]) -> Option<Vec<Field<'_>>> {
    let mut fields = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let before = rest;
        let (number, kind) = decode_key(&mut rest).ok()?;
        let inside = if kind == WireType::LengthDelimited {
            let length = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
            let (inside, after) = rest.split_at_checked(length)?;
            rest = after;
            Some(inside)
        } else {
            skip_field(kind, number, &mut rest, DecodeContext::default()).ok()?;
            None
        };
        let whole = before.get(..before.len() - rest.len())?;
        fields.push(Field { number, whole, inside });
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;

    #[test]
    fn fields_come_one_by_one() {
        let any = prost_types::Any { type_url: "t".to_owned(), value: vec![7, 8] };
        let bytes = any.encode_to_vec();
        let fields = of(&bytes).unwrap();
        let numbers: Vec<_> = fields.iter().map(|field| field.number).collect();
        assert_eq!(numbers, [1, 2]);
        assert_eq!(fields[1].inside, Some(&[7, 8][..]));
        assert_eq!(of(&bytes[..bytes.len() - 1]), None);
    }

    #[test]
    fn together_they_are_the_message() {
        // Keys of all kinds and some of none, with whatever follows.
        for first in 0..=u8::MAX {
            for second in [0, 1, 3, 0x80, 0xff] {
                let bytes = [first, second, 9, 8, 7, 6, 5, 4, 3, 2];
                if let Some(fields) = of(&bytes) {
                    let wholes: Vec<&[u8]> = fields.iter().map(|field| field.whole).collect();
                    assert_eq!(wholes.concat(), bytes);
                }
            }
        }
    }
}
