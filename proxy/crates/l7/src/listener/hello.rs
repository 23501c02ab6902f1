//! What a TLS client says first, read without answering it.
use std::sync::Arc;

/// The most bytes that a first message may have.
const MOST: usize = 64 << 10;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;
const ALPN: u16 = 16;

/// What first bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hello {
    /// They could still be anything.
    Undecided,
    /// No TLS.
    Otherwise,
    /// TLS, but more than anybody has to say.
    TooLarge,
    Said(Said),
}

/// What the client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// In lower case.
    pub server_name: Option<Arc<str>>,
    /// What it offers, in its order.
    pub protocols: Vec<Arc<str>>,
}

/// What a connection that begins with `bytes` asks for.
///
/// Once decided, more bytes change nothing.
#[must_use]
pub fn read(bytes: &[u8]) -> Hello {
    let mut message = Vec::new();
    let mut rest = bytes;
    loop {
        let piece = match record(rest) {
            Record::Whole(piece, after) => {
                rest = after;
                piece
            }
            Record::Begun(piece) => {
                rest = &[];
                piece
            }
            Record::Otherwise => return Hello::Otherwise,
        };
        message.extend_from_slice(piece);
        match whole(&message) {
            Message::Undecided => {}
            Message::Otherwise => return Hello::Otherwise,
            Message::TooLarge => return Hello::TooLarge,
            Message::Whole(body) => {
                return said(body).map_or(Hello::Otherwise, Hello::Said);
            }
        }
        if rest.is_empty() {
            return Hello::Undecided;
        }
    }
}

/// A record of the handshake.
enum Record<'a> {
    /// And what comes after it.
    Whole(&'a [u8], &'a [u8]),
    /// As far as it is there.
    Begun(&'a [u8]),
    Otherwise,
}

fn record(bytes: &[u8]) -> Record<'_> {
    // Larger ones, and empty ones, nobody may send.
    const LARGEST: usize = 1 << 14;
    let wrong = |at: usize, ok: fn(u8) -> bool| bytes.get(at).is_some_and(|byte| !ok(*byte));
    if wrong(0, |kind| kind == HANDSHAKE) || wrong(1, |major| major == 3) {
        return Record::Otherwise;
    }
    let Some((&[_, _, _, high, low], rest)) = bytes.split_first_chunk() else {
        return Record::Begun(&[]);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length == 0 || LARGEST < length {
        return Record::Otherwise;
    }
    match rest.split_at_checked(length) {
        Some((piece, after)) => Record::Whole(piece, after),
        None => Record::Begun(rest),
    }
}

/// A message of the handshake.
enum Message<'a> {
    Whole(&'a [u8]),
    Undecided,
    TooLarge,
    Otherwise,
}

fn whole(message: &[u8]) -> Message<'_> {
    if message.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
        return Message::Otherwise;
    }
    let Some((&[_, a, b, c], rest)) = message.split_first_chunk() else {
        return Message::Undecided;
    };
    let length = u32::from_be_bytes([0, a, b, c]);
    match usize::try_from(length) {
        Ok(length) if length <= MOST => {
            rest.get(..length).map_or(Message::Undecided, Message::Whole)
        }
        Ok(_) | Err(_) => Message::TooLarge,
    }
}

/// `None`: it is not what RFC 8446 §4.1.2 wants.
fn said(body: &[u8]) -> Option<Said> {
    const VERSION_AND_RANDOM: usize = 2 + 32;
    let mut rest = body.get(VERSION_AND_RANDOM..)?;
    let _session = short(&mut rest)?;
    let _suites = long(&mut rest)?;
    let _compression = short(&mut rest)?;
    let mut said = Said::default();
    if rest.is_empty() {
        return Some(said);
    }
    let mut extensions = long(&mut rest)?;
    while !extensions.is_empty() {
        let kind = number(&mut extensions)?;
        let mut content = long(&mut extensions)?;
        match kind {
            SERVER_NAME => said.server_name = host(long(&mut content)?)?,
            ALPN => said.protocols = protocols(long(&mut content)?)?,
            _ => {}
        }
    }
    Some(said)
}

/// The first name of a host; none, if it is no text.
fn host(mut list: &[u8]) -> Option<Option<Arc<str>>> {
    while let Some((kind, rest)) = list.split_first() {
        list = rest;
        let name = long(&mut list)?;
        if *kind == HOST_NAME {
            let text = str::from_utf8(name).ok().filter(|name| {
                !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic())
            });
            return Some(text.map(|name| name.to_ascii_lowercase().into()));
        }
    }
    Some(None)
}

fn protocols(mut list: &[u8]) -> Option<Vec<Arc<str>>> {
    let mut all = Vec::new();
    while !list.is_empty() {
        all.push(String::from_utf8_lossy(short(&mut list)?).into());
    }
    Some(all)
}

