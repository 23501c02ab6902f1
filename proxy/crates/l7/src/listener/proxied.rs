//! The PROXY protocol: who really connects, told by a proxy before anything else.
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::Range,
};

/// How version 1 begins.
const TEXT: &[u8] = b"PROXY ";

/// How version 2 begins.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The longest line of version 1, with its end.
const LINE_MAX: usize = 108;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    One,
    Two,
}

/// What first bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proxied {
    /// They could still be a header.
    Undecided,
    /// There is none.
    Without,
    /// One that cannot be read.
    Bad(Version, &'static str),
    Header(Header),
}

/// A header that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub version: Version,
    /// How many bytes it takes.
    pub length: usize,
    /// `None`: the proxy speaks for itself, or does not know.
    pub ends: Option<Ends>,
    /// Where its TLVs are.
    pub extras: Range<usize>,
}

/// The two ends of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    pub source: SocketAddr,
    pub destination: SocketAddr,
}

/// The header of a connection that begins with `bytes`.
///
/// Once decided, more bytes change nothing.
#[must_use]
pub fn read(bytes: &[u8]) -> Proxied {
    if bytes.starts_with(TEXT) {
        return text(bytes);
    }
    if bytes.starts_with(SIGNATURE) {
        return binary(bytes);
    }
    let could_be = |begin: &[u8]| begin.starts_with(bytes);
    if could_be(TEXT) || could_be(SIGNATURE) { Proxied::Undecided } else { Proxied::Without }
}

/// The TLVs of a header: each one's type and value; ends at one that is cut off.
pub fn extras(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&[kind, high, low], rest) = bytes.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (value, rest) = rest.split_at_checked(length)?;
        bytes = rest;
        Some((kind, value))
    })
}

fn text(bytes: &[u8]) -> Proxied {
    let bad = |why| Proxied::Bad(Version::One, why);
    let begun = bytes.get(..LINE_MAX).unwrap_or(bytes);
    let Some(end) = memchr::memmem::find(begun, b"\r\n") else {
        return if begun.len() < LINE_MAX {
            Proxied::Undecided
        } else {
            bad("the line has no end")
        };
    };
    let length = end + 2;
    let line = begun.get(TEXT.len()..end).and_then(|line| str::from_utf8(line).ok());
    let Some(line) = line else { return bad("the line is no text") };
    let header = |ends| {
        let extras = length..length;
        Proxied::Header(Header { version: Version::One, length, ends, extras })
    };
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return header(None);
    }
    match addresses(line) {
        Some(ends) => header(Some(ends)),
        None => bad("the addresses cannot be read"),
    }
}

