//! Another implementation as the peer: what it says we read, what we say it reads.
use crate::hbone::http2::{
    block::Assembly,
    frame::{FRAME_DEFAULT, Frame, HEAD, Head, PREFACE, write},
    hpack::{Decoder, Encoder},
    request::{self, Request},
    response::{self, Response},
    settings::Settings,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use proptest::prelude::*;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    runtime,
};

const LIMIT: usize = 64 << 10;

/// What an exchange says: the authority, the request's headers, the status, the answer's headers.
type Exchange = (String, HeaderMap, StatusCode, HeaderMap);

/// Our end of a link.
struct Ours {
    io: DuplexStream,
    encoder: Encoder,
    decoder: Decoder,
    assembly: Assembly,
}

impl Ours {
    async fn new(io: DuplexStream, first: &[u8]) -> Self {
        let (encoder, decoder, assembly) =
            (Encoder::default(), Decoder::new(0), Assembly::new(LIMIT));
        let mut ours = Self { io, encoder, decoder, assembly };
        let mut hello = first.to_vec();
        let said = Settings {
            max_header_list_size: Some(u32::try_from(LIMIT).unwrap()),
            ..Settings::default()
        };
        write::settings(&said, &mut hello);
        ours.io.write_all(&hello).await.unwrap();
        ours
    }

    /// The next block, decoded by `read`.
    async fn block<T>(&mut self, read: impl Fn(&mut Decoder, &[u8]) -> T) -> (u32, T) {
        loop {
            let mut head = [0; HEAD];
            self.io.read_exact(&mut head).await.unwrap();
            let head = Head::parse(&head);
            head.check(FRAME_DEFAULT).unwrap();
            self.assembly.check(head).unwrap();
            let mut payload = vec![0; head.length as usize];
            self.io.read_exact(&mut payload).await.unwrap();
            let frame = Frame::parse(head, &payload).unwrap();
            let mut answer = Vec::new();
            if let Frame::Settings(settings) = &frame {
                self.encoder.apply(settings);
                write::settings_ack(&mut answer);
            } else if let Frame::Ping(said) = frame {
                write::pong(said, &mut answer);
            }
            self.io.write_all(&answer).await.unwrap();
            if let Some(block) = self.assembly.take(&frame).unwrap() {
                return (block.stream, read(&mut self.decoder, block.bytes.as_ref()));
            }
        }
    }

    async fn send(&mut self, stream: u32, block: &[u8], end: bool) {
        let mut out = Vec::new();
        write::headers(stream, block, end, FRAME_DEFAULT, &mut out);
        self.io.write_all(&out).await.unwrap();
    }
}

/// Answers requests of `h2`'s client as the exchanges say; the link ends when it is dropped.
async fn serve(io: DuplexStream, exchanges: &[Exchange]) -> Ours {
    let mut ours = Ours::new(io, &[]).await;
    let mut preface = [0; PREFACE.len()];
    ours.io.read_exact(&mut preface).await.unwrap();
    assert_eq!(&preface, PREFACE);
    for (authority, headers, status, answer) in exchanges {
        let (stream, read) = ours.block(|d, block| Request::decode(d, block, LIMIT)).await;
        let read = read.unwrap();
        assert!(read.is_connect());
        assert_eq!(read.authority.unwrap(), authority);
        assert_eq!(&read.headers, headers);
        let mut block = Vec::new();
        response::write(&mut ours.encoder, *status, answer, &mut block);
        ours.send(stream, &block, true).await;
    }
    ours
}

fn connect((authority, headers, ..): &Exchange) -> http::Request<()> {
    let mut request = http::Request::connect(authority).body(()).unwrap();
    *request.headers_mut() = headers.clone();
    request
}

