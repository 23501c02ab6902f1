//! A request on its way out and its response on its way in, at the same time.
use super::{
    client::Lease,
    convert,
    incoming::Incoming,
    upload::{Sent, Upload},
};
use crate::{
    body::{Body, BodyError, Frame, Length},
    message::{Interim, ResponseHead},
    outcome::Reset,
};
use h2::client::ResponseFuture;
use http::HeaderValue;
use std::{
    future::{Future as _, poll_fn},
    pin::Pin,
    task::{Context, Poll},
};

/// A response on its way in, and what is left of its request on the way out.
#[derive(Debug)]
pub struct Exchange {
    incoming: Incoming,
    upload: Upload,
    /// Given back with it.
    _lease: Lease,
}

impl Exchange {
    /// Waits for the response.
    pub(super) async fn response(
        mut response: ResponseFuture,
        mut upload: Upload,
        upgrade: Option<&HeaderValue>,
        interim: &Interim,
        lease: Lease,
    ) -> Result<(ResponseHead, Body), Reset> {
        let response = poll_fn(|cx| poll_head(cx, &mut response, &mut upload, interim)).await?;
        let (parts, stream) = response.into_parts();
        let ended = stream.is_end_stream();
        let incoming = Incoming::new(stream, &parts.headers);
        let head = convert::response(parts, upgrade);
        if ended && upload.is_done() {
            return Ok((head, Body::Empty));
        }
        let mut exchange = Self { incoming, upload, _lease: lease };
        // A small body came with its head: nothing to wait for.
        let first = poll_fn(|cx| {
            Poll::Ready(if exchange.upload.is_done() {
                exchange.poll_frame(cx)
            } else {
                Poll::Pending
            })
        })
        .await;
        let body = match first {
            Poll::Pending => Body::H2Exchange(Box::new(exchange)),
            Poll::Ready(None) => Body::Empty,
            Poll::Ready(Some(Ok(Frame::Data(data)))) if exchange.length() == Length::Exactly(0) => {
                Body::Full(data)
            }
            Poll::Ready(Some(frame)) => Body::boxed(Begun { first: Some(frame), exchange }),
        };
        Ok((head, body))
    }

    /// The next piece of the response.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame, BodyError>>> {
        if let Poll::Ready(Sent::Failed(error)) = self.upload.poll(cx) {
            return Poll::Ready(Some(Err(error)));
        }
        self.incoming.poll_frame(cx)
    }

    /// Goes on with the request while nobody takes the response.
    pub(crate) fn poll_progress(&mut self, cx: &mut Context<'_>) {
        // A request that fails has its stream reset, which the next piece tells of.
        let _sent = self.upload.poll(cx);
    }

    pub(crate) fn length(&self) -> Length {
        self.incoming.length()
    }
}

/// A response whose first piece was seen already.
struct Begun {
    first: Option<Result<Frame, BodyError>>,
    exchange: Exchange,
}

impl crate::body::Pull for Begun {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(first)),
            None => self.exchange.poll_frame(cx),
        }
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) {
        self.exchange.poll_progress(cx);
    }

    fn length(&self) -> Length {
        match &self.first {
            None => self.exchange.length(),
            Some(Ok(Frame::Data(data))) => match self.exchange.length() {
                Length::Exactly(left) => Length::Exactly(left + data.len() as u64),
                Length::Unknown => Length::Unknown,
            },
            Some(_) => Length::Unknown,
        }
    }
}

fn poll_head(
    cx: &mut Context<'_>,
    response: &mut ResponseFuture,
    upload: &mut Upload,
    interim: &Interim,
) -> Poll<Result<http::Response<h2::RecvStream>, Reset>> {
    if let Poll::Ready(Sent::Failed(_)) = upload.poll(cx) {
        return Poll::Ready(Err(Reset::LocalReset));
    }
    while let Poll::Ready(Some(Ok(early))) = response.poll_informational(cx) {
        let (parts, ()) = early.into_parts();
        interim.send(convert::response(parts, None));
    }
    Pin::new(response).poll(cx).map_err(|error| convert::reset(&error))
}
