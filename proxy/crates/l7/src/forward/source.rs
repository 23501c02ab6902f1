//! A request's body, such that it can be sent again.
//!
//! It is kept while it is sent: the first try does not wait for its end. What is too large to be
//! kept is sent once.
use crate::body::{Body, BodyError, Frame, Length, Pull};
use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;
use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

/// Where the bodies of a request's tries come from.
#[derive(Debug)]
pub(super) enum Source {
    /// It is here already, or there is none.
    Whole(Bytes),
    /// It can be sent once; `None` when it was.
    Once(Option<Body>),
    Kept(Arc<Mutex<Kept>>),
}

/// What was read of a body so far.
#[derive(Debug)]
pub(super) struct Kept {
    /// What is not read yet.
    rest: Body,
    data: Vec<Bytes>,
    trailers: Option<HeaderMap>,
    size: usize,
    limit: usize,
    over: bool,
    /// It was too large, or has failed.
    lost: bool,
    /// Which try may read it; earlier ones are over.
    turn: u32,
}

/// The body of one try.
struct Replay {
    kept: Arc<Mutex<Kept>>,
    turn: u32,
    next: usize,
    trailed: bool,
}

impl Source {
    /// Of `body`, kept up to `limit` bytes.
    pub(super) fn new(body: Body, limit: Option<usize>) -> Self {
        match (body, limit) {
            (Body::Empty, _) => Self::Whole(Bytes::new()),
            (Body::Full(bytes), _) => Self::Whole(bytes),
            (rest, Some(limit)) => Self::Kept(Arc::new(Mutex::new(Kept {
                rest,
                data: Vec::new(),
                trailers: None,
                size: 0,
                limit,
                over: false,
                lost: false,
                turn: 0,
            }))),
            (body, None) => Self::Once(Some(body)),
        }
    }

    /// The body of the next try.
    pub(super) fn take(&mut self) -> Body {
        match self {
            Self::Whole(bytes) => Body::full(bytes.clone()),
            Self::Once(body) => body.take().unwrap_or_default(),
            Self::Kept(kept) => {
                let turn = {
                    let mut kept = kept.lock();
                    kept.turn += 1;
                    kept.turn
                };
                let kept = Arc::clone(kept);
                Body::boxed(Replay { kept, turn, next: 0, trailed: false })
            }
        }
    }

    /// All of it, if it is here.
    pub(super) fn whole(&mut self) -> Option<Body> {
        let here = match self {
            Self::Whole(_) => true,
            Self::Once(_) => false,
            Self::Kept(kept) => {
                let kept = kept.lock();
                !kept.lost && (kept.over || kept.rest.length() == Length::Exactly(0))
            }
        };
        here.then(|| self.take())
    }

    /// A try did not ask for it.
    pub(super) fn give_back(&mut self, body: Body) {
        if let Self::Once(once) = self {
            *once = Some(body);
        }
    }

    /// Whether there can be another try.
    pub(super) fn can_repeat(&self) -> bool {
        match self {
            Self::Whole(_) => true,
            Self::Once(body) => body.is_some(),
            Self::Kept(kept) => !kept.lock().lost,
        }
    }
}

impl Kept {
    /// Reads on, and keeps what comes while that is allowed.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let next = ready!(self.rest.poll_frame(cx));
        match &next {
            Some(Ok(Frame::Data(data))) => {
                self.size += data.len();
                if self.limit < self.size {
                    self.lost = true;
                    self.data = Vec::new();
                }
                if !self.lost {
                    self.data.push(data.clone());
                }
            }
            Some(Ok(Frame::Trailers(trailers))) => {
                self.trailers = Some(trailers.clone());
                self.over = true;
            }
            Some(Err(_)) => self.lost = true,
            None => self.over = true,
        }
        Poll::Ready(next)
    }
}

impl Pull for Replay {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let mut kept = self.kept.lock();
        if kept.turn != self.turn {
            return Poll::Ready(Some(Err(BodyError::Over)));
        }
        if let Some(data) = kept.data.get(self.next) {
            self.next += 1;
            return Poll::Ready(Some(Ok(Frame::Data(data.clone()))));
        }
        if kept.over {
            let trailers = kept.trailers.clone().filter(|_| !self.trailed);
            self.trailed = true;
            return Poll::Ready(trailers.map(|trailers| Ok(Frame::Trailers(trailers))));
        }
        let next = ready!(kept.poll_more(cx));
        self.next = kept.data.len();
        self.trailed = kept.over;
        Poll::Ready(next)
    }

    fn length(&self) -> Length {
        let kept = self.kept.lock();
        let ahead = kept.data.iter().skip(self.next).map(|data| data.len() as u64).sum::<u64>();
        match (kept.over, kept.rest.length()) {
            (true, _) if kept.trailers.is_none() || self.trailed => Length::Exactly(ahead),
            (false, Length::Exactly(left)) => Length::Exactly(ahead + left),
            (true | false, _) => Length::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Pieces(std::vec::IntoIter<Frame>);

    impl Pull for Pieces {
        fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
            Poll::Ready(self.0.next().map(Ok))
        }
    }

    fn source(limit: usize) -> Source {
        let trailers = HeaderMap::from_iter([(http::header::ETAG, "x".parse().unwrap())]);
        let frames =
            vec![Frame::Data("ab".into()), Frame::Data("cd".into()), Frame::Trailers(trailers)];
        Source::new(Body::boxed(Pieces(frames.into_iter())), Some(limit))
    }

    #[tokio::test]
    async fn every_try_sends_the_same_from_its_beginning() {
        let mut source = source(4);
        let mut first = source.take();
        assert_eq!(first.frame().await.unwrap().unwrap(), Frame::Data("ab".into()));
        for _ in 0..2 {
            assert!(source.can_repeat());
            let (data, trailers) = source.take().collect(9).await.unwrap();
            assert_eq!((&*data, trailers.unwrap().len()), (&b"abcd"[..], 1));
        }
        assert!(first.frame().await.unwrap().is_err(), "its turn is over");
    }

    #[tokio::test]
    async fn it_is_whole_once_all_of_it_was_read_and_kept() {
        let mut source = source(4);
        assert!(source.whole().is_none(), "it is still to come");
        source.take().collect(9).await.unwrap();
        let (data, trailers) = source.whole().unwrap().collect(9).await.unwrap();
        assert_eq!((&*data, trailers.unwrap().len()), (&b"abcd"[..], 1));
        let mut large = self::source(3);
        large.take().collect(9).await.unwrap();
        assert!(large.whole().is_none(), "it was not kept");
        assert!(Source::new(Body::full("ab"), None).whole().is_some());
    }

    #[tokio::test]
    async fn what_is_too_large_is_sent_once_and_whole() {
        let mut source = source(3);
        let (data, _) = source.take().collect(9).await.unwrap();
        assert_eq!(data, "abcd");
        assert!(!source.can_repeat());
    }

    #[tokio::test]
    async fn what_nobody_asked_for_can_be_sent_once_more() {
        let body = Body::boxed(Pieces(vec![Frame::Data("ab".into())].into_iter()));
        let mut source = Source::new(body, None);
        let body = source.take();
        assert!(!source.can_repeat());
        source.give_back(body);
        assert!(source.can_repeat());
        assert_eq!(source.take().collect(9).await.unwrap().0, "ab");
    }
}