fn number(rest: &mut &[u8]) -> Option<u16> {
    let (bytes, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u16::from_be_bytes(*bytes))
}

/// As much as the byte before it says.
fn short<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first()?;
    let (piece, after) = after.split_at_checked(usize::from(*length))?;
    *rest = after;
    Some(piece)
}

/// As much as the two bytes before it say.
fn long<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::from(number(rest)?);
    let (piece, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(piece)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with_length(width: usize, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&length[4 - width..], content].concat()
    }

    fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
        [&kind.to_be_bytes()[..], &with_length(2, content)].concat()
    }

    /// A first message in records of at most `size` bytes.
    fn hello(name: Option<&str>, protocols: &[&str], padding: usize, size: usize) -> Vec<u8> {
        let mut extensions = extension(21, &vec![0; padding]);
        if let Some(name) = name {
            let name = [&[HOST_NAME][..], &with_length(2, name.as_bytes())].concat();
            extensions.extend(extension(SERVER_NAME, &with_length(2, &name)));
        }
        if !protocols.is_empty() {
            let list: Vec<u8> =
                protocols.iter().flat_map(|name| with_length(1, name.as_bytes())).collect();
            extensions.extend(extension(ALPN, &with_length(2, &list)));
        }
        let mut body = vec![3; 34];
        body.extend(with_length(1, &[7; 32]));
        body.extend(with_length(2, &[0x13, 1]));
        body.extend(with_length(1, &[0]));
        body.extend(with_length(2, &extensions));
        let message = [&[CLIENT_HELLO][..], &with_length(3, &body)].concat();
        let records = message.chunks(size);
        records
            .flat_map(|piece| [&[HANDSHAKE, 3, 1][..], &with_length(2, piece)].concat())
            .collect()
    }

    fn said(name: Option<&str>, protocols: &[&str]) -> Hello {
        let protocols = protocols.iter().map(|name| Arc::from(*name)).collect();
        Hello::Said(Said { server_name: name.map(Into::into), protocols })
    }

    #[test]
    fn names_and_protocols() {
        let all = hello(Some("WWW.Example.com"), &["h2", "http/1.1"], 0, 1 << 14);
        assert_eq!(read(&all), said(Some("www.example.com"), &["h2", "http/1.1"]));
        assert_eq!(read(&hello(None, &[], 0, 1 << 14)), said(None, &[]));
        assert_eq!(read(&hello(Some("a\nb"), &["x"], 3, 1 << 14)), said(None, &["x"]));
    }

    #[test]
    fn what_is_no_tls_is_seen_at_once() {
        for bytes in [&b"GET / HTTP/1.1\r\n"[..], b"\x16\x02", b"\x17", b"\x16\x03\x01\x00\x00"] {
            assert_eq!(read(bytes), Hello::Otherwise, "{bytes:?}");
        }
        // A ServerHello.
        assert_eq!(read(&[22, 3, 3, 0, 4, 2]), Hello::Otherwise);
        assert_eq!(read(&[22, 3, 3, 0, 4, 1, 1, 0, 1]), Hello::TooLarge);
        assert_eq!(read(&[]), Hello::Undecided);
    }

    fn any_hello() -> impl Strategy<Value = Vec<u8>> {
        let names = prop::option::of("[a-z]{1,20}\\.example");
        let protocols =
            prop::collection::vec(prop::sample::select(vec!["h2", "http/1.1", "x"]), 0..4);
        (names, protocols, 0_usize..3000, 1_usize..2000).prop_map(
            |(name, protocols, padding, size)| hello(name.as_deref(), &protocols, padding, size),
        )
    }

    fn decided_once(bytes: &[u8]) {
        let whole = read(bytes);
        for end in 0..bytes.len() {
            let part = read(&bytes[..end]);
            assert!(part == Hello::Undecided || part == whole, "{end}: {part:?}, {whole:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn however_the_bytes_come_the_answer_is_the_same(hello in any_hello()) {
            prop_assert!(matches!(read(&hello), Hello::Said(_)));
            for end in 0..hello.len() {
                prop_assert_eq!(read(&hello[..end]), Hello::Undecided);
            }
        }

        #[test]
        fn broken_ones_too(mut hello in any_hello(), at in any::<prop::sample::Index>(), byte: u8) {
            let at = at.index(hello.len());
            hello[at] = byte;
            decided_once(&hello);
        }

        #[test]
        fn anything_too(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            decided_once(&bytes);
            let tls = [&[22, 3, 1, 0, 200, 1, 0, 0, 150][..], &bytes].concat();
            decided_once(&tls);
        }
    }
}
