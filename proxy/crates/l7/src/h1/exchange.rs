//! A request on its way out and its response on its way in, at the same time.
use super::{
    Framing,
    client::{Client, ClientOptions, Lease},
    inbox::Inbox,
    names::Spelling,
    outbox::Outbox,
    outgoing::Outgoing,
    reader::Reader,
    response::{self, Asked, Parsed},
};
use crate::{
    body::{Body, BodyError, Frame, Length},
    message::{Interim, ResponseHead},
    outcome::Reset,
};
use http::StatusCode;
use std::{
    fmt,
    future::poll_fn,
    task::{Context, Poll, ready},
};

/// A response on its way in, and what is left of its request on the way out.
pub struct Exchange {
    /// `None` when it is over.
    client: Option<Box<Client>>,
    upload: Upload,
    /// The connection can be used again once both are over.
    keep_alive: bool,
    lease: Lease,
}

/// A request on its way out.
#[derive(Debug)]
pub(super) struct Upload {
    outgoing: Outgoing,
    outbox: Outbox,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// Only the head may go; the rest waits for the other side to agree to a tunnel.
    Head,
    Tunnel,
    Body,
    Done,
    /// The other side takes no more; it may still answer.
    Cut,
}

impl Exchange {
    pub(super) fn new(client: Box<Client>, upload: Upload, lease: Lease) -> Self {
        Self { client: Some(client), upload, keep_alive: false, lease }
    }

    /// Waits for the response.
    pub(super) async fn response(
        mut self,
        asked: &Asked,
        interim: &Interim,
    ) -> Result<(ResponseHead, Body), Reset> {
        let parsed = poll_fn(|cx| self.poll_head(cx, asked, interim)).await?;
        let Parsed { head, framing, len: _, keep_alive } = parsed;
        self.keep_alive = keep_alive;
        self.upload.agreed(framing == Framing::Tunnel);
        let Some(client) = &mut self.client else { return Ok((head, Body::Empty)) };
        client.reader.begin(framing);
        if self.upload.is_done()
            && let Some(body) = at_hand(&mut client.reader)
        {
            self.finish();
            return Ok((head, body));
        }
        Ok((head, Body::H1Exchange(Box::new(self))))
    }

    /// The next piece of the response.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame, BodyError>>> {
        let Some(client) = &mut self.client else { return Poll::Ready(None) };
        self.upload.poll(cx, client)?;
        let next = ready!(client.reader.poll_frame(cx, &client.io));
        let trailers = client.options.trailers;
        if matches!(next, Some(Err(_))) {
            self.client = None;
        } else if client.reader.is_done() {
            self.finish();
        }
        match next {
            Some(Ok(Frame::Trailers(_))) if !trailers => Poll::Ready(None),
            next => Poll::Ready(next),
        }
    }

    /// Goes on with the request while nobody takes the response.
    pub(crate) fn poll_progress(&mut self, cx: &mut Context<'_>) {
        if let Some(client) = &mut self.client {
            // Told with the next piece.
            let _sent = self.upload.poll(cx, client);
        }
    }

    pub(crate) fn length(&self) -> Length {
        self.client.as_ref().map_or(Length::Exactly(0), |client| client.reader.length())
    }

    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        asked: &Asked,
        interim: &Interim,
    ) -> Poll<Result<Parsed, Reset>> {
        let Some(client) = &mut self.client else {
            return Poll::Ready(Err(Reset::ConnectionTermination));
        };
        self.upload.poll(cx, client).map_err(|_why| Reset::LocalReset)?;
        loop {
            let options = &client.options;
            let inbox = &mut client.reader.inbox;
            while let Some(parsed) = next_head(inbox, asked, options)? {
                let status = parsed.head.status;
                if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
                    return Poll::Ready(Ok(parsed));
                }
                interim.send(parsed.head);
            }
            match ready!(inbox.poll_fill(cx, &client.io, None)) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Poll::Ready(Err(Reset::ConnectionTermination)),
            }
        }
    }

    /// The response is over: the connection goes back when it can be used again.
    fn finish(&mut self) {
        let Lease { home, share } = std::mem::take(&mut self.lease);
        drop(share);
        let Some(mut client) = self.client.take() else { return };
        if self.keep_alive
            && self.upload.is_done()
            && client.reader.inbox.is_empty()
            && let Some(home) = home
        {
            client.rest();
            home.take_back(client);
        }
    }
}

/// The head that is in `inbox`, if it is whole.
fn next_head(
    inbox: &mut Inbox,
    asked: &Asked,
    options: &ClientOptions,
) -> Result<Option<Parsed>, Reset> {
    if inbox.is_empty() {
        return Ok(None);
    }
    let parsed = response::parse(inbox.bytes(), asked, options.limits);
    let mut parsed = parsed.map_err(|_why| Reset::ProtocolError)?;
    if let Some(parsed) = &mut parsed {
        let head = inbox.bytes().get(..parsed.len).unwrap_or_default();
        parsed.head.spelling = Spelling::kept(options.names, head);
        inbox.advance(parsed.len);
    }
    Ok(parsed)
}

/// The whole body, if all of it came with the head: nothing to wait for.
fn at_hand(reader: &mut Reader) -> Option<Body> {
    match reader.length() {
        Length::Exactly(0) => Some(Body::Empty),
        Length::Exactly(length) if length <= reader.inbox.bytes().len() as u64 => {
            match reader.frame_at_hand() {
                Some(Ok(Frame::Data(data))) => Some(Body::Full(data)),
                Some(Ok(Frame::Trailers(_)) | Err(_)) | None => None,
            }
        }
        Length::Exactly(_) | Length::Unknown => None,
    }
}

impl Upload {
    pub(super) fn new(outgoing: Outgoing, outbox: Outbox, tunnel: bool) -> Self {
        Self { outgoing, outbox, state: if tunnel { State::Head } else { State::Body } }
    }

    /// The response has come; `tunnel` when it agreed to one.
    fn agreed(&mut self, tunnel: bool) {
        if self.state == State::Head {
            self.state = if tunnel { State::Tunnel } else { State::Done };
            if !tunnel {
                self.outgoing.abandon();
            }
        }
    }

    const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Sends what can be sent.
    fn poll(&mut self, cx: &mut Context<'_>, client: &Client) -> Result<(), BodyError> {
        loop {
            let goes = matches!(self.state, State::Body | State::Tunnel);
            if !goes && self.state != State::Head {
                return Ok(());
            }
            if goes {
                self.outgoing.fill(cx, &mut self.outbox)?;
            }
            let left = self.outbox.len();
            match self.outbox.poll_flush(cx, &client.io) {
                Poll::Pending => {
                    self.outgoing.poll_progress(cx);
                    return Ok(());
                }
                Poll::Ready(Err(_)) => {
                    self.state = State::Cut;
                    self.outgoing.abandon();
                    return Ok(());
                }
                Poll::Ready(Ok(())) if goes && self.outgoing.is_over() => {
                    if self.state == State::Tunnel {
                        // The other side may have more to say.
                        let _told = client.io.poll_shutdown(cx);
                    }
                    self.state = State::Done;
                    return Ok(());
                }
                Poll::Ready(Ok(())) if left == 0 || !goes => return Ok(()),
                Poll::Ready(Ok(())) => {}
            }
        }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, upload, keep_alive, lease } = self;
        f.debug_struct("Exchange")
            .field("client", client)
            .field("upload", upload)
            .field("keep_alive", keep_alive)
            .field("lease", lease)
            .finish()
    }
}
