use super::*;
use proptest::prelude::*;

fn of(method: Method, head: &str) -> Result<Option<Parsed>, Refusal> {
    let asked = Asked { method, upgrade: None };
    parse(&Bytes::copy_from_slice(head.as_bytes()), &asked, Limits::default())
}

fn framing(head: &str) -> Framing {
    of(Method::GET, head).unwrap().unwrap().framing
}

#[test]
fn every_way_to_say_how_long_it_is() {
    assert_eq!(framing("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n"), Framing::Exactly(3));
    assert_eq!(framing("HTTP/1.1 200\r\ntransfer-encoding: chunked\r\n\r\n"), Framing::Chunked);
    assert_eq!(framing("HTTP/1.1 200 OK\r\n\r\n"), Framing::Rest);
    assert_eq!(framing("HTTP/1.1 204 No\r\n\r\n"), Framing::Exactly(0));
    assert_eq!(framing("HTTP/1.1 304 No\r\ncontent-length: 3\r\n\r\n"), Framing::Exactly(0));
    let head = of(Method::HEAD, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n").unwrap().unwrap();
    assert_eq!(head.framing, Framing::Exactly(0));
    assert_eq!(head.head.headers["content-length"], "3", "told all the same");
    let connect = of(Method::CONNECT, "HTTP/1.1 200 OK\r\n\r\n").unwrap().unwrap();
    assert_eq!((connect.framing, connect.keep_alive), (Framing::Tunnel, false));
}

#[test]
fn only_a_whole_message_leaves_the_connection_usable() {
    let keeps = |head| of(Method::GET, head).unwrap().unwrap().keep_alive;
    assert!(keeps("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n"));
    assert!(!keeps("HTTP/1.1 200 OK\r\n\r\n"));
    assert!(!keeps("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"));
    assert!(!keeps("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n"));
    assert!(keeps("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n"));
}

#[test]
fn a_switch_nobody_asked_for_is_refused() {
    let switch = "HTTP/1.1 101 Sure\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    assert!(of(Method::GET, switch).is_err());
    let asked = Asked { method: Method::GET, upgrade: Some(HeaderValue::from_static("websocket")) };
    let parsed = parse(&switch.into(), &asked, Limits::default()).unwrap().unwrap();
    assert_eq!(
        (parsed.framing, parsed.head.upgrade.unwrap()),
        (Framing::Tunnel, "websocket".parse().unwrap())
    );
    let bare = Bytes::from("HTTP/1.1 101 Sure\r\n\r\n");
    assert!(parse(&bare, &asked, Limits::default()).is_err());
}

#[test]
fn lengths_that_contradict_each_other_are_refused() {
    for headers in [
        "content-length: 3\r\ntransfer-encoding: chunked\r\n",
        "content-length: 3\r\ncontent-length: 4\r\n",
        "transfer-encoding: gzip\r\n",
    ] {
        assert!(
            of(Method::GET, &format!("HTTP/1.1 200 OK\r\n{headers}\r\n")).is_err(),
            "{headers}"
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_head_a_part_of_one_or_refused(bytes: Vec<u8>) {
        let data = Bytes::from(bytes);
        let asked = Asked { method: Method::GET, upgrade: None };
        if let Ok(Some(parsed)) = parse(&data, &asked, Limits::default()) {
            prop_assert!(parsed.len <= data.len());
        }
    }
}
