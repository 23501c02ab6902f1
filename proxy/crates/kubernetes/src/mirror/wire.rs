//! Answers of the API server: pages of a list, lines of a watch.
use crate::{
    fault::{Fault, Status},
    trim::{Trim, Trimmed},
};
use bytes::{Buf as _, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;

/// A longer line of a watch is no object: etcd keeps none of more than some MiB.
const MAX_LINE: usize = 32 << 20;

/// A part of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) items: Vec<Trimmed>,
    pub(super) resource_version: String,
    /// Where the next part begins.
    pub(super) next: Option<String>,
}

/// Something that happened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// It is there, as it is now.
    Applied(Trimmed),
    /// It was.
    Deleted(Trimmed),
    /// Nothing, up to here.
    Bookmark(String),
    /// The watch ends.
    Ended(Fault),
}

/// Bytes of a watch, of which lines are made.
#[derive(Debug, Default)]
pub(super) struct Lines {
    bytes: BytesMut,
    /// There is no end of a line before here.
    searched: usize,
}

#[derive(Deserialize)]
struct RawPage<'a> {
    #[serde(default)]
    metadata: PageMeta,
    /// As Go writes an empty list, too.
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PageMeta {
    resource_version: String,
    #[serde(rename = "continue")]
    next: String,
}

#[derive(Deserialize)]
struct RawLine<'a> {
    #[serde(rename = "type")]
    what: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Versioned {
    metadata: PageMeta,
}

/// Reads a part of a list.
pub(super) fn page(bytes: &[u8], trim: &Trim, api_version: &str) -> Result<Page, Fault> {
    let RawPage { metadata, items } =
        serde_json::from_slice(bytes).map_err(|error| garbled(&error))?;
    if metadata.resource_version.is_empty() {
        return Err(Fault::Garbled("a list without a resourceVersion".to_owned()));
    }
    let items = items.unwrap_or_default().into_iter();
    let items = items.map(|raw| trim.object(api_version, raw)).collect::<Result<_, _>>();
    let next = Some(metadata.next).filter(|next| !next.is_empty());
    Ok(Page {
        items: items.map_err(|error| garbled(&error))?,
        resource_version: metadata.resource_version,
        next,
    })
}

/// Reads a line of a watch.
pub(super) fn line(bytes: &[u8], trim: &Trim, api_version: &str) -> Result<Line, Fault> {
    let RawLine { what, object } =
        serde_json::from_slice(bytes).map_err(|error| garbled(&error))?;
    match what {
        "ADDED" | "MODIFIED" => {
            trim.object(api_version, object).map(Line::Applied).map_err(|error| garbled(&error))
        }
        "DELETED" => {
            trim.object(api_version, object).map(Line::Deleted).map_err(|error| garbled(&error))
        }
        "BOOKMARK" => {
            let Versioned { metadata } =
                serde_json::from_str(object.get()).map_err(|error| garbled(&error))?;
            Ok(Line::Bookmark(metadata.resource_version))
        }
        "ERROR" => {
            let status: Status =
                serde_json::from_str(object.get()).map_err(|error| garbled(&error))?;
            Ok(Line::Ended(status.into()))
        }
        other => Err(Fault::Garbled(format!("an event of type {other}"))),
    }
}

fn garbled(error: &serde_json::Error) -> Fault {
    Fault::Garbled(error.to_string())
}

impl Lines {
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if self.bytes.len() + bytes.len() > MAX_LINE {
            return Err(Fault::Garbled(format!("a line of more than {MAX_LINE} bytes")));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// The next whole line; what a stream ends with that is none will come again.
    pub(super) fn next(&mut self) -> Option<BytesMut> {
        loop {
            let rest = self.bytes.get(self.searched..)?;
            let Some(end) = rest.iter().position(|&byte| byte == b'\n') else {
                self.searched = self.bytes.len();
                return None;
            };
            let line = self.bytes.split_to(self.searched + end);
            self.bytes.advance(1);
            self.searched = 0;
            if !line.is_empty() {
                return Some(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;
    use proptest::prelude::*;

    fn trim() -> Trim {
        Trim::new(&Kind::built_in("", &["v1"], "Pod", "pods", &["spec.nodeName"]))
    }

    #[test]
    fn a_page_says_where_the_next_begins() {
        let bytes = br#"{"kind":"PodList","metadata":{"resourceVersion":"7","continue":"abc"},
            "items":[{"metadata":{"name":"a","namespace":"b","resourceVersion":"3",
            "managedFields":[{}]},"spec":{"nodeName":"n","containers":[]},"status":{}}]}"#;
        let page = page(bytes, &trim(), "v1").unwrap();
        assert_eq!((page.resource_version.as_str(), page.next.as_deref()), ("7", Some("abc")));
        assert_eq!(page.items[0].resource_version, "3");
        assert_eq!(
            page.items[0].json.as_deref(),
            Ok(
                r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"b"},"spec":{"nodeName":"n"}}"#
            )
        );
    }

    #[test]
    fn an_empty_list_may_be_null_and_what_is_no_list_is_none() {
        let empty = page(br#"{"metadata":{"resourceVersion":"7"},"items":null}"#, &trim(), "v1");
        assert_eq!(empty.unwrap().items, []);
        for bad in [&b"{}"[..], b"[]", b"", b"<html>", b"{\"metadata\":{}}"] {
            assert!(page(bad, &trim(), "v1").is_err());
        }
    }

    #[test]
    fn lines_say_what_happened() {
        let read = |text: &str| line(text.as_bytes(), &trim(), "v1");
        let bookmark = r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}"#;
        assert_eq!(read(bookmark), Ok(Line::Bookmark("9".to_owned())));
        let gone = r#"{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}}"#;
        let Ok(Line::Ended(fault)) = read(gone) else { panic!("not the end") };
        assert!(fault.is_gone());
        assert!(read(r#"{"type":"NEW","object":{}}"#).is_err());
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_they_are_cut(
            lines in prop::collection::vec("[a-z]{1,20}", 0..20),
            cuts in prop::collection::vec(1..9_usize, 1..50),
        ) {
            let mut text = lines.join("\n");
            text.push_str("\nunfinished");
            let (mut made, mut bytes, mut cuts) = (Lines::default(), text.as_bytes(), cuts.iter().cycle());
            let mut read = Vec::new();
            while !bytes.is_empty() {
                let (now, later) = bytes.split_at(bytes.len().min(*cuts.next().unwrap()));
                made.push(now).unwrap();
                read.extend(std::iter::from_fn(|| made.next()));
                bytes = later;
            }
            let read: Vec<_> = read.iter().map(|line| str::from_utf8(line).unwrap()).collect();
            prop_assert_eq!(read, lines);
        }
    }
}
