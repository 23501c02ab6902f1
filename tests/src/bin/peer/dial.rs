//! One connection to a greeting server, by each kind of socket.
use crate::{address, failure, plain, say, sockets};
use serde_json::{Value, json};
use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

const PING: &[u8] = b"ping\n";
const PATIENCE: Duration = Duration::from_secs(10);

/// Connects, reads the greeting, echoes once; says what both ends saw.
pub(crate) fn run(kind: &str, to: SocketAddr, more: &[&str]) -> io::Result<()> {
    let first_of_more = || more.first().copied().ok_or_else(|| io::Error::other("one more needed"));
    let connected = match kind {
        "plain" => sockets::plain(to),
        "bound" => sockets::bound(to, address(first_of_more()?)?),
        "bound-to-device" => sockets::bound_to_device(to, first_of_more()?),
        "mapped" => sockets::mapped(to),
        "nonblocking" => sockets::nonblocking(to),
        "uring" => sockets::by_uring(to),
        "multipath" => sockets::multipath(to),
        "fast-open-send" => sockets::fast_open_send(to, PING),
        "fast-open-connect" => sockets::fast_open_connect(to, PING),
        "reused" => sockets::reused(to, address(first_of_more()?)?),
        "marked" => first_of_more()?
            .parse()
            .map_err(io::Error::other)
            .and_then(|mark| sockets::marked(to, mark)),
        _ => return Err(io::Error::other(format!("no kind {kind:?}"))),
    };
    let sent = kind.starts_with("fast-open");
    say(&match connected {
        Ok(stream) => converse(&stream, sent).unwrap_or_else(|e| failure("talk", &e)),
        Err(error) => failure("connect", &error),
    });
    Ok(())
}

/// Connects, says something, and resets.
pub(crate) fn abort(to: SocketAddr) -> io::Result<()> {
    let stream = sockets::plain(to)?;
    (&stream).write_all(PING)?;
    let mut echoed = String::new();
    BufReader::new(&stream).read_line(&mut echoed)?;
    sockets::reset_on_close(&stream)?;
    say(&json!({"ok": true, "local": plain(stream.local_addr()?)}));
    Ok(())
}

/// Connects, sends a line and reads it back.
pub(crate) fn tell(to: SocketAddr, text: &str) -> io::Result<()> {
    let told = sockets::plain(to).and_then(|mut stream| {
        stream.set_read_timeout(Some(PATIENCE))?;
        writeln!(stream, "{text}")?;
        let mut back = String::new();
        BufReader::new(&stream).read_line(&mut back)?;
        Ok(json!({"ok": back.trim_end() == text, "local": plain(stream.local_addr()?)}))
    });
    say(&told.unwrap_or_else(|error| failure("tell", &error)));
    Ok(())
}

fn converse(stream: &TcpStream, sent: bool) -> io::Result<Value> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let local = plain(stream.local_addr()?);
    let peer = plain(stream.peer_addr()?);
    let mut reader = BufReader::new(stream);
    let mut greeting = String::new();
    reader.read_line(&mut greeting)?;
    if !sent {
        (&mut &*stream).write_all(PING)?;
    }
    let mut echoed = String::new();
    reader.read_line(&mut echoed)?;
    let mut greeted = greeting.split_whitespace();
    Ok(json!({
        "ok": echoed.as_bytes() == PING,
        "stage": "done",
        "local": local,
        "peer": peer,
        "seen": greeted.next(),
        "server": greeted.next(),
    }))
}
