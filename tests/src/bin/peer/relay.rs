//! A service of an application: before it answers, it asks others.
use crate::{address, plain, say, sockets};
use serde_json::json;
use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(6);
const STACK: usize = 256 * 1024;

/// Serves HTTP until killed; each request has every one of `next` (`NAME:PORT`) asked anew, and is
/// answered with 502 and the reason when one of them does not answer.
pub(crate) fn run(at: SocketAddr, next: &[&str]) -> io::Result<()> {
    let listener = sockets::listen(at)?;
    say(&json!({"listening": plain(listener.local_addr()?)}));
    for stream in listener.incoming() {
        let stream = stream?;
        let next: Vec<String> = next.iter().map(|&next| next.to_owned()).collect();
        thread::Builder::new().stack_size(STACK).spawn(move || {
            // Whoever is not answered knows it.
            drop(answer(&stream, &next));
        })?;
    }
    Ok(())
}

fn answer(stream: &TcpStream, next: &[String]) -> io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next().transpose()?
        && !line.is_empty()
    {}
    let asked = next.iter().try_for_each(|next| {
        ask(next).map_err(|error| io::Error::new(error.kind(), format!("{next}: {error}")))
    });
    let (status, body) = match asked {
        Ok(()) => ("200 OK", "served".to_owned()),
        Err(error) => {
            say(&json!({"unanswered": error.to_string()}));
            ("502 Bad Gateway", error.to_string())
        }
    };
    let length = body.len() + 1;
    let mut writer = stream;
    write!(
        writer,
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}\n"
    )
}

fn ask(next: &str) -> io::Result<()> {
    let mut stream = sockets::plain(address(next)?)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: next\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200 ") && answer.ends_with('\n') {
        return Ok(());
    }
    Err(io::Error::other(answer.lines().next_back().unwrap_or("no answer").to_owned()))
}