/// `TCP4 192.0.2.1 192.0.2.2 4000 80`.
fn addresses(line: &str) -> Option<Ends> {
    let mut words = line.split(' ');
    let four = match words.next()? {
        "TCP4" => true,
        "TCP6" => false,
        _ => return None,
    };
    let mut ip = || words.next()?.parse().ok().filter(|ip: &IpAddr| ip.is_ipv4() == four);
    let (source, destination) = (ip()?, ip()?);
    let mut port = || {
        let word = words.next()?;
        word.parse().ok().filter(|_| word.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let (from, to) = (port()?, port()?);
    let whole = words.next().is_none();
    whole.then(|| Ends {
        source: SocketAddr::new(source, from),
        destination: SocketAddr::new(destination, to),
    })
}

fn binary(bytes: &[u8]) -> Proxied {
    const FIXED: usize = SIGNATURE.len() + 4;
    let bad = |why| Proxied::Bad(Version::Two, why);
    let rest = bytes.get(SIGNATURE.len()..).unwrap_or_default();
    // What is wrong is said as soon as it is seen.
    let (local, family) = match rest {
        [] => return Proxied::Undecided,
        [command, rest @ ..] => match (*command, rest.first()) {
            (0x20, _) => (true, 0),
            (0x21, None) => return Proxied::Undecided,
            (0x21, Some(family)) => (false, *family),
            _ => return bad("the version or the command is not known"),
        },
    };
    let size = match family {
        0x11 => 12,
        0x21 => 36,
        // Nobody knows, or files: the addresses say nothing to us.
        0x00 | 0x31 => 0,
        _ => return bad("the transport or the kind of addresses is not TCP"),
    };
    let Some(&[_, _, high, low]) = rest.first_chunk() else { return Proxied::Undecided };
    let told = usize::from(u16::from_be_bytes([high, low]));
    if told < size {
        return bad("it is too short for its addresses");
    }
    let length = FIXED + told;
    let Some(content) = bytes.get(FIXED..length) else { return Proxied::Undecided };
    let ends = content.get(..size).and_then(ends);
    // Of a kind of addresses that is not read, TLVs cannot be found.
    let extras = if local || size == 0 { length..length } else { FIXED + size..length };
    Proxied::Header(Header { version: Version::Two, length, ends, extras })
}

/// Two addresses, then two ports.
fn ends(content: &[u8]) -> Option<Ends> {
    let (addresses, ports) = content.split_at_checked(content.len().checked_sub(4)?)?;
    let (source, destination) = addresses.split_at(addresses.len() / 2);
    let (from, to) = ports.split_at(2);
    let ip = |bytes: &[u8]| -> Option<IpAddr> {
        let four = <[u8; 4]>::try_from(bytes).ok().map(|octets| Ipv4Addr::from(octets).into());
        four.or_else(|| Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()))
    };
    let port = |bytes: &[u8]| Some(u16::from_be_bytes(bytes.try_into().ok()?));
    Some(Ends {
        source: SocketAddr::new(ip(source)?, port(from)?),
        destination: SocketAddr::new(ip(destination)?, port(to)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn end(at: &str) -> SocketAddr {
        at.parse().unwrap()
    }

    fn two(command: u8, family: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family], &length, content].concat()
    }

    fn header(bytes: &[u8]) -> Header {
        let read = read(bytes);
        let Proxied::Header(header) = read else { panic!("{read:?}") };
        header
    }

    #[test]
    fn lines_of_version_1() {
        let line = b"PROXY TCP4 192.0.2.1 192.0.2.2 4000 80\r\nGET";
        let read_line = header(line);
        assert_eq!(read_line.length, line.len() - 3);
        let ends = Ends { source: end("192.0.2.1:4000"), destination: end("192.0.2.2:80") };
        assert_eq!(read_line.ends, Some(ends));
        let six = header(b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n");
        assert_eq!(six.ends.unwrap().destination, end("[::1]:65535"));
        assert_eq!(header(b"PROXY UNKNOWN\r\n").ends, None);
        assert_eq!(header(b"PROXY UNKNOWN ff ff 1 2\r\n").ends, None);
        for line in [
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
            "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
            "PROXY UNKNOWNS\r\n",
        ] {
            assert!(matches!(read(line.as_bytes()), Proxied::Bad(Version::One, _)), "{line}");
        }
        let endless = [TEXT, &[b'x'; LINE_MAX]].concat();
        assert!(matches!(read(&endless), Proxied::Bad(..)));
        assert_eq!(read(b"GET / HTTP/1.1\r\n"), Proxied::Without);
    }

    #[test]
    fn headers_of_version_2_and_what_they_add() {
        let four = [1, 2, 3, 4, 5, 6, 7, 8, 0, 80, 1, 0];
        let tlvs = [0xe0, 0, 2, b'h', b'i', 4, 0, 0, 9, 0, 9];
        let bytes = [two(0x21, 0x11, &[&four[..], &tlvs].concat()), b"rest".to_vec()].concat();
        let read_header = header(&bytes);
        assert_eq!(read_header.length, bytes.len() - 4);
        let ends = Ends { source: end("1.2.3.4:80"), destination: end("5.6.7.8:256") };
        assert_eq!(read_header.ends, Some(ends));
        let found: Vec<_> = extras(&bytes[read_header.extras]).collect();
        assert_eq!(found, [(0xe0, &b"hi"[..]), (4, b"")]);
        let six = header(&two(0x21, 0x21, &[1; 36]));
        assert_eq!(six.ends.unwrap().source, end("[101:101:101:101:101:101:101:101]:257"));
        for known in [two(0x20, 0, &[]), two(0x20, 0x11, &four), two(0x21, 0, b"x")] {
            assert_eq!(header(&known).ends, None);
        }
        for wrong in [
            two(0x31, 0x11, &four),
            two(0x22, 0x11, &four),
            two(0x21, 0x12, &four),
            two(0x21, 0x11, &four[..11]),
            two(0x21, 0x21, &four),
        ] {
            assert!(matches!(read(&wrong), Proxied::Bad(Version::Two, _)), "{wrong:?}");
        }
    }

    fn decided_once(bytes: &[u8]) {
        let whole = read(bytes);
        for end in 0..bytes.len() {
            let part = read(&bytes[..end]);
            assert!(part == Proxied::Undecided || part == whole, "{end}: {part:?}, {whole:?}");
        }
    }

    proptest! {
        #[test]
        fn however_the_bytes_come_the_answer_is_the_same(
            begin in prop::sample::select(vec![TEXT, SIGNATURE, b"PROXY TCP4 1.1.1.1 ", b""]),
            rest in prop::collection::vec(any::<u8>(), 0..150),
        ) {
            decided_once(&[begin, &rest].concat());
        }

        #[test]
        fn headers_too(
            command in 0x1e_u8..0x24,
            family in prop::sample::select(vec![0_u8, 0x11, 0x12, 0x21, 0x31]),
            content in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            decided_once(&two(command, family, &content));
        }

        #[test]
        fn addresses_come_out_as_they_went_in(from: [u8; 4], to: [u8; 4], ports: (u16, u16)) {
            let (from, to) = (Ipv4Addr::from(from), Ipv4Addr::from(to));
            let line = format!("PROXY TCP4 {from} {to} {} {}\r\n", ports.0, ports.1);
            let ends = Ends {
                source: SocketAddr::new(from.into(), ports.0),
                destination: SocketAddr::new(to.into(), ports.1),
            };
            prop_assert_eq!(header(line.as_bytes()).ends, Some(ends));
        }
    }
}
