use super::*;
use proptest::prelude::*;

fn of(head: &str) -> Result<Option<Parsed>, Refusal> {
    let data = Bytes::copy_from_slice(head.as_bytes());
    parse(&data, Scheme::Http, Limits::default())
}

/// A GET with these header lines beside `host`.
fn with(headers: &str) -> Result<Parsed, &'static str> {
    of(&format!("GET / HTTP/1.1\r\nhost: a\r\n{headers}\r\n"))
        .map(|parsed| parsed.expect("a whole head"))
        .map_err(|refusal| refusal.details)
}

#[test]
fn what_belongs_to_the_connection_is_taken_out() {
    let parsed = with(
        "connection: keep-alive, x-secret, te\r\nkeep-alive: 5\r\nproxy-connection: x\r\n\
         X-Secret: 1\r\nTE: gzip, trailers\r\nx-kept: 2\r\n",
    )
    .unwrap();
    let names: Vec<_> =
        parsed.head.headers.iter().map(|(name, value)| (name.as_str(), value)).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!(parsed.head.headers["te"], "trailers");
    assert_eq!(parsed.head.headers["x-kept"], "2");
    assert_eq!(parsed.head.authority.unwrap(), "a");
    assert!(parsed.keep_alive);
}

#[test]
fn framing_is_said_in_one_way_only() {
    let framing = |headers| with(headers).map(|parsed| parsed.framing);
    assert_eq!(framing(""), Ok(Framing::Exactly(0)));
    assert_eq!(framing("content-length: 7\r\n"), Ok(Framing::Exactly(7)));
    assert_eq!(framing("transfer-encoding: Chunked\r\n"), Ok(Framing::Chunked));
    for (headers, details) in [
        (
            "content-length: 5\r\ntransfer-encoding: chunked\r\n",
            "http1.content_length_and_chunked_not_allowed",
        ),
        ("content-length: 5\r\ncontent-length: 5\r\n", "http1.multiple_content_lengths"),
        ("content-length: 5, 5\r\n", "http1.invalid_content_length"),
        ("content-length: +5\r\n", "http1.invalid_content_length"),
        ("content-length: -5\r\n", "http1.invalid_content_length"),
        ("content-length: 0x5\r\n", "http1.invalid_content_length"),
        ("content-length: \r\n", "http1.invalid_content_length"),
        ("content-length: 99999999999999999999\r\n", "http1.invalid_content_length"),
        ("transfer-encoding: gzip, chunked\r\n", "http1.invalid_transfer_encoding"),
        ("transfer-encoding: xchunked\r\n", "http1.invalid_transfer_encoding"),
        (
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            "http1.invalid_transfer_encoding",
        ),
        ("transfer-encoding: \r\n", "http1.invalid_transfer_encoding"),
    ] {
        assert_eq!(framing(headers).unwrap_err(), details, "{headers}");
    }
}

#[test]
fn lines_that_some_would_read_otherwise_are_refused() {
    for head in [
        "GET / HTTP/1.1\nhost: a\n\n",
        "GET / HTTP/1.1\r\nhost: a\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\n 2\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx : 1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n x: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: \0\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: 1\r2\r\n\r\n",
        "GET  / HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1 \r\nhost: a\r\n\r\n",
        "GET / HTTP/1.2\r\nhost: a\r\n\r\n",
        "GET / HTTP/2.0\r\nhost: a\r\n\r\n",
        "GET /\r\nhost: a\r\n\r\n",
        "GET / x HTTP/1.1\r\nhost: a\r\n\r\n",
        "G\0T / HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n: x\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: \r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: u@a\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\nhost: a/b\r\n\r\n",
    ] {
        let refusal = of(head).expect_err(head);
        assert_eq!(refusal.status, 400, "{head}");
    }
}

#[test]
fn headers_that_others_rely_on_cannot_be_named_away() {
    for header in ["x-forwarded-for", "x-forwarded-proto", "host"] {
        let refused = with(&format!("connection: {header}\r\n")).unwrap_err();
        assert_eq!(refused, "http1.connection_header_rejected");
    }
    let parsed = with("connection: content-length\r\ncontent-length: 3\r\n").unwrap();
    assert_eq!(parsed.framing, Framing::Exactly(3));
}

#[test]
fn sizes_and_numbers_are_bounded() {
    let many = "x: 1\r\n".repeat(100);
    assert_eq!(with(&many).unwrap_err(), "http1.too_many_headers");
    assert!(with(&"x: 1\r\n".repeat(99)).is_ok());
    let large = format!("GET / HTTP/1.1\r\nx: {}", "a".repeat(60 << 10));
    assert_eq!(of(&large).unwrap_err().status, 431);
    assert_eq!(of(&format!("{large}\r\nhost: a\r\n\r\n")).unwrap_err().status, 431);
    let limits = Limits { headers: 1000, ..Limits::default() };
    let data = Bytes::from(format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: 1\r\n".repeat(999)));
    assert_eq!(parse(&data, Scheme::Http, limits).unwrap().unwrap().head.headers.len(), 999);
}

#[test]
fn upgrades_and_tunnels() {
    let parsed = with("connection: Upgrade\r\nupgrade: websocket\r\n").unwrap();
    assert_eq!(
        (parsed.framing, parsed.head.upgrade.unwrap()),
        (Framing::Tunnel, "websocket".parse().unwrap())
    );
    assert!(with("upgrade: websocket\r\n").unwrap().head.upgrade.is_none(), "not asked for");
    let parsed =
        with("connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: x\r\n");
    let parsed = parsed.unwrap();
    assert_eq!((parsed.framing, parsed.head.headers.len()), (Framing::Exactly(0), 0));
    let body = "connection: upgrade\r\nupgrade: websocket\r\ncontent-length: 3\r\n";
    assert_eq!(with(body).unwrap().framing, Framing::Exactly(3));

    let connect =
        of("CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\ncontent-length: 0\r\n\r\n").unwrap().unwrap();
    assert_eq!((connect.framing, connect.head.headers.len()), (Framing::Tunnel, 0));
    assert!(of("CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\ncontent-length: 1\r\n\r\n").is_err());
}

#[test]
fn old_clients() {
    let old = |headers: &str| of(&format!("GET / HTTP/1.0\r\n{headers}\r\n")).unwrap().unwrap();
    assert!(!old("").keep_alive);
    assert!(old("connection: keep-alive\r\n").keep_alive);
    assert!(old("").head.authority.is_none());
    assert!(of("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_a_head_a_part_of_one_or_refused(bytes: Vec<u8>) {
        let data = Bytes::from(bytes);
        if let Ok(Some(parsed)) = parse(&data, Scheme::Http, Limits::default()) {
            prop_assert!(parsed.len <= data.len());
        }
    }

    #[test]
    fn a_head_is_the_same_in_whatever_pieces_it_comes(
        name in "[a-z]{1,20}", value in "[!-~]{0,40}", cut in 0_usize..100, tail: Vec<u8>,
    ) {
        let head = format!("GET /{name} HTTP/1.1\r\nhost: a\r\nx-{name}: {value}\r\n\r\n");
        let cut = cut.min(head.len() - 1);
        let part = Bytes::copy_from_slice(&head.as_bytes()[..cut]);
        prop_assert!(parse(&part, Scheme::Http, Limits::default()).unwrap().is_none());
        let whole = [head.as_bytes(), &tail].concat();
        let parsed = parse(&whole.into(), Scheme::Http, Limits::default()).unwrap().unwrap();
        prop_assert_eq!(parsed.len, head.len());
        prop_assert_eq!(&parsed.head.headers[format!("x-{name}")], value.as_str());
    }
}
