//! Integers that begin within a byte (RFC 7541, 5.1).
use super::decode::HpackError;

/// How many bytes may follow the first. Five hold 35 bits, more than any number here needs.
const MORE_MAX: u32 = 5;

/// Reads an integer whose first byte has `prefix` bits of it, and moves `from` past it.
pub(super) fn read(from: &mut &[u8], prefix: u32) -> Result<usize, HpackError> {
    let mask = (1_u8 << prefix) - 1;
    let first = byte(from)? & mask;
    if first < mask {
        return Ok(usize::from(first));
    }
    let mut value = u64::from(mask);
    for more in 0..MORE_MAX {
        let byte = byte(from)?;
        value += u64::from(byte & 0x7f) << (7 * more);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).map_err(|_large| HpackError::Integer)?;
            return usize::try_from(value).map_err(|_large| HpackError::Integer);
        }
    }
    Err(HpackError::Integer)
}

/// Appends an integer whose first byte begins with the bits of `first`.
pub(super) fn write(value: usize, prefix: u32, first: u8, out: &mut Vec<u8>) {
    let mask = (1_u8 << prefix) - 1;
    match u8::try_from(value) {
        Ok(small) if small < mask => return out.push(first | small),
        Ok(_) | Err(_) => out.push(first | mask),
    }
    let mut rest = value - usize::from(mask);
    while 0x80 <= rest {
        out.push(0x80 | low(rest));
        rest >>= 7;
    }
    out.push(low(rest));
}

/// The last seven bits.
fn low(value: usize) -> u8 {
    u8::try_from(value & 0x7f).unwrap_or_default()
}

fn byte(from: &mut &[u8]) -> Result<u8, HpackError> {
    let (&first, rest) = from.split_first().ok_or(HpackError::Truncated)?;
    *from = rest;
    Ok(first)
}
