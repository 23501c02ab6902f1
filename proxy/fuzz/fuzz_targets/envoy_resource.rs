//! Bytes of a server of discovery, of each type of resource.
#![no_main]
use culvert_proto::{api::google::protobuf::Any, json};
use culvert_xds::envoy::{
    decode::{self, Nothing},
    kind::Kind,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let Some(kind) = Kind::ALL.get(usize::from(*kind)) else { return };
    let any = Any { type_url: kind.type_url().to_owned(), value: bytes.to_vec() };
    drop(decode::name(&any));
    drop(json::write(&any));
    let refused = match kind {
        Kind::Cluster => decode::cluster(bytes, &Nothing).err(),
        Kind::Endpoint => decode::assignment(bytes).err(),
        Kind::Listener => decode::listener(bytes, &Nothing).err(),
        Kind::Route => decode::routes(bytes, &Nothing).err(),
        Kind::Secret => decode::secret(bytes, &Nothing).err(),
        Kind::Extension => decode::extension(bytes, &Nothing).err(),
        Kind::Runtime => decode::runtime(bytes).err(),
    };
    if let Some(wrong) = refused {
        assert!(!wrong.what.is_empty(), "a refusal has a reason");
    }
});
