//! A body on its way in.
use crate::body::{BodyError, Frame, Length};
use http::{HeaderMap, header};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

/// The DATA and trailers of a stream.
///
/// The window opens as pieces are pulled: what nobody pulls the peer cannot send.
#[derive(Debug)]
pub struct Incoming {
    stream: h2::RecvStream,
    /// What `content-length` says is left; `h2` ends a stream that says otherwise.
    left: Option<u64>,
    /// Bytes so far, for whoever counts.
    received: Option<Arc<AtomicU64>>,
    /// The data is over, and trailers may follow.
    trailers: bool,
}

impl Incoming {
    pub(super) fn new(stream: h2::RecvStream, headers: &HeaderMap) -> Self {
        let length = headers.get(header::CONTENT_LENGTH);
        let left = length.and_then(|length| length.to_str().ok()?.parse().ok());
        Self { stream, left, received: None, trailers: false }
    }

    /// Where what was read is counted.
    pub(super) fn counted(mut self, received: &Arc<AtomicU64>) -> Self {
        self.received = Some(Arc::clone(received));
        self
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame, BodyError>>> {
        while !self.trailers {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    self.took(data.len());
                    if !data.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::Data(data))));
                    }
                }
                // The peer needs no more of what it sent, and has it all said by its reset.
                Some(Err(error))
                    if error.reason() == Some(h2::Reason::NO_ERROR) && error.is_remote() =>
                {
                    return Poll::Ready(None);
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(failed(error)))),
                None => self.trailers = true,
            }
        }
        let trailers = ready!(self.stream.poll_trailers(cx)).map_err(failed)?;
        Poll::Ready(trailers.map(|trailers| Ok(Frame::Trailers(trailers))))
    }

    pub(crate) fn length(&self) -> Length {
        if self.stream.is_end_stream() {
            return Length::Exactly(0);
        }
        self.left.filter(|left| 0 < *left).map_or(Length::Unknown, Length::Exactly)
    }

    fn took(&mut self, len: usize) {
        // It fails only for more than was received.
        let _released = self.stream.flow_control().release_capacity(len);
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(len as u64);
        }
        if let Some(received) = &self.received {
            received.fetch_add(len as u64, Ordering::Relaxed);
        }
    }
}

fn failed(error: h2::Error) -> BodyError {
    if error.is_io() {
        return error.into_io().map_or(BodyError::Closed, BodyError::Io);
    }
    error.reason().map_or(BodyError::Closed, BodyError::Reset)
}
