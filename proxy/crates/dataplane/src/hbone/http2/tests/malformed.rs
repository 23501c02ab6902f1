//! Which messages there are, and which there are not.
use crate::hbone::http2::{
    code::{Code, Fault},
    hpack::{Decoder, Encoder},
    message::{BlockError, Malformed, trailers},
    request::Request,
    response::Response,
};
use http::Method;

fn block(said: &[(&str, &str)]) -> Vec<u8> {
    let (mut encoder, mut block) = (Encoder::default(), Vec::new());
    for (name, value) in said {
        encoder.encode(name.as_bytes(), value.as_bytes(), &mut block);
    }
    block
}

fn request(said: &[(&str, &str)]) -> Result<Request, BlockError> {
    Request::decode(&mut Decoder::new(0), &block(said), 1000)
}

const CONNECT: (&str, &str) = (":method", "CONNECT");
const GET: (&str, &str) = (":method", "GET");
const TO: (&str, &str) = (":authority", "10.0.0.1:80");
const HTTP: (&str, &str) = (":scheme", "http");
const PATH: (&str, &str) = (":path", "/");
const SOCKET: (&str, &str) = (":protocol", "websocket");

#[test]
fn a_connect_is_what_it_says() {
    let read =
        request(&[CONNECT, TO, ("baggage", "a=b"), ("te", "trailers"), ("x", "1"), ("x", "2")]);
    let read = read.unwrap();
    assert!(read.is_connect());
    assert_eq!(read.authority.unwrap(), "10.0.0.1:80");
    assert_eq!(read.headers["baggage"], "a=b");
    assert_eq!(read.headers.get_all("x").iter().count(), 2);
    assert!(read.scheme.is_none() && read.path.is_none());
}

#[test]
fn whoever_answers_gets_to_see_any_authority() {
    for odd in ["", "user@cart:80", "cart/path", "a b", "]:[", "caf\u{e9}:80", "%zz:80"] {
        let read = request(&[CONNECT, (":authority", odd)]).unwrap();
        assert_eq!(read.authority.unwrap().as_bytes(), odd.as_bytes(), "{odd}");
    }
    let read = request(&[CONNECT]).unwrap();
    assert!(read.is_connect() && read.authority.is_none());
}

#[test]
fn other_requests_are_requests() {
    let read = request(&[GET, HTTP, TO, PATH]).unwrap();
    assert!(!read.is_connect());
    assert_eq!((read.method, read.path.unwrap()), (Method::GET, "/".parse().unwrap()));
    let read = request(&[CONNECT, SOCKET, HTTP, TO, PATH]).unwrap();
    assert!(!read.is_connect());
    assert_eq!(read.protocol.unwrap(), "websocket");
}

