//! Requests that are sent elsewhere too, and whose answers nobody waits for.
//!
//! A mirror takes what the request itself takes: it never holds it up. One that falls too far behind
//! is given up.
use super::Chosen;
use crate::{
    body::{Body, BodyError, Frame, Length, Pull},
    message::{Interim, RequestHead},
};
use bytes::Bytes;
use culvert_runtime::drain::Worker;
use http::HeaderMap;
use parking_lot::Mutex;
use std::{
    borrow::Cow,
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::time;

/// How far a mirror may be behind.
const BEHIND_MAX: usize = 1 << 20;

/// Where a mirrored request goes.
#[derive(Debug)]
pub struct Mirror<C> {
    pub head: RequestHead,
    pub chosen: C,
    /// How long it may take.
    pub limit: Option<Duration>,
}

/// What a mirror has not sent yet.
#[derive(Debug, Default)]
struct Behind {
    data: VecDeque<Bytes>,
    size: usize,
    trailers: Option<HeaderMap>,
    ends: Ends,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Ends {
    #[default]
    NotYet,
    Whole,
    /// The request failed, or the mirror was too slow.
    Broken,
}

/// Sends `mirrors` while `body` is sent; what the request itself sends from now on.
pub fn start<C: Chosen>(mirrors: Vec<Mirror<C>>, body: Body, worker: &Worker) -> Body {
    let mut behind = Vec::new();
    for Mirror { head, chosen, limit } in mirrors {
        let copy = match &body {
            Body::Empty => Body::Empty,
            Body::Full(bytes) => Body::Full(bytes.clone()),
            Body::H1(_)
            | Body::H1Exchange(_)
            | Body::H2(_)
            | Body::H2Exchange(_)
            | Body::Boxed(_) => {
                let shared = Arc::new(Mutex::new(Behind::default()));
                behind.push(Arc::clone(&shared));
                Body::boxed(Copied { shared, length: body.length() })
            }
        };
        worker.spawn(send(head, copy, chosen, limit));
    }
    if behind.is_empty() { body } else { Body::boxed(Tee { body, behind }) }
}

async fn send<C: Chosen>(head: RequestHead, body: Body, chosen: C, limit: Option<Duration>) {
    let sends = async {
        let interim = Interim::default();
        match chosen.pool().send(Cow::Owned(head), body, &interim).await {
            Ok((head, mut body)) => {
                chosen.answered(&head);
                while let Some(Ok(_)) = body.frame().await {}
            }
            Err(failed) => chosen.failed(Some(failed.reset)),
        }
    };
    // Nobody waits for it: neither its answer nor its lateness matters.
    let _late = time::timeout(limit.unwrap_or(Duration::MAX), sends).await;
}

/// The request's own body.
struct Tee {
    body: Body,
    behind: Vec<Arc<Mutex<Behind>>>,
}

/// A mirror's.
struct Copied {
    shared: Arc<Mutex<Behind>>,
    length: Length,
}

impl Pull for Tee {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let next = self.body.poll_frame(cx);
        if let Poll::Ready(next) = &next {
            let over = self.body.length() == Length::Exactly(0);
            for behind in &self.behind {
                behind.lock().add(next.as_ref(), over);
            }
        }
        next
    }

    fn length(&self) -> Length {
        self.body.length()
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        for behind in &self.behind {
            let mut behind = behind.lock();
            if behind.ends == Ends::NotYet {
                behind.end(Ends::Broken);
            }
        }
    }
}

impl Behind {
    fn add(&mut self, next: Option<&Result<Frame, BodyError>>, over: bool) {
        match next {
            Some(Ok(Frame::Data(data))) => {
                self.size += data.len();
                if BEHIND_MAX < self.size {
                    return self.end(Ends::Broken);
                }
                self.data.push_back(data.clone());
                if over {
                    self.end(Ends::Whole);
                }
            }
            Some(Ok(Frame::Trailers(trailers))) => {
                self.trailers = Some(trailers.clone());
                self.end(Ends::Whole);
            }
            Some(Err(_)) => self.end(Ends::Broken),
            None => self.end(Ends::Whole),
        }
        self.wake();
    }

    fn end(&mut self, ends: Ends) {
        if self.ends != Ends::Broken {
            self.ends = ends;
        }
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Pull for Copied {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let mut behind = self.shared.lock();
        if behind.ends == Ends::Broken {
            return Poll::Ready(Some(Err(BodyError::Over)));
        }
        if let Some(data) = behind.data.pop_front() {
            behind.size -= data.len();
            if let Length::Exactly(left) = &mut self.length {
                *left = left.saturating_sub(data.len() as u64);
            }
            return Poll::Ready(Some(Ok(Frame::Data(data))));
        }
        if behind.ends == Ends::Whole {
            let trailers = behind.trailers.take();
            return Poll::Ready(trailers.map(|trailers| Ok(Frame::Trailers(trailers))));
        }
        behind.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn length(&self) -> Length {
        self.length
    }
}
