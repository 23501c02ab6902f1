//! The headers that a number stands for: some for all, and those that were sent lately.
use super::{OVERHEAD, TABLE_DEFAULT};
use std::{collections::VecDeque, sync::Arc};

/// Those that every link has (RFC 7541, appendix A); the first has the number 1.
pub(super) const STATIC: [(&[u8], &[u8]); 61] = [
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"304"),
    (b":status", b"400"),
    (b":status", b"404"),
    (b":status", b"500"),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept-language", b""),
    (b"accept-ranges", b""),
    (b"accept", b""),
    (b"access-control-allow-origin", b""),
    (b"age", b""),
    (b"allow", b""),
    (b"authorization", b""),
    (b"cache-control", b""),
    (b"content-disposition", b""),
    (b"content-encoding", b""),
    (b"content-language", b""),
    (b"content-length", b""),
    (b"content-location", b""),
    (b"content-range", b""),
    (b"content-type", b""),
    (b"cookie", b""),
    (b"date", b""),
    (b"etag", b""),
    (b"expect", b""),
    (b"expires", b""),
    (b"from", b""),
    (b"host", b""),
    (b"if-match", b""),
    (b"if-modified-since", b""),
    (b"if-none-match", b""),
    (b"if-range", b""),
    (b"if-unmodified-since", b""),
    (b"last-modified", b""),
    (b"link", b""),
    (b"location", b""),
    (b"max-forwards", b""),
    (b"proxy-authenticate", b""),
    (b"proxy-authorization", b""),
    (b"range", b""),
    (b"referer", b""),
    (b"refresh", b""),
    (b"retry-after", b""),
    (b"server", b""),
    (b"set-cookie", b""),
    (b"strict-transport-security", b""),
    (b"transfer-encoding", b""),
    (b"user-agent", b""),
    (b"vary", b""),
    (b"via", b""),
    (b"www-authenticate", b""),
];

/// One end's table of what was sent lately; the newest is the first.
#[derive(Debug)]
pub(super) struct Table {
    entries: VecDeque<Entry>,
    size: usize,
    max: usize,
}

#[derive(Debug)]
struct Entry {
    name: Name,
    value: Box<[u8]>,
}

/// A name, which may be that of an older entry: a reference to one must cost nothing, however long
/// it is.
#[derive(Clone, Debug)]
pub(super) enum Name {
    Static(&'static [u8]),
    Sent(Arc<[u8]>),
}

/// What stands for a header in what was sent before.
#[derive(Clone, Debug)]
pub(super) enum Found {
    Whole(usize),
    Name(usize, Name),
    Nothing,
}

impl Default for Table {
    fn default() -> Self {
        Self { entries: VecDeque::new(), size: 0, max: TABLE_DEFAULT }
    }
}

impl Table {
    /// What `index` stands for.
    pub(super) fn header(&self, index: usize) -> Option<(Name, &[u8])> {
        let index = index.checked_sub(1)?;
        if let Some((name, value)) = STATIC.get(index) {
            return Some((Name::Static(name), value));
        }
        let entry = self.entries.get(index - STATIC.len())?;
        Some((entry.name.clone(), &entry.value))
    }

    /// The number that stands for a header, or for its name.
    pub(super) fn find(&self, name: &[u8], value: &[u8]) -> Found {
        let mut found = Found::Nothing;
        // Those that were sent are few, and are what is sent again.
        for (entry, index) in self.entries.iter().zip(1 + STATIC.len()..) {
            if entry.name.bytes() == name {
                if *entry.value == *value {
                    return Found::Whole(index);
                }
                found = Found::Name(index, entry.name.clone());
            }
        }
        for (known, index) in STATIC.iter().zip(1..) {
            if known.0 == name {
                if known.1 == value {
                    return Found::Whole(index);
                }
                // By a name that everybody has nothing sent has to be kept.
                if !matches!(found, Found::Name(_, Name::Static(_))) {
                    found = Found::Name(index, Name::Static(known.0));
                }
            }
        }
        found
    }

    /// Adds a header. One that is larger than the table leaves it empty.
    pub(super) fn insert(&mut self, name: Name, value: &[u8]) {
        let size = name.bytes().len() + value.len() + OVERHEAD;
        self.evict_to(self.max.saturating_sub(size));
        if size <= self.max {
            self.size += size;
            self.entries.push_front(Entry { name, value: value.into() });
        }
    }

    /// Sets how large it may be.
    pub(super) fn resize(&mut self, max: usize) {
        self.max = max;
        self.evict_to(max);
    }

    pub(super) const fn max(&self) -> usize {
        self.max
    }

    fn evict_to(&mut self, size: usize) {
        while size < self.size {
            let Some(oldest) = self.entries.pop_back() else { return };
            self.size -= oldest.name.bytes().len() + oldest.value.len() + OVERHEAD;
        }
    }
}

impl Name {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Static(name) => name,
            Self::Sent(name) => name,
        }
    }
}

impl From<&[u8]> for Name {
    fn from(name: &[u8]) -> Self {
        Self::Sent(name.into())
    }
}
