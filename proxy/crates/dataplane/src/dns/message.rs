//! DNS messages as bytes (RFC 1035, 6891): enough to see what is asked, to answer with addresses,
//! and to keep what others answered. What is only passed on is never written anew.
//!
//! Pure; whatever the bytes are, nothing here panics.
pub mod name;
pub mod query;
pub mod reply;
pub mod section;
pub mod write;

/// Bytes before the question.
pub const HEADER: usize = 12;

/// Nothing larger fits in a datagram unless the asker says so (RFC 1035, 4.2.1).
pub const UDP_MIN: u16 = 512;

/// Record types that mean something here.
pub mod kind {
    pub const A: u16 = 1;
    pub const CNAME: u16 = 5;
    pub const SOA: u16 = 6;
    pub const AAAA: u16 = 28;
    pub const OPT: u16 = 41;
    pub const IXFR: u16 = 251;
    pub const AXFR: u16 = 252;
}

/// The class of everything on the internet.
pub const INTERNET: u16 = 1;

/// Bits of a header's second word, and of an OPT record's flags.
pub mod flag {
    pub const RESPONSE: u16 = 1 << 15;
    pub const OPCODE: u16 = 0xf << 11;
    pub const AUTHORITATIVE: u16 = 1 << 10;
    pub const TRUNCATED: u16 = 1 << 9;
    pub const RECURSION_DESIRED: u16 = 1 << 8;
    pub const RECURSION_AVAILABLE: u16 = 1 << 7;
    pub const AUTHENTIC: u16 = 1 << 5;
    pub const CHECKING_DISABLED: u16 = 1 << 4;
    pub const RCODE: u16 = 0xf;
    /// Of an OPT record.
    pub const DNSSEC_OK: u16 = 1 << 15;
}

/// How a question was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rcode(pub u16);

/// The bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed DNS message")]
pub struct Malformed;

impl Rcode {
    pub const NO_ERROR: Self = Self(0);
    pub const FORM_ERR: Self = Self(1);
    pub const SERV_FAIL: Self = Self(2);
    pub const NX_DOMAIN: Self = Self(3);
    pub const NOT_IMP: Self = Self(4);
    pub const REFUSED: Self = Self(5);
    /// The version of EDNS is not known; its upper bits are in the OPT record.
    pub const BAD_VERS: Self = Self(16);

    pub(crate) const fn of(flags: u16) -> Self {
        Self(flags & flag::RCODE)
    }
}

/// The 16 bits at `at`.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Malformed> {
    let bytes = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(Malformed)?;
    Ok(u16::from_be_bytes(*bytes))
}

/// The 32 bits at `at`.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Result<u32, Malformed> {
    let bytes = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(Malformed)?;
    Ok(u32::from_be_bytes(*bytes))
}

/// Overwrites what is at `at`, if all of it is there.
pub(crate) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    let place = at.checked_add(value.len()).and_then(|end| bytes.get_mut(at..end));
    if let Some(place) = place {
        place.copy_from_slice(value);
    }
}
