//! Connections of those who do not speak the language, or take their time.
use crate::{say, sockets};
use serde_json::json;
use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
    time::Duration,
};

const STACK: usize = 128 * 1024;
const BETWEEN: Duration = Duration::from_millis(100);
const GARBAGE: usize = 16 * 1024;

/// How a TLS record with a `ClientHello` of 512 bytes begins; zeros follow.
const HELLO: [u8; 9] = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc];

/// What each of the connections does until the other side ends it.
#[derive(Clone, Copy)]
pub(crate) enum Manner {
    /// Nothing at all.
    Silent,
    /// One byte of a handshake after the other, slowly.
    Slow,
    /// Bytes without any sense, and no more.
    Garbage,
}

/// That many at once; says when all are open, and when the last has been ended.
pub(crate) fn run(manner: Manner, to: SocketAddr, times: u64) -> io::Result<()> {
    let streams: Vec<_> = (0..times).map(|_| sockets::plain(to)).collect::<io::Result<_>>()?;
    say(&json!({"ok": true, "open": streams.len()}));
    let spawn =
        |stream| thread::Builder::new().stack_size(STACK).spawn(move || talk(manner, &stream));
    let talks: Vec<_> = streams.into_iter().map(spawn).collect::<io::Result<_>>()?;
    let ended = talks.into_iter().filter_map(|talk| talk.join().ok()).count();
    say(&json!({"ok": true, "ended": ended}));
    Ok(())
}

/// Returns when the other side has ended it.
fn talk(manner: Manner, mut stream: &TcpStream) {
    if matches!(manner, Manner::Garbage) {
        let mut state = u64::from(stream.local_addr().map_or(1, |addr| addr.port()));
        let noise: Vec<u8> = (0..GARBAGE)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                state.to_be_bytes()[0]
            })
            .collect();
        // Whether it takes them is not what counts.
        drop(stream.write_all(&noise));
        drop(stream.shutdown(Shutdown::Write));
    }
    let mut left = HELLO.into_iter().chain([0; 503]);
    drop(stream.set_read_timeout(Some(BETWEEN)));
    loop {
        match stream.read(&mut [0; 4096]) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let byte = if matches!(manner, Manner::Slow) { left.next() } else { None };
                if byte.is_some_and(|byte| stream.write_all(&[byte]).is_err()) {
                    return;
                }
            }
            Err(_ended) => return,
        }
    }
}
