//! Whatever a server answers over HTTP/1: it is understood or refused, and never waited for twice.
#![no_main]
use culvert_l7::{
    body::Body,
    h1::{Client, ClientOptions, Lease},
    io::Io,
    message::{Interim, RequestHead},
};
use http::{Method, uri::PathAndQuery};
use libfuzzer_sys::fuzz_target;
use tokio::{
    io::{AsyncWriteExt as _, duplex},
    runtime,
};

fuzz_target!(|bytes: &[u8]| {
    let runtime = runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(async {
        for method in [Method::GET, Method::HEAD, Method::CONNECT] {
            let (near, mut far) = duplex(1 << 22);
            far.write_all(bytes).await.expect("fits");
            far.shutdown().await.expect("is open");
            let client = Box::new(Client::new(Io::boxed(near), ClientOptions::default()));
            let path = PathAndQuery::from_static("/");
            let head = RequestHead::new(method, "a:1".parse().expect("a host"), path);
            let sent =
                client.send(&head, Body::Empty, &Interim::default(), Lease::default()).await;
            if let Ok((_, body)) = sent {
                let _ended = body.collect(1 << 20).await;
            }
        }
    });
});
