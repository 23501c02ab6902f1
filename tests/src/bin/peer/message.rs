//! Messages of HTTP/1.1, as far as our helpers speak it: heads, and bodies of a told length.
use crate::{address, count, sockets};
use std::{
    io::{self, BufRead, BufReader, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A request or an answer.
#[derive(Debug)]
pub(crate) struct Message {
    first: String,
    fields: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Message {
    /// The next one; `None`: the other side has ended.
    pub(crate) fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut first = String::new();
        if from.read_line(&mut first)? == 0 {
            return Ok(None);
        }
        let mut message =
            Self { first: first.trim_end().to_owned(), fields: Vec::new(), body: String::new() };
        let mut line = String::new();
        while from.read_line(&mut line)? > 0
            && let Some((name, value)) = line.trim_end().split_once(':')
        {
            message.fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            line.clear();
        }
        let length = message.field("content-length").map_or(Ok(0), count)?;
        from.take(length).read_to_string(&mut message.body)?;
        Ok(Some(message))
    }

    /// The path of a request, the status of an answer.
    pub(crate) fn second(&self) -> &str {
        self.first.split(' ').nth(1).unwrap_or_default()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields().find(|(field, _)| *field == name).map(|(_, value)| value)
    }

    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// A connection on which requests are made.
#[derive(Debug)]
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Client {
    /// To a server by its name or address, and its port.
    pub(crate) fn connect(server: &str) -> io::Result<Self> {
        let stream = sockets::plain(address(server)?)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // As browsers do.
        let host = server.strip_suffix(":80").unwrap_or(server).to_owned();
        Ok(Self { stream: BufReader::new(stream), host })
    }

    pub(crate) fn get(&mut self, path: &str, headers: &[&str]) -> io::Result<Message> {
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let host = &self.host;
        write!(self.stream.get_mut(), "GET {path} HTTP/1.1\r\nhost: {host}\r\n{headers}\r\n")?;
        let answer = Message::read(&mut self.stream)?;
        answer.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}
