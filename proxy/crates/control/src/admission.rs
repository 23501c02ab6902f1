//! Objects judged before the API server takes them: a validating webhook.
//!
//! The API server proves nothing here, so whoever reaches the port may ask; what is told is what
//! is wrong with the object that is shown. Few are heard at a time, of one address fewer, and none
//! for long or of much.
use crate::{
    compile::incremental::Compiler,
    object::Objects,
    problem::Problem,
    serve::stranger::{Stranger, Strangers},
};
use bytes::Bytes;
use culvert_identity::serving::Serving;
use culvert_runtime::{
    accept::{Reserve, accept_loop},
    drain::Worker,
};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use serde_json::json;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time,
};
use tracing::debug;

pub mod review;

/// Where reviews are sent.
const PATH: &str = "/admission";

/// How many may be connected, and of one address.
const CONNECTIONS: (usize, usize) = (64, 32);

/// From accept to the request's head.
const HEAD: Duration = Duration::from_secs(3);

/// From accept to the end of the answer: longer than the API server waits.
const WHOLE: Duration = Duration::from_secs(10);

/// A larger review is not read: the API server has no objects of more than 3 MiB, and sends an
/// object and what it was before.
const LARGEST: usize = 8 << 20;

/// Reviews that are read at a time.
const AT_ONCE: usize = 4;

/// How long a change that is being compiled is waited for, until an object is judged without what
/// others say.
const BUSY: Duration = Duration::from_secs(2);

/// Judges; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Judge {
    serving: Serving,
    /// `None`: objects come from files, so that nobody asks.
    compiler: Option<Arc<Mutex<Compiler>>>,
    strangers: Strangers,
    seats: Arc<Semaphore>,
}

type Answer = Response<Full<Bytes>>;

impl Judge {
    pub(crate) fn new(serving: Serving, compiler: Option<Arc<Mutex<Compiler>>>) -> Self {
        let strangers = Strangers::at_most(CONNECTIONS);
        Self { serving, compiler, strangers, seats: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Answers whoever comes to `listener`, until `worker` finishes.
    pub(crate) fn serve(&self, listener: std::net::TcpListener, worker: &Worker) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let (reserve, judge, owner) = (Reserve::new()?, self.clone(), worker.clone());
        worker.spawn(async move {
            let serve = |io, from| judge.clone().converse(io, from);
            let refused = |_: &TcpStream, from| debug!(%from, "no descriptor is left: reset");
            if let Err(error) = accept_loop(&listener, &owner, &reserve, serve, refused).await {
                tracing::error!(%error, %address, "the port of admission is closed");
            }
        });
        Ok(())
    }

    /// One request, one answer: an API server that finds a connection closed when it asks again
    /// would go on without us.
    async fn converse(self, io: TcpStream, from: SocketAddr) {
        let Some(_stranger): Option<Stranger> = self.strangers.enter(from.ip().to_canonical())
        else {
            return debug!(%from, "too many ask for admission: turned away");
        };
        let conversation = async {
            let io = match self.serving.accept_web(io).await {
                Ok(io) => io,
                Err(error) => return debug!(%from, %error, "a connection without TLS"),
            };
            let answer = service_fn(|request| self.answer(request));
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .max_headers(64)
                .keep_alive(false)
                .serve_connection(TokioIo::new(io), answer);
            if let Err(error) = served.await {
                debug!(%from, %error, "a review broke off");
            }
        };
        if time::timeout(WHOLE, conversation).await.is_err() {
            debug!(%from, "a review took too long");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Answer, hyper::Error> {
        if request.uri().path() != PATH {
            return Ok(said(StatusCode::NOT_FOUND, "reviews are sent to /admission"));
        }
        if request.method() != Method::POST {
            let mut answer = said(StatusCode::METHOD_NOT_ALLOWED, "send a review by POST");
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            return Ok(answer);
        }
        // Only ever closed with the process.
        let _seat = self.seats.acquire().await;
        let body = match Limited::new(request.into_body(), LARGEST).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Ok(said(StatusCode::PAYLOAD_TOO_LARGE, "a review of more than 8 MiB"));
            }
            Err(_broken) => return Ok(said(StatusCode::BAD_REQUEST, "the review broke off")),
        };
        let compiler = self.compiler.clone();
        // Off the runtime's thread, which serves nodes: an object may be long.
        let judged = tokio::task::spawn_blocking(move || {
            review::answer(&body, |coming| advice(compiler.as_deref(), coming))
        });
        Ok(match judged.await {
            Ok(Ok(answer)) => answered(answer.into()),
            Ok(Err(why)) => said(StatusCode::BAD_REQUEST, &why),
            Err(_) => said(StatusCode::INTERNAL_SERVER_ERROR, "judging it ended early"),
        })
    }
}

/// What there is to know as things are now.
fn advice(compiler: Option<&Mutex<Compiler>>, coming: &Objects) -> Vec<Problem> {
    let compiler = compiler.and_then(|compiler| compiler.try_lock_for(BUSY));
    compiler.map_or_else(Vec::new, |compiler| compiler.advice(coming))
}

/// As an API server says that it does not do something: those who ask show the message.
fn said(status: StatusCode, why: &str) -> Answer {
    let said = json!({
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "code": status.as_u16(),
        "message": why,
    });
    let mut answer = answered(said.to_string().into());
    *answer.status_mut() = status;
    answer
}

fn answered(json: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(json));
    let kind = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}
