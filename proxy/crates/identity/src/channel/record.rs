//! What a record of TLS 1.3 looks like (RFC 8446 §5).

/// Bytes before the content: type, version, length.
pub const HEADER: usize = 5;

/// Bytes after it: the true type, and the tag.
pub const TRAILER: usize = 1 + TAG;

/// How much content a record can have.
pub const PLAIN_MAX: usize = 1 << 14;

/// A whole record with as much content as it can have, and no padding.
pub const RECORD_MAX: usize = HEADER + PLAIN_MAX + TRAILER;

pub(super) const TAG: usize = 16;

/// How long a record may be after its header.
pub(super) const SEALED_MAX: usize = PLAIN_MAX + 256;

/// The types that are spoken after the handshake.
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const DATA: u8 = 23;

/// Messages of a handshake that come after it.
pub(super) const NEW_SESSION_TICKET: u8 = 4;
pub(super) const KEY_UPDATE: u8 = 24;

/// The header of a sealed record; what is authenticated with it.
pub(super) fn header(sealed: usize) -> [u8; HEADER] {
    debug_assert!(sealed <= SEALED_MAX, "{sealed}");
    let [.., high, low] = sealed.to_be_bytes();
    [DATA, 3, 3, high, low]
}

/// How long the record is that begins with `bytes`, its header included; `None`: more is needed.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let &[_, _, _, high, low, ..] = bytes else { return None };
    Some(HEADER + usize::from(u16::from_be_bytes([high, low])))
}

/// Whether `bytes` can begin a record, of a handshake too: by its type and version.
pub(super) fn is_one(bytes: &[u8]) -> bool {
    matches!(bytes, [20..=DATA, 3, ..] | [20..=DATA] | [])
}

/// The nonce of the record of that number.
pub(super) fn nonce(iv: &[u8; 12], number: u64) -> [u8; 12] {
    let mut nonce = *iv;
    for (byte, part) in nonce[4..].iter_mut().zip(number.to_be_bytes()) {
        *byte ^= part;
    }
    nonce
}
