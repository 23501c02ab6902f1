//! Writing a response.
use super::{Asked, Connection};
use crate::{
    body::Body,
    h1::{
        encode::{self, Coding, Manner},
        outgoing::Outgoing,
    },
    message::{Response, ResponseHead},
    outcome::Ended,
    service::Service,
};
use http::{Version, header};
use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// How much room a head needs, usually.
const HEAD: usize = 1 << 10;

/// A response on its way out.
#[derive(Debug)]
struct Writing {
    outgoing: Outgoing,
    /// The client's end is one direction's end only.
    tunnel: bool,
    /// The alarm is set since so many bytes were left.
    stalled_at: Option<usize>,
}

impl Connection<'_> {
    /// Writes `response`; how it ended, whether another request may follow, and how many bytes of
    /// its body were written.
    ///
    /// Whoever has the record of the request is told how far it is, if that is due.
    pub(super) async fn respond<S: Service>(
        &mut self,
        response: Response,
        asked: Asked,
        mut told: Option<(&S, &mut S::Record)>,
    ) -> (Ended, bool, u64) {
        let Response { mut head, body } = response;
        let granted = asked.tunnel
            && (head.status == http::StatusCode::SWITCHING_PROTOCOLS || head.status.is_success());
        let may_go_on = poll_fn(|cx| Poll::Ready(self.may_go_on(cx))).await;
        let keep_alive = asked.keep_alive
            && may_go_on
            && !asks_to_close(&mut head)
            && !self.is_left_behind(&body, granted, asked);
        let manner = Manner {
            version: asked.version,
            to_head: asked.head,
            to_tunnel: asked.tunnel,
            keep_alive,
            names: self.options.names,
        };
        let length = body.length();
        let mut coding = Coding::None;
        self.outbox.write(HEAD, |out| coding = encode::response(out, &head, length, manner));
        self.line.incoming().answer_tunnel(granted && coding == Coding::Raw);
        let trailers = self.options.trailers && asked.version == Version::HTTP_11;
        let outgoing = Outgoing::new(body, coding, trailers);
        let mut writing = Writing { outgoing, tunnel: granted, stalled_at: None };
        let ended = poll_fn(|cx| {
            let polled = self.poll_write(cx, &mut writing);
            if polled.is_pending()
                && let Some((service, record)) = &mut told
                && service.poll_due(record, cx).is_ready()
            {
                let received = self.line.incoming().reader.received();
                service.report(record, received, writing.outgoing.sent());
            }
            polled
        })
        .await;
        let sent = writing.outgoing.sent();
        drop(writing);
        self.line.incoming().finish();
        if ended == Ended::BodyFailed && coding == Coding::Raw {
            // An orderly end would say that this was all.
            self.line.io.reset_on_close();
        }
        let read = self.line.incoming().reader.is_done();
        (ended, keep_alive && coding != Coding::Raw && read, sent)
    }

    /// Whether the request's body will stay unread: the next request could not be found behind it.
    fn is_left_behind(&self, body: &Body, granted: bool, asked: Asked) -> bool {
        let mut incoming = self.line.incoming();
        if granted {
            return false;
        }
        if asked.tunnel {
            // What follows may be meant for the tunnel, whatever it looks like.
            return true;
        }
        if incoming.reader.is_done() || !matches!(body, Body::Empty | Body::Full(_)) {
            return false;
        }
        if incoming.is_held_back() || asked.at_once {
            // It may come or not, and nobody wants it.
            return true;
        }
        // What is here already costs nothing to skip.
        while let Some(Ok(_)) = incoming.reader.frame_at_hand() {}
        !incoming.reader.is_done()
    }

    /// Writes the head and the body until everything is out.
    fn poll_write(&mut self, cx: &mut Context<'_>, writing: &mut Writing) -> Poll<Ended> {
        let line = Arc::clone(&self.line);
        loop {
            if writing.outgoing.fill(cx, &mut self.outbox).is_err() {
                // What was said before the failure is true.
                let _unsent = self.outbox.poll_flush(cx, &line.io);
                return Poll::Ready(Ended::BodyFailed);
            }
            let left = self.outbox.len();
            match self.outbox.poll_flush(cx, &line.io) {
                Poll::Ready(Err(_)) => return Poll::Ready(Ended::DownstreamGone),
                Poll::Ready(Ok(())) if writing.outgoing.is_over() => {
                    return Poll::Ready(Ended::Whole);
                }
                Poll::Ready(Ok(())) if 0 < left => writing.stalled_at = None,
                Poll::Ready(Ok(())) if writing.tunnel => return Poll::Pending,
                Poll::Ready(Ok(())) => return self.poll_gone(cx),
                Poll::Pending => {
                    writing.outgoing.poll_progress(cx);
                    return self.poll_stalled(cx, writing);
                }
            }
        }
    }

    /// Ready when the client took nothing for too long.
    fn poll_stalled(&mut self, cx: &mut Context<'_>, writing: &mut Writing) -> Poll<Ended> {
        let left = self.outbox.len();
        if writing.stalled_at != Some(left) {
            writing.stalled_at = Some(left);
            self.alarm.set(self.options.stall);
        }
        ready!(self.alarm.poll(cx));
        Poll::Ready(Ended::Stalled)
    }
}

/// Whether the service wants the connection closed.
fn asks_to_close(head: &mut ResponseHead) -> bool {
    head.headers
        .remove(header::CONNECTION)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"))
}