#[test]
fn a_malformed_request_ends_its_stream() {
    use Malformed::{
        Bad, Connection, Late, Missing, Name, Twice, Unexpected, UnknownPseudo, Value,
    };
    for (said, why) in [
        (&[TO][..], Missing(":method")),
        (&[], Missing(":method")),
        (&[CONNECT, TO, HTTP], Unexpected(":scheme")),
        (&[CONNECT, TO, PATH], Unexpected(":path")),
        (&[CONNECT, TO, SOCKET], Missing(":scheme")),
        (&[CONNECT, TO, SOCKET, HTTP], Missing(":path")),
        (&[GET, TO, PATH], Missing(":scheme")),
        (&[GET, TO, HTTP], Missing(":path")),
        (&[GET, TO, HTTP, (":path", "")], Missing(":path")),
        (&[GET, TO, HTTP, PATH, SOCKET], Unexpected(":protocol")),
        (&[CONNECT, TO, (":status", "200")], Unexpected(":status")),
        (&[CONNECT, TO, (":cluster", "x")], UnknownPseudo),
        (&[CONNECT, TO, (":", "x")], UnknownPseudo),
        (&[CONNECT, TO, TO], Twice),
        (&[CONNECT, CONNECT, TO], Twice),
        (&[CONNECT, ("baggage", "a=b"), TO], Late),
        (&[(":method", "A B"), TO], Bad(":method")),
        (&[(":method", ""), TO], Bad(":method")),
        (&[CONNECT, TO, ("Baggage", "x")], Name),
        (&[CONNECT, TO, ("", "x")], Name),
        (&[CONNECT, TO, ("a b", "x")], Name),
        (&[CONNECT, TO, ("a:b", "x")], Name),
        (&[CONNECT, TO, ("caf\u{e9}", "x")], Name),
        (&[CONNECT, TO, ("x", "a\nb")], Value),
        (&[CONNECT, TO, ("x", "a\rb")], Value),
        (&[CONNECT, TO, ("x", "a\0b")], Value),
        (&[CONNECT, TO, ("x", " a")], Value),
        (&[CONNECT, TO, ("x", "a\t")], Value),
        (&[CONNECT, (":authority", "a\r\nb")], Value),
        (&[CONNECT, TO, ("connection", "close")], Connection),
        (&[CONNECT, TO, ("keep-alive", "1")], Connection),
        (&[CONNECT, TO, ("proxy-connection", "1")], Connection),
        (&[CONNECT, TO, ("transfer-encoding", "chunked")], Connection),
        (&[CONNECT, TO, ("upgrade", "h2c")], Connection),
        (&[CONNECT, TO, ("te", "gzip")], Connection),
    ] {
        let error = request(said).unwrap_err();
        assert_eq!(error, BlockError::Malformed(why), "{said:?}");
        let fault = error.fault(5);
        assert!(matches!(fault, Fault::Stream { stream: 5, code: Code::PROTOCOL_ERROR, .. }));
    }
}

#[test]
fn an_answer_has_a_status_and_nothing_of_a_request() {
    let response = |said| Response::decode(&mut Decoder::new(0), &block(said), 1000);
    let read = response(&[(":status", "200"), ("baggage", "a=b")]).unwrap();
    assert_eq!((read.status.as_u16(), &read.headers["baggage"]), (200, &"a=b".parse().unwrap()));
    assert!(!read.is_interim());
    assert!(response(&[(":status", "103")]).unwrap().is_interim());
    for (said, why) in [
        (&[("baggage", "a=b")][..], Malformed::Missing(":status")),
        (&[(":status", "2000")], Malformed::Bad(":status")),
        (&[(":status", "+20")], Malformed::Bad(":status")),
        (&[(":status", "099")], Malformed::Bad(":status")),
        (&[(":status", "101")], Malformed::Bad(":status")),
        (&[(":status", "200"), (":path", "/")], Malformed::Unexpected(":path")),
        (&[(":status", "200"), (":status", "200")], Malformed::Twice),
    ] {
        assert_eq!(response(said).unwrap_err(), BlockError::Malformed(why), "{said:?}");
    }
}

#[test]
fn trailers_say_nothing_of_the_message() {
    let read = |said| trailers(&mut Decoder::new(0), &block(said), 1000);
    assert_eq!(read(&[("x", "1")]), Ok(()));
    let why = Malformed::Unexpected(":status");
    assert_eq!(read(&[(":status", "200")]), Err(BlockError::Malformed(why)));
}

#[test]
fn how_far_a_fault_reaches() {
    let long = request(&[CONNECT, TO, ("x", &"y".repeat(1000))]).unwrap_err();
    assert!(matches!(long.fault(5), Fault::Stream { code: Code::ENHANCE_YOUR_CALM, .. }));
    let broken = Request::decode(&mut Decoder::new(0), b"\xff", 1000).unwrap_err();
    assert!(matches!(broken.fault(5), Fault::Link { code: Code::COMPRESSION_ERROR, .. }));
    // Something malformed does not keep the rest of the block from the table.
    let mut decoder = Decoder::new(0);
    let mut bytes = block(&[("Bad", "x")]);
    bytes.extend(block(&[("baggage", "a=b")]));
    assert!(Request::decode(&mut decoder, &bytes, 1000).is_err());
    assert!(trailers(&mut decoder, &[0xbe, 0xbf], 1000).is_err());
    let mut list = Vec::new();
    decoder.decode(&[0xbe], 1000, &mut |name, _| list.extend_from_slice(name)).unwrap();
    assert_eq!(list, b"baggage");
}
