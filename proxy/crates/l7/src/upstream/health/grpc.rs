//! The messages of `grpc.health.v1`, which are too small to be worth generating.
use bytes::{BufMut as _, Bytes, BytesMut};

/// Where a service is asked.
pub(super) const PATH: &str = "/grpc.health.v1.Health/Check";

const SERVING: u64 = 1;

/// `HealthCheckRequest`, in its frame.
pub(super) fn request(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(1 << 3 | 2);
        put_varint(&mut message, service.len() as u64);
        message.put_slice(service.as_bytes());
    }
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.extend(message);
    frame.freeze()
}

/// Whether the frame of a `HealthCheckResponse` says that the service serves.
pub(super) fn serves(frame: &[u8]) -> bool {
    let Some((&[flags, a, b, c, d], message)) = frame.split_first_chunk() else { return false };
    let length = u32::from_be_bytes([a, b, c, d]);
    flags == 0 && u32::try_from(message.len()) == Ok(length) && status(message) == Some(SERVING)
}

/// The last value of the first field; 0 without any.
fn status(mut message: &[u8]) -> Option<u64> {
    let mut status = 0;
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        match (tag >> 3, tag & 7) {
            (1, 0) => status = varint(&mut message)?,
            (_, 0) => {
                varint(&mut message)?;
            }
            (_, 1) => message = message.get(8..)?,
            (_, 2) => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            (_, 5) => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.put_u8(value.to_le_bytes()[0]);
}

fn varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{request, serves};
    use proptest::prelude::*;

    #[test]
    fn messages_are_as_the_protocol_has_them() {
        assert_eq!(request("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(request("abc")[..], *b"\0\0\0\0\x05\x0a\x03abc");
        assert_eq!(request(&"a".repeat(200))[5..8], [0x0a, 0xc8, 1]);
        assert!(serves(&[0, 0, 0, 0, 2, 8, 1]));
        assert!(!serves(&[0, 0, 0, 0, 2, 8, 2]), "NOT_SERVING");
        assert!(!serves(&[0, 0, 0, 0, 0]), "UNKNOWN");
        assert!(!serves(&[1, 0, 0, 0, 2, 8, 1]), "compressed");
        assert!(serves(&[0, 0, 0, 0, 6, 0x12, 2, b'h', b'i', 8, 1]), "with what comes later");
    }

    proptest! {
        #[test]
        fn whatever_is_answered_does_no_harm(bytes: Vec<u8>) {
            let _either = serves(&bytes);
        }
    }
}
