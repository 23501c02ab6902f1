//! Which protocol a connection begins with.
use crate::{dial::Protocol, io::Io};
use bytes::BytesMut;
use std::{io, time::Duration};
use tokio::{io::AsyncReadExt as _, net::TcpStream, time};

/// What a client of HTTP/2 says first (RFC 9113 §3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What first bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begins {
    With(Protocol),
    /// No HTTP.
    Otherwise,
    /// It could still be either.
    Undecided,
}

/// What a connection that begins with `bytes` speaks.
pub fn begins(bytes: &[u8]) -> Begins {
    if bytes.starts_with(PREFACE) {
        return Begins::With(Protocol::Http2);
    }
    if PREFACE.starts_with(bytes) {
        return Begins::Undecided;
    }
    first_line(bytes)
}

/// A method, a target and a version, as far as they are there.
fn first_line(bytes: &[u8]) -> Begins {
    const METHOD_MAX: usize = 64;
    const LINE_MAX: usize = 64 << 10;
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let method = bytes.iter().take_while(|byte| is_token(byte)).count();
    if method == bytes.len() && method <= METHOD_MAX {
        return Begins::Undecided;
    }
    if method == 0 || METHOD_MAX < method || bytes[method] != b' ' {
        return Begins::Otherwise;
    }
    let Some(end) = memchr::memchr(b'\n', bytes) else {
        return if bytes.len() < LINE_MAX { Begins::Undecided } else { Begins::Otherwise };
    };
    let line = bytes[..end].trim_ascii_end();
    let version = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    if version == b"HTTP/1.1" || version == b"HTTP/1.0" {
        Begins::With(Protocol::Http1)
    } else {
        Begins::Otherwise
    }
}

/// Looks at the first bytes of `tcp` without taking them, for at most `wait`: undecided when the
/// client says nothing, as clients do whose server speaks first.
///
/// # Errors
///
/// When the connection fails.
pub async fn peek(tcp: &TcpStream, wait: Duration) -> io::Result<Begins> {
    let look = async {
        let mut seen = 0;
        let mut bytes = vec![0; 1024];
        loop {
            let read = tcp.peek(&mut bytes).await?;
            let begins = begins(&bytes[..read]);
            if begins != Begins::Undecided || read == 0 || read == bytes.len() {
                return Ok(begins);
            }
            if read == seen {
                // The socket stays readable: there is nothing to await for the rest of a line.
                time::sleep(Duration::from_millis(1)).await;
            }
            seen = read;
        }
    };
    time::timeout(wait, look).await.unwrap_or(Ok(Begins::Undecided))
}

/// Reads the first bytes of any connection until they tell, for at most `wait`; the connection that
/// is given back begins with them again.
///
/// # Errors
///
/// When the connection fails.
pub async fn read(mut io: Io, wait: Duration) -> io::Result<(Io, Begins)> {
    let mut seen = BytesMut::new();
    let mut told = Begins::Undecided;
    let look = async {
        while told == Begins::Undecided && io.read_buf(&mut seen).await? != 0 {
            told = begins(&seen);
        }
        Ok::<_, io::Error>(())
    };
    time::timeout(wait, look).await.unwrap_or(Ok(()))?;
    Ok((io.after(seen.freeze()), told))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt as _;

    #[test]
    fn every_first_line() {
        assert_eq!(begins(PREFACE), Begins::With(Protocol::Http2));
        assert_eq!(begins(b"GET / HTTP/1.1\r\n"), Begins::With(Protocol::Http1));
        assert_eq!(begins(b"PROPFIND /x HTTP/1.0\n"), Begins::With(Protocol::Http1));
        for bytes in [&b""[..], b"G", b"GET ", b"GET / HTTP/1.1", b"PRI", b"PRI * HTTP/2.0\r\n"] {
            assert_eq!(begins(bytes), Begins::Undecided, "{bytes:?}");
        }
        let hello = b"\x16\x03\x01\x02\x00\x01";
        for bytes in
            [&hello[..], b"SSH-2.0-x\r\n", b"\0", b" GET", b"GET / HTTP/3\r\n", b"HELO a\r\n"]
        {
            assert_eq!(begins(bytes), Begins::Otherwise, "{bytes:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_looked_at_is_read_again() {
        let wait = Duration::from_secs(1);
        let (mut near, far) = tokio::io::duplex(100);
        near.write_all(b"GE").await.unwrap();
        let says = async {
            tokio::task::yield_now().await;
            near.write_all(b"T / HTTP/1.1\r\nx").await.unwrap();
            near
        };
        let (read, near) = tokio::join!(read(Io::boxed(far), wait), says);
        let (mut io, begins) = read.unwrap();
        assert_eq!(begins, Begins::With(Protocol::Http1));
        drop(near);
        let mut all = String::new();
        io.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "GET / HTTP/1.1\r\nx");
        let (_silent, far) = tokio::io::duplex(100);
        let (_, begins) = super::read(Io::boxed(far), wait).await.unwrap();
        assert_eq!(begins, Begins::Undecided, "its server speaks first");
    }

    proptest! {
        #[test]
        fn more_bytes_change_no_answer(bytes: Vec<u8>, more: Vec<u8>) {
            let before = begins(&bytes);
            let after = begins(&[bytes, more].concat());
            prop_assert!(before == Begins::Undecided || before == after);
        }
    }
}
