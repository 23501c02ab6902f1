//! One request of HTTP.
use crate::{say, sockets};
use serde_json::{Map, Value, json};
use std::{
    io::{self, Read as _, Write as _},
    net::SocketAddr,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// Asks for `path` with these headers, and says status, headers and body of the answer.
pub(crate) fn run(to: SocketAddr, path: &str, headers: &[&str]) -> io::Result<()> {
    let mut stream = sockets::plain(to)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n")?;
    headers.iter().try_for_each(|header| write!(stream, "{header}\r\n"))?;
    write!(stream, "\r\n")?;
    let local = stream.local_addr()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let no_head = || io::Error::other(format!("an answer without a head: {answer:?}"));
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(no_head)?;
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let status: u16 = status.and_then(|status| status.parse().ok()).ok_or_else(no_head)?;
    let fields = lines.filter_map(|line| line.split_once(": "));
    let fields: Map<_, _> =
        fields.map(|(name, value)| (name.to_ascii_lowercase(), value.into())).collect();
    let fields = Value::Object(fields);
    say(&json!({
        "ok": true, "status": status, "headers": fields, "body": body.trim_end(), "local": local,
    }));
    Ok(())
}
