//! What Envoy's messages look like: names, fields, rules.
use crate::added;
use flate2::read::GzDecoder;
use prost_reflect::{DescriptorPool, MessageDescriptor};
use std::{io::Read as _, sync::LazyLock};

/// Written by `cargo xtask codegen`.
static COMPRESSED: &[u8] = include_bytes!("descriptors.bin.gz");

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let mut bytes = Vec::new();
    let read = GzDecoder::new(COMPRESSED).read_to_end(&mut bytes);
    read.expect("what is built in can be unpacked");
    let mut pool = DescriptorPool::decode(&*bytes).expect("what is built in can be read");
    for file in added::files() {
        pool.add_file_descriptor_proto(file).expect("it needs only what is there");
    }
    pool
});

/// Every message that Envoy's API knows; the first call takes some tens of milliseconds.
#[must_use]
pub fn pool() -> &'static DescriptorPool {
    &POOL
}

/// The message that a type URL, or a full name, means.
#[must_use]
pub fn message(type_url: &str) -> Option<MessageDescriptor> {
    pool().get_message_by_name(full_name(type_url))
}

/// `a.b.C` of `type.googleapis.com/a.b.C`.
#[must_use]
pub fn full_name(type_url: &str) -> &str {
    type_url.rsplit_once('/').map_or(type_url, |(_, name)| name)
}
