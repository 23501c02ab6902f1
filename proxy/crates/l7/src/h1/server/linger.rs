//! The end of a connection, such that the client sees the last response.
//!
//! What the client sent and nobody read would turn our close into a reset, and a reset takes away
//! what the client has not read yet: so we say that we are done, and wait a little for the client's
//! own end.
use super::{Asked, Connection};
use crate::{
    outcome::{Ended, Refusal},
    service::Service,
};
use http::Version;
use std::{
    future::poll_fn,
    task::{Context, Poll},
};

/// How much is read and thrown away while waiting.
const READ_MAX: usize = 1 << 20;

impl Connection<'_> {
    /// Says why, and ends.
    pub(super) async fn refuse<S: Service>(&mut self, service: &S, refusal: Refusal) {
        let mut response = service.refused(refusal);
        let close = http::HeaderValue::from_static("close");
        response.head.headers.insert(http::header::CONNECTION, close);
        let asked = Asked {
            version: Version::HTTP_11,
            head: false,
            tunnel: false,
            keep_alive: false,
            at_once: true,
        };
        // Whoever sends no requests may not read responses either: nothing to do about it.
        let (ended, _, _) = self.respond::<S>(response, asked, None).await;
        if ended == Ended::Whole {
            self.linger().await;
        }
    }

    /// Finishes our side and waits for the other, but not for long.
    pub(super) async fn linger(&mut self) {
        self.alarm.set(Some(self.options.linger));
        let (mut told, mut read) = (false, 0);
        poll_fn(|cx| self.poll_linger(cx, &mut told, &mut read)).await;
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>, told: &mut bool, read: &mut usize) -> Poll<()> {
        if !*told {
            match self.line.io.poll_shutdown(cx) {
                Poll::Pending => return self.alarm.poll(cx),
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => *told = true,
            }
        }
        while *read < READ_MAX {
            match self.line.io.poll_read(cx, 16 << 10) {
                Poll::Ready(Ok(bytes)) if !bytes.is_empty() => *read += bytes.len(),
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return self.alarm.poll(cx),
            }
        }
        Poll::Ready(())
    }
}
