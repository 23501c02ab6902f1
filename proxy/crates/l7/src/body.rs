//! Bodies: pulled piece by piece by whoever writes them, so that nobody reads more than is wanted.
use crate::{h1, h2};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use std::{
    fmt,
    future::poll_fn,
    io,
    task::{Context, Poll, ready},
};

/// The rest of a message after its head.
#[derive(Default)]
pub enum Body {
    #[default]
    Empty,
    /// All of it, here already.
    Full(Bytes),
    /// A request on its way in over HTTP/1.
    H1(h1::Incoming),
    /// A response on its way in over HTTP/1, and what is left of its request on the way out.
    H1Exchange(Box<h1::Exchange>),
    /// A request on its way in over HTTP/2.
    H2(h2::Incoming),
    /// A response on its way in over HTTP/2, and what is left of its request on the way out.
    H2Exchange(Box<h2::Exchange>),
    /// One that is made, changed or watched on the way.
    Boxed(Box<dyn Pull>),
}

/// A body made by somebody else.
pub trait Pull: Send {
    /// The next piece; `None` at the end, and from then on. After an error there is nothing.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>>;

    /// Goes on with what is not the next piece, such as the request's own body, while whoever
    /// pulls cannot take one.
    fn poll_progress(&mut self, cx: &mut Context<'_>) {
        let _nothing = cx;
    }

    fn length(&self) -> Length {
        Length::Unknown
    }
}

/// A piece of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Never empty.
    Data(Bytes),
    /// The last piece, if there is one.
    Trailers(HeaderMap),
}

/// How much there is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So many bytes, without trailers.
    Exactly(u64),
    Unknown,
}

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error("the connection was closed before the end of the body")]
    Closed,
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// What the peer sent is no HTTP.
    #[error("the body is malformed: {0}")]
    Malformed(&'static str),
    #[error("the stream was reset: {0}")]
    Reset(::h2::Reason),
    #[error("the body is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("time was up: {0}")]
    TimedOut(&'static str),
    /// Its message has ended without it.
    #[error("the request is over")]
    Over,
    #[error("{0}")]
    Other(&'static str),
}

impl Body {
    /// One that is not empty, or none.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() { Self::Empty } else { Self::Full(bytes) }
    }

    pub fn boxed(pull: impl Pull + 'static) -> Self {
        Self::Boxed(Box::new(pull))
    }

    /// The next piece; `None` at the end, and from then on.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let next = match self {
            Self::Empty => return Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                return Poll::Ready((!bytes.is_empty()).then_some(Ok(Frame::Data(bytes))));
            }
            Self::H1(incoming) => ready!(incoming.poll_frame(cx)),
            Self::H1Exchange(exchange) => ready!(exchange.poll_frame(cx)),
            Self::H2(incoming) => ready!(incoming.poll_frame(cx)),
            Self::H2Exchange(exchange) => ready!(exchange.poll_frame(cx)),
            Self::Boxed(pull) => ready!(pull.poll_frame(cx)),
        };
        if !matches!(next, Some(Ok(Frame::Data(_)))) {
            // Lets go of the connection it came by.
            *self = Self::Empty;
        }
        Poll::Ready(next)
    }

    /// Goes on with the upload behind a response while nobody can take its next piece.
    pub fn poll_progress(&mut self, cx: &mut Context<'_>) {
        match self {
            Self::Empty | Self::Full(_) | Self::H1(_) | Self::H2(_) => {}
            Self::H1Exchange(exchange) => exchange.poll_progress(cx),
            Self::H2Exchange(exchange) => exchange.poll_progress(cx),
            Self::Boxed(pull) => pull.poll_progress(cx),
        }
    }

    /// Cancel safe.
    pub async fn frame(&mut self) -> Option<Result<Frame, BodyError>> {
        poll_fn(|cx| self.poll_frame(cx)).await
    }

    pub fn length(&self) -> Length {
        match self {
            Self::Empty => Length::Exactly(0),
            Self::Full(bytes) => Length::Exactly(bytes.len() as u64),
            Self::H1(incoming) => incoming.length(),
            Self::H1Exchange(exchange) => exchange.length(),
            Self::H2(incoming) => incoming.length(),
            Self::H2Exchange(exchange) => exchange.length(),
            Self::Boxed(pull) => pull.length(),
        }
    }

    pub const fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// All of it together, and its trailers.
    ///
    /// # Errors
    ///
    /// When it ends early, or is larger than `limit`.
    pub async fn collect(mut self, limit: usize) -> Result<(Bytes, Option<HeaderMap>), BodyError> {
        let mut whole = Bytes::new();
        let mut more = BytesMut::new();
        while let Some(frame) = self.frame().await {
            match frame? {
                Frame::Data(bytes) if limit - whole.len() - more.len() < bytes.len() => {
                    return Err(BodyError::TooLarge { limit });
                }
                Frame::Data(bytes) if whole.is_empty() => whole = bytes,
                Frame::Data(bytes) => more.extend_from_slice(&bytes),
                Frame::Trailers(trailers) => return Ok((join(whole, more), Some(trailers))),
            }
        }
        Ok((join(whole, more), None))
    }
}

/// One piece stays as it is.
fn join(first: Bytes, more: BytesMut) -> Bytes {
    if more.is_empty() {
        return first;
    }
    let mut whole = BytesMut::from(first);
    whole.unsplit(more);
    whole.freeze()
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Empty => "Empty",
            Self::Full(_) => "Full",
            Self::H1(_) => "H1",
            Self::H1Exchange(_) => "H1Exchange",
            Self::H2(_) => "H2",
            Self::H2Exchange(_) => "H2Exchange",
            Self::Boxed(_) => "Boxed",
        };
        write!(f, "{kind}({:?})", self.length())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces, one by one.
    struct Pieces(std::vec::IntoIter<Frame>);

    impl Pull for Pieces {
        fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
            Poll::Ready(self.0.next().map(Ok))
        }
    }

    fn pieces(pieces: &[&'static str]) -> Body {
        let frames: Vec<_> = pieces.iter().map(|piece| Frame::Data((*piece).into())).collect();
        Body::boxed(Pieces(frames.into_iter()))
    }

    #[tokio::test]
    async fn pieces_are_joined_in_order() {
        let (whole, trailers) = pieces(&["a", "bc", "", "def"]).collect(6).await.unwrap();
        assert_eq!((&*whole, trailers), (&b"abcdef"[..], None));
        assert_eq!(Body::full("").collect(0).await.unwrap().0, "");
    }

    #[tokio::test]
    async fn more_than_the_limit_is_refused() {
        let error = pieces(&["abc", "de"]).collect(4).await.unwrap_err();
        assert!(matches!(error, BodyError::TooLarge { limit: 4 }), "{error}");
        assert!(Body::full("abcde").collect(4).await.is_err());
    }

    #[tokio::test]
    async fn after_the_end_there_is_nothing() {
        let mut body = Body::full("x");
        assert_eq!(body.frame().await.unwrap().unwrap(), Frame::Data("x".into()));
        assert!(body.frame().await.is_none());
        assert!(body.frame().await.is_none());
    }
}
