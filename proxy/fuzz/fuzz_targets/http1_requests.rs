//! Whatever a client sends over HTTP/1, in one piece and in several: every answer is a response.
#![no_main]
use culvert_l7::{
    body::Body,
    h1::{self, Options},
    io::Io,
    message::{Request, Response},
    outcome::Exchanged,
    service::Service,
};
use culvert_runtime::drain::Drain;
use libfuzzer_sys::fuzz_target;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
    runtime,
};

/// Answers with the size of the body.
struct Size;

impl Service for Size {
    type Record = ();

    async fn call(&self, request: Request) -> (Response, ()) {
        let size = match request.body.collect(1 << 20).await {
            Ok((body, _)) => body.len().to_string(),
            Err(error) => error.to_string(),
        };
        (Response::new(http::StatusCode::OK, Body::full(size)), ())
    }

    fn ended(&self, (): (), _: Exchanged) {}
}

/// What is answered to `pieces`.
async fn answers(pieces: impl Iterator<Item = &[u8]>) -> Vec<u8> {
    let (mut client, served) = duplex(1 << 22);
    let (drain, options) = (Drain::default(), Options::default());
    let worker = drain.worker();
    let talks = async {
        for piece in pieces {
            if client.write_all(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        // The server may have closed already.
        let _closed = client.shutdown().await;
        let mut answers = Vec::new();
        let _reset = client.read_to_end(&mut answers).await;
        answers
    };
    tokio::join!(talks, h1::serve(Io::boxed(served), &Size, &options, &worker)).0
}

fuzz_target!(|bytes: &[u8]| {
    let runtime = runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(async {
        for answers in
            [answers(std::iter::once(bytes)).await, answers(bytes.chunks(7)).await]
        {
            assert!(answers.is_empty() || answers.starts_with(b"HTTP/1."));
        }
    });
});
