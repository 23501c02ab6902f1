//! Servers; each connection has a thread with a small stack.
use crate::{bulk, failure, plain, say, sockets};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::json;
use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    os::fd::AsFd as _,
    thread,
};

const STACK: usize = 128 * 1024;

/// How one connection is served; what it returns is said when it has ended.
type Manner = fn(&TcpStream, u64) -> io::Result<serde_json::Value>;

/// Serves until killed.
pub(crate) fn run(manner: &str, at: SocketAddr, more: &[&str]) -> io::Result<()> {
    let serve: Manner = match manner {
        "greet" => greet,
        "echo" => echo,
        "http" => http,
        "sink" => |stream, _| bulk::sink(stream),
        "source" => bulk::source,
        "reset" => reset,
        "silent" => silent,
        "stuck" => stuck,
        _ => return Err(io::Error::other(format!("no manner {manner:?}"))),
    };
    let bytes = more.first().map_or(Ok(0), |bytes| crate::count(bytes))?;
    let listener = sockets::listen(at)?;
    say(&json!({"listening": plain(listener.local_addr()?)}));
    for stream in listener.incoming() {
        let stream = stream?;
        // One that was reset while it waited has no peer any more.
        let (Ok(peer), Ok(local)) = (stream.peer_addr(), stream.local_addr()) else { continue };
        let (peer, local) = (plain(peer), plain(local));
        if manner != "http" {
            say(&json!({"accepted": peer, "at": local}));
        }
        thread::Builder::new().stack_size(STACK).spawn(move || {
            let ended = serve(&stream, bytes).unwrap_or_else(|e| failure("serve", &e));
            if manner_says(&ended) {
                say(&json!({"ended": peer, "how": ended}));
            }
        })?;
    }
    Ok(())
}

/// Nothing to say stays unsaid.
fn manner_says(ended: &serde_json::Value) -> bool {
    !ended.is_null()
}

/// Speaks first: one line with both addresses; then echoes.
fn greet(mut stream: &TcpStream, bytes: u64) -> io::Result<serde_json::Value> {
    let (peer, local) = (plain(stream.peer_addr()?), plain(stream.local_addr()?));
    writeln!(stream, "{peer} {local}")?;
    echo(stream, bytes)
}

/// Returns every byte, and the end.
fn echo(mut stream: &TcpStream, _: u64) -> io::Result<serde_json::Value> {
    let mut buf = [0; 16 * 1024];
    let mut bytes = 0_usize;
    loop {
        let read = stream.read(&mut buf)?;
        let Some(got) = buf.get(..read).filter(|got| !got.is_empty()) else { break };
        stream.write_all(got)?;
        bytes += read;
    }
    stream.shutdown(Shutdown::Write)?;
    Ok(json!({"ok": true, "bytes": bytes}))
}

/// HTTP/1.1 with keep-alive; answers with the address it saw, its own, and headers `x-…` it got.
fn http(stream: &TcpStream, _: u64) -> io::Result<serde_json::Value> {
    let (peer, local) = (plain(stream.peer_addr()?), plain(stream.local_addr()?));
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    loop {
        let (mut line, mut close, mut first) = (String::new(), false, true);
        let mut heard = Vec::new();
        while reader.read_line(&mut line)? > 0 && line.trim_end() != "" {
            first = false;
            close |= line.eq_ignore_ascii_case("connection: close\r\n");
            if line.to_ascii_lowercase().starts_with("x-") {
                heard.push(line.trim_end().to_owned());
            }
            line.clear();
        }
        if first {
            return Ok(serde_json::Value::Null);
        }
        let body = format!("{peer}\n");
        let connection = if close { "close" } else { "keep-alive" };
        let length = body.len();
        let heard = heard.join("; ");
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain";
        let own = format!("x-own: {local}\r\nx-heard: {heard}");
        write!(
            writer,
            "{head}\r\n{own}\r\ncontent-length: {length}\r\nconnection: {connection}\r\n\r\n{body}"
        )?;
        if close {
            return Ok(serde_json::Value::Null);
        }
    }
}

/// Resets as soon as it hears something.
fn reset(mut stream: &TcpStream, _: u64) -> io::Result<serde_json::Value> {
    stream.read_exact(&mut [0; 1])?;
    sockets::reset_on_close(stream)?;
    Ok(json!({"ok": true}))
}

/// Says nothing and reads until the end; how that came is what it returns.
fn silent(mut stream: &TcpStream, _: u64) -> io::Result<serde_json::Value> {
    let bytes = io::copy(&mut stream, &mut io::sink())?;
    Ok(json!({"ok": true, "bytes": bytes}))
}

/// Never reads; ends when the other side has.
fn stuck(stream: &TcpStream, _: u64) -> io::Result<serde_json::Value> {
    let mut ended = [PollFd::new(stream.as_fd(), PollFlags::empty())];
    poll(&mut ended, PollTimeout::NONE)?;
    Ok(json!({"ok": true}))
}
