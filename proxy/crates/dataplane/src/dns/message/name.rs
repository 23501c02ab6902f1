//! Names as they are on the wire, and as hosts are written.
use super::Malformed;
use std::{fmt, hash};

/// Bytes of the longest name, root included.
const NAME_MAX: usize = 255;

/// Bytes of the longest label.
const LABEL_MAX: usize = 63;

/// The two upper bits of a length that is a pointer instead.
const POINTER: u8 = 0xc0;

/// A name as labels, each after its length, up to the empty one.
///
/// Never longer than 255 bytes. Keeps the letters' case; compares without it.
#[derive(Clone)]
pub struct Name(Box<[u8]>);

impl Name {
    /// The uncompressed name that starts `bytes`; how a question's name is written.
    ///
    /// # Errors
    ///
    /// When it does not end within `bytes` or 255 bytes, or has a pointer.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut end = 0;
        loop {
            let length = *bytes.get(end).ok_or(Malformed)?;
            if length & POINTER != 0 {
                return Err(Malformed);
            }
            end += 1 + usize::from(length);
            if NAME_MAX < end {
                return Err(Malformed);
            }
            if length == 0 {
                return bytes.get(..end).map(|name| Self(name.into())).ok_or(Malformed);
            }
        }
    }

    /// The name of `host`, a dot at its end or not.
    ///
    /// # Errors
    ///
    /// When it is too long, or has a label that is empty or too long.
    pub fn from_host(host: &str) -> Result<Self, Malformed> {
        let mut name = Vec::with_capacity(host.len() + 2);
        let host = host.strip_suffix('.').unwrap_or(host);
        for label in host.split('.').filter(|_| !host.is_empty()) {
            match u8::try_from(label.len()) {
                Ok(length) if 0 < length && label.len() <= LABEL_MAX => name.push(length),
                _ => return Err(Malformed),
            }
            name.extend_from_slice(label.as_bytes());
        }
        name.push(0);
        if NAME_MAX < name.len() { Err(Malformed) } else { Ok(Self(name.into())) }
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest: &[u8] = &self.0;
        std::iter::from_fn(move || {
            let (&length, after) = rest.split_first().filter(|(length, _)| **length != 0)?;
            let (label, after) = after.split_at_checked(usize::from(length))?;
            rest = after;
            Some(label)
        })
    }

    /// In lower case and with dots between labels, as services are called; `None` when it can be
    /// no service's: the root, or a label has anything but letters, digits, `-`, `_` and `*`.
    pub fn host(&self) -> Option<String> {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_*".contains(byte);
        let mut host = String::with_capacity(self.0.len());
        for label in self.labels() {
            if !label.iter().all(is_plain) {
                return None;
            }
            if !host.is_empty() {
                host.push('.');
            }
            host.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
        }
        if host.is_empty() { None } else { Some(host) }
    }

    /// The name of its first `count` labels; all of it when it has no more.
    #[must_use]
    pub fn first_labels(&self, count: usize) -> Self {
        let mut name = Vec::with_capacity(self.0.len());
        for label in self.labels().take(count) {
            // As long as it was.
            name.push(u8::try_from(label.len()).unwrap_or_default());
            name.extend_from_slice(label);
        }
        name.push(0);
        Self(name.into())
    }

    /// In lower case, for what is looked up by it.
    #[must_use]
    pub fn lowercase(&self) -> Self {
        // Lengths are below the letters.
        Self(self.0.to_ascii_lowercase().into())
    }
}

/// Where the name at `at` ends, compressed or not: what is read over is not looked at.
pub(crate) fn skip(bytes: &[u8], mut at: usize) -> Result<usize, Malformed> {
    loop {
        let length = *bytes.get(at).ok_or(Malformed)?;
        at += 1;
        match length & POINTER {
            0 if length == 0 => return Ok(at),
            0 => at += usize::from(length),
            POINTER if at < bytes.len() => return Ok(at + 1),
            _ => return Err(Malformed),
        }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Name {}

impl hash::Hash for Name {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        for byte in &self.0 {
            state.write_u8(byte.to_ascii_lowercase());
        }
    }
}

/// As a person writes it; what is no letter, digit or sign of ASCII as its number.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() <= 1 {
            return f.write_str(".");
        }
        for label in self.labels() {
            for byte in label {
                match byte {
                    b'.' | b'\\' => write!(f, "\\{}", char::from(*byte))?,
                    byte if byte.is_ascii_graphic() => write!(f, "{}", char::from(*byte))?,
                    byte => write!(f, "\\{byte:03}")?,
                }
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::{
        rr,
        serialize::binary::{BinDecodable as _, BinEncodable as _},
    };
    use proptest::prelude::*;

    #[test]
    fn hosts_and_names() {
        let name = Name::from_host("Web.Shop.svc.cluster.local").unwrap();
        assert_eq!(name.host().unwrap(), "web.shop.svc.cluster.local");
        assert_eq!(name.to_string(), "Web.Shop.svc.cluster.local.");
        assert_eq!(name, Name::from_host("web.shop.SVC.cluster.local.").unwrap());
        assert_eq!(name.first_labels(2), Name::from_host("web.shop").unwrap());
        assert_eq!(name.first_labels(9), name);
        let root = Name::from_host("").unwrap();
        assert_eq!((root.host(), root.to_string(), root.as_bytes()), (None, ".".into(), &[0][..]));
        assert!(Name::from_host("a..b").is_err());
        assert!(Name::from_host(&"a".repeat(64)).is_err());
        assert!(Name::from_host(&["a"; 128].join(".")).is_err());
    }

    #[test]
    fn a_dot_within_a_label_is_no_dot_between_labels() {
        let name = Name::parse(b"\x03a.b\x00").unwrap();
        assert_eq!((name.host(), name.to_string()), (None, "a\\.b.".into()));
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_others_read(bytes in prop::collection::vec(prop_oneof![Just(0_u8), 1..5_u8, any::<u8>()], 0..300)) {
            if let Ok(name) = Name::parse(&bytes) {
                let theirs = rr::Name::from_bytes(&bytes).unwrap();
                prop_assert_eq!(theirs.to_bytes().unwrap(), name.as_bytes());
                prop_assert_eq!(skip(&bytes, 0).unwrap(), name.as_bytes().len());
            }
        }

        #[test]
        fn hosts_come_back(host in "[a-z0-9-]{1,20}(\\.[a-z0-9_-]{1,20}){0,6}") {
            prop_assert_eq!(Name::from_host(&host).unwrap().host().unwrap(), host);
        }
    }
}
