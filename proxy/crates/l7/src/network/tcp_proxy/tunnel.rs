//! `tunneling_config`: a connection's bytes as the body of a request, and of its response.
use crate::{
    body::{Body, BodyError, Frame, Pull},
    connection::Connection,
    forward::Chosen as _,
    io::Io,
    message::{Interim, RequestHead},
    network::record::{Line, Record},
    outcome::Reset,
    shared::Shared,
    upstream::Chosen,
};
use bytes::{Buf as _, Bytes};
use culvert_model::http::listener::Tunnel;
use culvert_policy::http::{
    format::{self, Missing, Scene},
    mutate::{Message, route_headers},
};
use http::{Method, StatusCode, uri::PathAndQuery};
use parking_lot::Mutex;
use std::{
    borrow::Cow,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most that waits to be sent.
const PIECE: usize = 64 << 10;

/// Why there is no tunnel.
pub(super) enum NoTunnel {
    Reset(Reset, String),
    /// The answer was another.
    Refused(String),
}

/// What goes into the request's body: one piece at a time.
#[derive(Default)]
struct Slot {
    piece: Option<Bytes>,
    ended: bool,
    /// Whoever waits for a piece, and for room.
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// The request's body.
struct Upload(Arc<Mutex<Slot>>);

/// Both bodies, as a stream.
struct Stream {
    slot: Arc<Mutex<Slot>>,
    download: Body,
    rest: Bytes,
}

/// The request that opens a tunnel; `None`: its hostname is none.
pub(super) fn head(
    config: &Tunnel,
    connection: &Connection,
    shared: &Shared,
) -> Option<RequestHead> {
    let record = Record::default();
    let line = Line::new(connection, &record, shared, "NotSet");
    let scene = Scene::new(&line);
    let mut host = Vec::new();
    format::text(&config.hostname, &scene, Missing::Dash, &mut host);
    let authority = str::from_utf8(&host).ok()?.parse().ok()?;
    let path = if config.post_path.is_empty() { "/" } else { &config.post_path };
    let method = if config.use_post { Method::POST } else { Method::CONNECT };
    let mut head = RequestHead::new(method, authority, PathAndQuery::try_from(path).ok()?);
    if !config.use_post {
        head.path = None;
    }
    route_headers(&config.headers, Message::Request, &mut head.headers, &scene);
    Some(head)
}

/// Opens a tunnel: bytes both ways, once the endpoint has agreed.
pub(super) async fn open(chosen: &Chosen, head: RequestHead) -> Result<Io, NoTunnel> {
    let slot = Arc::<Mutex<Slot>>::default();
    let body = Body::boxed(Upload(Arc::clone(&slot)));
    let sent = chosen
        .pool()
        .send_by(Cow::Owned(head), body, &Interim::default(), |link| chosen.goes_by(link))
        .await;
    let (head, download) = sent.map_err(|failed| {
        let why = failed.why.as_deref().map(str::to_owned);
        NoTunnel::Reset(failed.reset, why.unwrap_or_else(|| failed.reset.to_string()))
    })?;
    chosen.answered(&head);
    if head.status.is_success() || head.status == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Io::boxed(Stream { slot, download, rest: Bytes::new() }));
    }
    Err(NoTunnel::Refused(format!("the tunnel was answered with {}", head.status.as_u16())))
}

impl Pull for Upload {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let mut slot = self.0.lock();
        if let Some(piece) = slot.piece.take() {
            if let Some(writer) = slot.writer.take() {
                writer.wake();
            }
            return Poll::Ready(Some(Ok(Frame::Data(piece))));
        }
        if slot.ended {
            return Poll::Ready(None);
        }
        slot.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // The body that is pulled elsewhere ends, too.
        let mut slot = self.slot.lock();
        slot.ended = true;
        if let Some(reader) = slot.reader.take() {
            reader.wake();
        }
    }
}

impl Stream {
    /// Waits until there is room for a piece.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Over HTTP/1 it is the response's body that sends.
        self.download.poll_progress(cx);
        let mut slot = self.slot.lock();
        if slot.piece.is_none() {
            return Poll::Ready(());
        }
        slot.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn put(&mut self, cx: &mut Context<'_>, change: impl FnOnce(&mut Slot)) {
        let reader = {
            let mut slot = self.slot.lock();
            change(&mut slot);
            slot.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
        self.download.poll_progress(cx);
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(self.download.poll_frame(cx)) {
                Some(Ok(Frame::Data(data))) => self.rest = data,
                Some(Ok(Frame::Trailers(_))) => {}
                None => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
            }
        }
        let count = self.rest.len().min(buf.remaining());
        buf.put_slice(self.rest.get(..count).unwrap_or_default());
        self.rest.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_room(cx));
        let piece = buf.get(..buf.len().min(PIECE)).unwrap_or_default();
        self.put(cx, |slot| slot.piece = Some(Bytes::copy_from_slice(piece)));
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.download.poll_progress(cx);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_room(cx));
        self.put(cx, |slot| slot.ended = true);
        Poll::Ready(Ok(()))
    }
}
