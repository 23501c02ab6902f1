//! What tests of the codecs share: a service that answers by path.
use crate::{
    body::{Body, BodyError, Frame},
    message::{Request, Response, ResponseHead},
    outcome::Exchanged,
    service::Service,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use std::future::pending;
use tokio::sync::{
    Mutex,
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

/// Answers by path, and tells what became of each request.
#[derive(Debug)]
pub(crate) struct Paths {
    pub(crate) ended: Mutex<UnboundedReceiver<Exchanged>>,
    tell: UnboundedSender<Exchanged>,
    /// Requests that were dropped before they were answered.
    pub(crate) dropped: Mutex<UnboundedReceiver<()>>,
    drops: UnboundedSender<()>,
}

struct OnDrop(UnboundedSender<()>, bool);

impl Default for Paths {
    fn default() -> Self {
        let (tell, ended) = unbounded_channel();
        let (drops, dropped) = unbounded_channel();
        Self { ended: ended.into(), tell, dropped: dropped.into(), drops }
    }
}

impl Service for Paths {
    type Record = ();

    async fn call(&self, request: Request) -> (Response, ()) {
        let mut guard = OnDrop(self.drops.clone(), true);
        let response = answer(request).await;
        guard.1 = false;
        (response, ())
    }

    fn ended(&self, (): (), exchanged: Exchanged) {
        let _nobody_asks = self.tell.send(exchanged);
    }
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        if self.1 {
            let _nobody_asks = self.0.send(());
        }
    }
}

async fn answer(request: Request) -> Response {
    let Request { head, body, interim } = request;
    let path = head.path.as_ref().map_or("", |path| path.path());
    match path {
        "/echo" => Response::new(StatusCode::OK, body),
        "/upper" => Response::new(StatusCode::OK, Body::boxed(Upper(body))),
        "/size" => {
            let size = match body.collect(usize::MAX >> 1).await {
                Ok((whole, trailers)) => format!("{} {}", whole.len(), trailers.is_some()),
                Err(error) => error.to_string(),
            };
            Response::new(StatusCode::OK, Body::full(size))
        }
        "/deny" => Response::new(StatusCode::FORBIDDEN, Body::full("no")),
        "/deny-later" => {
            tokio::task::yield_now().await;
            Response::new(StatusCode::FORBIDDEN, Body::full("no"))
        }
        "/never" => pending().await,
        "/hints" => {
            let mut hint = ResponseHead::new(StatusCode::EARLY_HINTS);
            hint.headers.insert(header::LINK, HeaderValue::from_static("</a>"));
            interim.send(hint);
            Response::new(StatusCode::OK, Body::Empty)
        }
        "/trailers" => {
            let trailers = HeaderMap::from_iter([(
                header::HeaderName::from_static("x-sum"),
                HeaderValue::from_static("7"),
            )]);
            let frames = vec![Frame::Data("abc".into()), Frame::Trailers(trailers)];
            Response::new(StatusCode::OK, Body::boxed(Frames(frames.into_iter())))
        }
        "/fails" => {
            let frames = vec![Frame::Data("abc".into())];
            Response::new(StatusCode::OK, Body::boxed(Fails(frames.into_iter())))
        }
        "/upgrade" => {
            let mut response = Response::new(StatusCode::SWITCHING_PROTOCOLS, body);
            response.head.upgrade = head.upgrade;
            response
        }
        "/count" => {
            let mut response = Response::new(StatusCode::SWITCHING_PROTOCOLS, Body::Empty);
            response.head.upgrade = head.upgrade;
            response.body = Body::boxed(Count(body, 0));
            response
        }
        "" => Response::new(StatusCode::OK, body),
        path => Response::new(StatusCode::OK, Body::full(path.to_owned())),
    }
}

struct Frames(std::vec::IntoIter<Frame>);
struct Fails(std::vec::IntoIter<Frame>);
struct Upper(Body);

use crate::body::Pull;
use std::task::{Context, Poll};

type Next = Poll<Option<Result<Frame, BodyError>>>;

impl Pull for Frames {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Next {
        Poll::Ready(self.0.next().map(Ok))
    }
}

impl Pull for Fails {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Next {
        Poll::Ready(Some(self.0.next().ok_or(BodyError::Closed)))
    }
}

/// How much there was, told after its end.
struct Count(Body, usize);

impl Pull for Count {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Next {
        while let Some(Frame::Data(data)) = std::task::ready!(self.0.poll_frame(cx)?) {
            self.1 += data.len();
        }
        let told = std::mem::take(&mut self.1);
        Poll::Ready((told != 0).then(|| Ok(Frame::Data(told.to_string().into()))))
    }
}

impl Pull for Upper {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Next {
        self.0.poll_frame(cx).map_ok(|frame| match frame {
            Frame::Data(data) => Frame::Data(data.to_ascii_uppercase().into()),
            Frame::Trailers(trailers) => Frame::Trailers(trailers),
        })
    }
}
