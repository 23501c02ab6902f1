//! One connection that stays, and says when it ends.
use crate::{failure, plain, say, sockets};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Value, json};
use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _, stdin},
    net::{SocketAddr, TcpStream},
    os::fd::AsFd as _,
};

const PING: &[u8] = b"ping\n";

/// Connects to a greeting server; each line of standard input is one ping. Ends with the
/// connection, which is said at once, or with standard input.
pub(crate) fn run(to: SocketAddr) -> io::Result<()> {
    let stream = match sockets::plain(to).and_then(greeted) {
        Ok(stream) => stream,
        Err(error) => {
            say(&failure("connect", &error));
            return Ok(());
        }
    };
    say(&json!({"ok": true, "local": plain(stream.local_addr()?)}));
    loop {
        let input = stdin();
        let mut ready = [
            PollFd::new(stream.as_fd(), PollFlags::POLLIN),
            PollFd::new(input.as_fd(), PollFlags::POLLIN),
        ];
        poll(&mut ready, PollTimeout::NONE)?;
        let [ended, asked] = ready.map(|fd| fd.any().unwrap_or(false));
        if ended {
            say(&end(&stream));
            return Ok(());
        }
        if asked {
            // Unbuffered, so that nothing is left where poll does not see it.
            let mut byte = [0];
            if input.lock().read(&mut byte)? == 0 {
                say(&json!({"ok": true, "ended": false}));
                return Ok(());
            }
            if byte == *b"\n" {
                say(&ping(&stream).unwrap_or_else(|error| failure("ping", &error)));
            }
        }
    }
}

fn greeted(stream: TcpStream) -> io::Result<TcpStream> {
    let mut byte = [0];
    // Byte by byte, so that nothing after the line is lost.
    while byte != *b"\n" {
        (&stream).read_exact(&mut byte)?;
    }
    Ok(stream)
}

fn ping(mut stream: &TcpStream) -> io::Result<Value> {
    stream.write_all(PING)?;
    let mut back = String::new();
    BufReader::new(stream).read_line(&mut back)?;
    Ok(json!({"ok": back.as_bytes() == PING}))
}

/// How the other side ended it.
fn end(mut stream: &TcpStream) -> Value {
    match stream.read(&mut [0]) {
        Ok(0) => json!({"ok": false, "error": "End"}),
        Ok(_) => json!({"ok": false, "error": "UnaskedFor"}),
        Err(error) => failure("wait", &error),
    }
}
