//! Peers that know the protocol and keep to none of its rules, frame by frame.
mod client;
mod faults;
mod floods;
mod leaving;
mod waiting;
mod windows;

use super::world::{Mesh, Server, app, id, never_answer, through};
use crate::hbone::http2::{
    block::Assembly,
    code::Code,
    frame::{Frame, HEAD, Head, PREFACE, write},
    hpack::{Decoder, Encoder},
    response::Response,
    settings::Settings,
};
use culvert_identity::tls;
use http::StatusCode;
use std::net::SocketAddr;
use tokio::{
    io::{self, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

const LIMIT: usize = 64 << 10;

/// One end of a link, frame by frame.
struct Attacker {
    said: Said,
    heard: Heard,
}

/// What is sent.
struct Said {
    io: Box<dyn AsyncWrite + Send + Unpin>,
    encoder: Encoder,
    out: Vec<u8>,
}

/// What comes.
struct Heard {
    io: Box<dyn AsyncRead + Send + Unpin>,
    decoder: Decoder,
    assembly: Assembly,
}

/// A frame that came.
#[derive(Debug)]
enum Seen {
    /// A request, or an answer with its status.
    Block(u32, Option<StatusCode>),
    Data(u32, Vec<u8>, bool),
    Reset(u32, Code),
    GoAway(u32, Code),
    Ping([u8; 8]),
    Pong([u8; 8]),
    Other,
    /// The link was closed.
    Gone,
}

impl Attacker {
    fn of(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (reads, writes) = io::split(io);
        let said = Said { io: Box::new(writes), encoder: Encoder::default(), out: Vec::new() };
        let (decoder, assembly) = (Decoder::new(0), Assembly::new(LIMIT));
        Self { said, heard: Heard { io: Box::new(reads), decoder, assembly } }
    }

    /// A client of `server` that has said nothing.
    async fn silent(mesh: &Mesh, server: &Server) -> Self {
        let own = mesh.certificate("cart").await;
        let tcp = TcpStream::connect(server.addr).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        Self::of(tls::connect(&own, [id("bank")].into(), tcp).await.unwrap().io)
    }

    /// A client of `server` that has begun, and said this of itself.
    async fn with(mesh: &Mesh, server: &Server, settings: Settings) -> Self {
        let mut attacker = Self::silent(mesh, server).await;
        attacker.said.out.extend_from_slice(PREFACE);
        write::settings(&settings, &mut attacker.said.out);
        attacker.said.send().await;
        attacker
    }

    async fn new(mesh: &Mesh, server: &Server) -> Self {
        Self::with(mesh, server, Settings::default()).await
    }

    /// Opens a stream to an application; its end.
    async fn open(&mut self, stream: u32) -> TcpStream {
        let (listener, addr) = app().await;
        self.open_to(stream, &listener, addr).await
    }

    async fn open_to(&mut self, stream: u32, to: &TcpListener, addr: SocketAddr) -> TcpStream {
        self.said.ask(stream, addr, false);
        self.said.send().await;
        let accepted = to.accept().await.unwrap().0;
        assert_eq!(self.heard.status_of(stream).await, StatusCode::OK);
        accepted
    }

    /// The stream still carries, both ways.
    async fn carries(&mut self, stream: u32, app: &mut TcpStream) {
        self.said.data(stream, b"question", false);
        self.said.send().await;
        let mut question = [0; 8];
        app.read_exact(&mut question).await.unwrap();
        assert_eq!(&question, b"question");
        app.write_all(b"answer").await.unwrap();
        let mut answer = Vec::new();
        while answer.len() < 6 {
            answer.extend(self.heard.data_of(stream).await.0);
        }
        assert_eq!(answer, b"answer");
    }
}

impl Said {
    /// Whether it was taken.
    async fn try_send(&mut self) -> bool {
        let sent = self.io.write_all(&self.out).await.and(self.io.flush().await);
        self.out.clear();
        sent.is_ok()
    }

    async fn send(&mut self) {
        assert!(self.try_send().await, "the link is closed");
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.out.extend(frame(kind, flags, stream, payload));
    }

    fn ask(&mut self, stream: u32, to: SocketAddr, ends: bool) {
        let mut block = Vec::new();
        self.encoder.encode(b":method", b"CONNECT", &mut block);
        self.encoder.encode(b":authority", to.to_string().as_bytes(), &mut block);
        write::headers(stream, &block, ends, 1 << 14, &mut self.out);
    }

    fn data(&mut self, stream: u32, bytes: &[u8], ends: bool) {
        let length = u32::try_from(bytes.len()).unwrap();
        self.out.extend(Head::data(stream, length, ends).write());
        self.out.extend_from_slice(bytes);
    }
}

impl Heard {
    /// The next frame.
    async fn next(&mut self) -> Seen {
        let mut head = [0; HEAD];
        if self.io.read_exact(&mut head).await.is_err() {
            return Seen::Gone;
        }
        let head = Head::parse(&head);
        let mut payload = vec![0; head.length as usize];
        if self.io.read_exact(&mut payload).await.is_err() {
            return Seen::Gone;
        }
        let frame = Frame::parse(head, &payload).unwrap();
        self.assembly.check(head).unwrap();
        if let Some(block) = self.assembly.take(&frame).unwrap() {
            let read = Response::decode(&mut self.decoder, block.bytes.as_ref(), LIMIT);
            return Seen::Block(block.stream, read.ok().map(|response| response.status));
        }
        match frame {
            Frame::Data { stream, end_stream, bytes } => {
                Seen::Data(stream, bytes.to_vec(), end_stream)
            }
            Frame::Reset { stream, code } => Seen::Reset(stream, code),
            Frame::GoAway { last, code, .. } => Seen::GoAway(last, code),
            Frame::Ping(said) => Seen::Ping(said),
            Frame::Pong(said) => Seen::Pong(said),
            Frame::Headers { .. }
            | Frame::Continuation { .. }
            | Frame::Settings(_)
            | Frame::SettingsAck
            | Frame::WindowUpdate { .. }
            | Frame::Ignored => Seen::Other,
        }
    }

    /// The first frame that `pick` wants.
    async fn until<T>(&mut self, mut pick: impl FnMut(&Seen) -> Option<T>) -> T {
        loop {
            let seen = self.next().await;
            if let Some(picked) = pick(&seen) {
                return picked;
            }
            assert!(!matches!(seen, Seen::Gone), "the link was closed");
        }
    }

    /// What `pick` wants of a stream, which must not be reset.
    async fn until_of<T>(&mut self, id: u32, mut pick: impl FnMut(&Seen) -> Option<T>) -> T {
        let picked = self.until(|seen| {
            if let Seen::Reset(stream, code) = seen {
                assert_ne!(*stream, id, "reset: {code}");
            }
            pick(seen)
        });
        picked.await
    }

    async fn status_of(&mut self, id: u32) -> StatusCode {
        let status = self.until_of(id, |seen| {
            let Seen::Block(stream, status) = seen else { return None };
            status.filter(|_| *stream == id)
        });
        status.await
    }

    async fn data_of(&mut self, id: u32) -> (Vec<u8>, bool) {
        let data = self.until_of(id, |seen| {
            let Seen::Data(stream, bytes, ends) = seen else { return None };
            (*stream == id).then(|| (bytes.clone(), *ends))
        });
        data.await
    }

    async fn pong(&mut self) -> [u8; 8] {
        self.until(|seen| if let Seen::Pong(said) = seen { Some(*said) } else { None }).await
    }

    async fn reset_of(&mut self, id: u32) -> Code {
        let code = self.until(|seen| {
            assert!(!matches!(seen, Seen::GoAway(..)), "{seen:?}");
            let Seen::Reset(stream, code) = seen else { return None };
            (*stream == id).then_some(*code)
        });
        code.await
    }

    /// Waits until the link is closed; why, as it was told.
    async fn goodbye(&mut self) -> Code {
        self.last_words().await.expect("a goodbye")
    }

    /// Waits until the link is closed; what was said of that, if anything.
    async fn last_words(&mut self) -> Option<Code> {
        let mut said = None;
        loop {
            let seen = self.next().await;
            if let Seen::GoAway(_, code) = seen {
                said = Some(code);
            }
            if matches!(seen, Seen::Gone) {
                return said;
            }
        }
    }
}

/// The bytes of a frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, l0, l1, l2] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let [s0, s1, s2, s3] = stream.to_be_bytes();
    [&[l0, l1, l2, kind, flags, s0, s1, s2, s3], payload].concat()
}

/// A block that leaves tables alone.
fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0);
        for text in [name, value] {
            // Up to 126 bytes, or 127 and what is beyond it in two bytes.
            match text.len() {
                short @ ..127 => block.push(u8::try_from(short).unwrap()),
                long => {
                    let beyond = long - 127;
                    block.push(127);
                    block.push(u8::try_from(beyond & 0x7f).unwrap() | 0x80);
                    block.push(u8::try_from(beyond >> 7 & 0x7f).unwrap() | 0x80);
                    block.push(u8::try_from(beyond >> 14).unwrap());
                }
            }
            block.extend(text.bytes());
        }
    }
    block
}

/// The server still serves others.
async fn lives(mesh: &Mesh, server: &Server) {
    let client = mesh.client(server, 1).await;
    let (mut one, mut other) = through(&client).await;
    one.write_all(b"word").await.unwrap();
    other.read_exact(&mut [0; 4]).await.unwrap();
}
