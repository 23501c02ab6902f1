//! One way to write a message: the same bytes for the same message, each time.
//!
//! Maps have no order, so that a message with some is written differently every time; and what
//! is compared by its bytes must not be.
use crate::descriptors;
use prost_reflect::{FieldDescriptor, MessageDescriptor};
use std::collections::BTreeMap;

/// Where `Any` is in the API.
const ANY: &str = "google.protobuf.Any";

/// A field off the wire.
struct Field<'a> {
    number: u32,
    /// With its tag.
    whole: &'a [u8],
    /// Of a field with a length, what that is the length of.
    payload: Option<&'a [u8]>,
}

/// Writes `bytes`, which are a message of that (full) name, with maps last and in the order of
/// their keys; entries whose key is `without` are left out, wherever they are.
///
/// What is not understood stays as it is.
#[must_use]
pub fn canonical(message: &str, bytes: &[u8], without: Option<&str>) -> Vec<u8> {
    match descriptors::message(message) {
        Some(descriptor) => rewrite(&descriptor, bytes, without),
        None => bytes.to_vec(),
    }
}

fn rewrite(descriptor: &MessageDescriptor, bytes: &[u8], without: Option<&str>) -> Vec<u8> {
    if descriptor.full_name() == ANY {
        return any(bytes, without);
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut maps: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::new();
    let mut rest = bytes;
    while let Some(field) = next(&mut rest) {
        let known = descriptor.get_field(field.number);
        let inner = known.as_ref().and_then(inner);
        let (Some(known), Some(inner), Some(payload)) = (known, inner, field.payload) else {
            out.extend_from_slice(field.whole);
            continue;
        };
        if known.is_map() {
            if without.is_some_and(|without| key(payload) == Some(without.as_bytes())) {
                continue;
            }
            let entries = maps.entry(field.number).or_default();
            entries.push(rewrite(&inner, payload, without));
        } else {
            write(&mut out, field.number, &rewrite(&inner, payload, without));
        }
    }
    out.extend_from_slice(rest);
    for (number, mut entries) in maps {
        entries.sort_unstable();
        for entry in entries {
            write(&mut out, number, &entry);
        }
    }
    out
}

fn any(bytes: &[u8], without: Option<&str>) -> Vec<u8> {
    let (mut url, mut value) = (&[][..], &[][..]);
    let mut rest = bytes;
    while let Some(field) = next(&mut rest) {
        match (field.number, field.payload) {
            (1, Some(payload)) => url = payload,
            (2, Some(payload)) => value = payload,
            _ => return bytes.to_vec(),
        }
    }
    let name = std::str::from_utf8(url).unwrap_or_default();
    let mut out = Vec::with_capacity(bytes.len());
    write(&mut out, 1, url);
    write(&mut out, 2, &canonical(name, value, without));
    out
}

/// The message that a field holds.
fn inner(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    field.kind().as_message().cloned()
}

/// The key of an entry of a map, as it is on the wire.
fn key(mut entry: &[u8]) -> Option<&[u8]> {
    while let Some(field) = next(&mut entry) {
        if field.number == 1 {
            return field.payload;
        }
    }
    None
}

/// Takes the first field off; `None` at the end, and where none can be read.
fn next<'a>(rest: &mut &'a [u8]) -> Option<Field<'a>> {
    let start = *rest;
    let mut at = start;
    let tag = varint(&mut at)?;
    let number = u32::try_from(tag >> 3).ok()?;
    let mut payload = None;
    match tag & 7 {
        0 => {
            varint(&mut at)?;
        }
        1 => at = at.get(8..)?,
        2 => {
            let length = usize::try_from(varint(&mut at)?).ok()?;
            let (inner, after) = at.split_at_checked(length)?;
            (payload, at) = (Some(inner), after);
        }
        5 => at = at.get(4..)?,
        _ => return None,
    }
    *rest = at;
    Some(Field { number, whole: &start[..start.len() - at.len()], payload })
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn write(out: &mut Vec<u8>, number: u32, payload: &[u8]) {
    prost::encoding::encode_varint(u64::from(number) << 3 | 2, out);
    prost::encoding::encode_varint(payload.len() as u64, out);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::canonical;
    use crate::{
        Message as _,
        api::{
            envoy::config::{core::v3::Metadata, route::v3::Route},
            google::protobuf::{Any, Struct, Value, value::Kind},
        },
    };

    fn route(keys: &[&str]) -> Route {
        let value = |text: &str| Value { kind: Some(Kind::StringValue(text.to_owned())) };
        let fields = keys.iter().map(|key| ((*key).to_owned(), value(key)));
        let of = Struct { fields: fields.collect() };
        let all = keys.iter().map(|key| ((*key).to_owned(), of.clone()));
        Route {
            name: "r".into(),
            metadata: Some(Metadata { filter_metadata: all.collect(), ..Metadata::default() }),
            ..Route::default()
        }
    }

    #[test]
    fn maps_are_in_order_inside_of_others_too() {
        let name = "envoy.config.route.v3.Route";
        let inner = route(&["a", "b", "c", "d", "e"]);
        let any = || Any {
            type_url: format!("type.googleapis.com/{name}"),
            value: inner.encode_to_vec(),
        };
        let once = canonical("google.protobuf.Any", &any().encode_to_vec(), None);
        for _ in 0..20 {
            let rebuilt = Any { value: inner.clone().encode_to_vec(), ..any() };
            assert_eq!(canonical("google.protobuf.Any", &rebuilt.encode_to_vec(), None), once);
        }
        let read = Any::decode(&*once).unwrap();
        assert_eq!(Route::decode(&*read.value).unwrap(), inner);
    }

    #[test]
    fn what_does_not_count_is_left_out() {
        let name = "envoy.config.route.v3.Route";
        let with = route(&["a", "b"]).encode_to_vec();
        let mut wanted = route(&["a", "b"]);
        let metadata = wanted.metadata.as_mut().unwrap();
        metadata.filter_metadata.remove("b");
        metadata.filter_metadata.get_mut("a").unwrap().fields.remove("b");
        let read = Route::decode(&*canonical(name, &with, Some("b"))).unwrap();
        assert_eq!(read, wanted);
    }

    #[test]
    fn what_is_no_message_stays_as_it_is() {
        for bytes in [&[0xff; 12][..], &[0x0a, 0x05, 1], &[0x07]] {
            assert_eq!(canonical("envoy.config.route.v3.Route", bytes, None), bytes);
            assert_eq!(canonical("no.such.Message", bytes, None), bytes);
        }
    }
}