async fn their_client(exchanges: &[Exchange], table: u32) {
    let (one, other) = duplex(1 << 16);
    let client = async {
        let mut builder = h2::client::Builder::new();
        builder.max_header_list_size(1 << 20).header_table_size(table);
        let (mut requests, link) = builder.handshake::<_, &[u8]>(one).await.unwrap();
        let ask = async {
            for exchange in exchanges {
                let (response, send) = requests.send_request(connect(exchange), false).unwrap();
                let response = response.await.unwrap();
                assert_eq!((response.status(), response.headers()), (exchange.2, &exchange.3));
                drop(send);
                requests = requests.ready().await.unwrap();
            }
        };
        tokio::select! {
            () = ask => {}
            end = link => panic!("{end:?}"),
        }
    };
    tokio::join!(client, serve(other, exchanges));
}

async fn their_server(exchanges: &[Exchange], table: u32) {
    let (one, other) = duplex(1 << 16);
    let server = async {
        let mut builder = h2::server::Builder::new();
        builder.max_header_list_size(1 << 20).header_table_size(table);
        let mut link = builder.handshake::<_, &[u8]>(one).await.unwrap();
        for (authority, headers, status, answer) in exchanges {
            let (request, mut respond) = link.accept().await.unwrap().unwrap();
            assert_eq!(request.uri().authority().unwrap().as_str(), authority);
            assert_eq!(request.headers(), headers);
            let mut response = http::Response::new(());
            *response.status_mut() = *status;
            *response.headers_mut() = answer.clone();
            respond.send_response(response, true).unwrap();
        }
        // The client leaves as it pleases.
        drop(std::future::poll_fn(|cx| link.poll_closed(cx)).await);
    };
    let client = async {
        let mut ours = Ours::new(other, PREFACE).await;
        for ((authority, headers, status, answer), stream) in exchanges.iter().zip((1..).step_by(2))
        {
            let mut block = Vec::new();
            request::connect(&mut ours.encoder, authority, headers, &mut block);
            ours.send(stream, &block, true).await;
            let (of, read) = ours.block(|d, block| Response::decode(d, block, LIMIT)).await;
            let read = read.unwrap();
            assert_eq!(of, stream);
            assert_eq!((read.status, &read.headers), (*status, answer));
        }
    };
    tokio::join!(server, client);
}

fn headers() -> impl Strategy<Value = HeaderMap> {
    let name = prop_oneof![
        Just("baggage".to_owned()),
        Just("forwarded".to_owned()),
        Just("cookie".to_owned()),
        Just("authorization".to_owned()),
        Just("via".to_owned()),
        "x-[a-z0-9!#$%&'*+.^_`|~-]{0,40}",
    ];
    let value = prop_oneof![
        "[!-~]([ -~]{0,300}[!-~])?".prop_map(String::into_bytes),
        prop::collection::vec(0x80..=0xff_u8, 0..40),
        Just(b"k8s.namespace.name=shop,service.name=cart".to_vec()),
        // More than a frame holds.
        "[!-~]{6000}".prop_map(String::into_bytes),
    ];
    prop::collection::vec((name, value), 0..8).prop_map(|all| {
        all.into_iter()
            .map(|(name, value)| {
                (HeaderName::try_from(name).unwrap(), HeaderValue::from_bytes(&value).unwrap())
            })
            .collect()
    })
}

fn exchanges() -> impl Strategy<Value = Vec<Exchange>> {
    let authority = prop_oneof![
        Just("10.0.0.1:8080".to_owned()),
        Just("[fd00::1]:80".to_owned()),
        "[a-z]{1,9}:[1-9][0-9]{3}",
    ];
    let status = (200..600_u16).prop_map(|status| StatusCode::from_u16(status).unwrap());
    prop::collection::vec((authority, headers(), status, headers()), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_link_with_another_implementation_says_what_was_said(
        exchanges in exchanges(),
        table in prop_oneof![Just(4096_u32), 0..300_u32, 0..70_000_u32]
    ) {
        let runtime = runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            their_client(&exchanges, table).await;
            their_server(&exchanges, table).await;
        });
    }
}
