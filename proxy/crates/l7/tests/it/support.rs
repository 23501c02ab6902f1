//! A service that answers by path, served on a loopback port in either version.
use culvert_l7::{
    body::{Body, BodyError, Frame, Pull},
    h1, h2,
    io::Io,
    message::{Request, Response, ResponseHead},
    outcome::Exchanged,
    service::Service,
};
use culvert_runtime::drain::{Drain, Worker};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use std::{
    future::pending,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Answers by path, and remembers how each exchange ended.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    ended: watch::Sender<Vec<Exchanged>>,
    /// How many requests there were.
    pub(crate) calls: AtomicUsize,
    /// What bodies came to `/keep`.
    kept: watch::Sender<Vec<String>>,
}

/// A running server; ends when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) paths: Arc<Paths>,
    pub(crate) drain: Drain,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Version {
    One,
    Two,
}

impl Server {
    pub(crate) async fn start(version: Version) -> Self {
        Self::start_with(version, h2::Options::default()).await
    }

    pub(crate) async fn start_with(version: Version, options: h2::Options) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (drain, paths) = (Drain::default(), Arc::new(Paths::default()));
        let (worker, service) = (drain.worker(), Arc::clone(&paths));
        drain.worker().spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                serve(tcp, version, options.clone(), (&service, &worker));
            }
        });
        Self { addr, paths, drain }
    }
}

fn serve(
    tcp: TcpStream,
    version: Version,
    two: h2::Options,
    (service, worker): (&Arc<Paths>, &Worker),
) {
    tcp.set_nodelay(true).unwrap();
    let (service, own) = (Arc::clone(service), worker.clone());
    worker.spawn(async move {
        match version {
            Version::One => {
                let options = h1::Options { trailers: true, ..h1::Options::default() };
                h1::serve(tcp.into(), &*service, &options, &own).await;
            }
            Version::Two => {
                h2::serve(Io::from(tcp), service, &two, &own).await;
            }
        }
    });
}

impl Paths {
    /// How exchanges ended, once there are so many.
    pub(crate) async fn ended(&self, wanted: usize) -> Vec<Exchanged> {
        so_many(&self.ended, wanted).await
    }

    /// What was kept, once there is so much.
    pub(crate) async fn kept(&self, wanted: usize) -> Vec<String> {
        so_many(&self.kept, wanted).await
    }
}

async fn so_many<T: Clone>(all: &watch::Sender<Vec<T>>, wanted: usize) -> Vec<T> {
    all.subscribe().wait_for(|all| wanted <= all.len()).await.unwrap().clone()
}

impl Service for Paths {
    type Record = ();

    async fn call(&self, request: Request) -> (Response, ()) {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let path = request.head.path.clone().map(|path| path.path().to_owned());
        let response = match path.as_deref() {
            Some("/flaky") if call < 2 => Response::new(StatusCode::BAD_GATEWAY, Body::Empty),
            Some("/flaky") => Response::new(StatusCode::OK, request.body),
            Some("/keep") => {
                let (whole, _) = request.body.collect(1 << 20).await.unwrap();
                let text = String::from_utf8(whole.to_vec()).unwrap();
                self.kept.send_modify(|kept| kept.push(text));
                Response::new(StatusCode::OK, Body::full("kept"))
            }
            _ => answer(request).await,
        };
        (response, ())
    }

    fn ended(&self, (): (), exchanged: Exchanged) {
        self.ended.send_modify(|ended| ended.push(exchanged));
    }
}

async fn answer(request: Request) -> Response {
    let Request { head, body, interim } = request;
    let mut response = Response::new(StatusCode::OK, Body::Empty);
    let path = head.path.as_ref().map_or("", |path| path.path());
    match path {
        // The empty one is a CONNECT.
        "/echo" | "" => response.body = body,
        "/size" => {
            let (whole, trailers) = body.collect(1 << 30).await.unwrap();
            response.body = Body::full(format!("{} {}", whole.len(), trailers.is_some()));
        }
        "/large" => response.body = Body::full(vec![b'x'; 10 << 20]),
        "/pieces" => response.body = Body::boxed(Pieces(vec![Frame::Data("ab".into()); 3])),
        "/pieces-for-ever" => response.body = Body::boxed(Endless),
        "/trailers" => {
            let sum = (HeaderName::from_static("x-sum"), HeaderValue::from_static("7"));
            let trailers = Frame::Trailers(HeaderMap::from_iter([sum]));
            response.body = Body::boxed(Pieces(vec![trailers, Frame::Data("abc".into())]));
        }
        "/hints" => {
            let mut hint = ResponseHead::new(StatusCode::EARLY_HINTS);
            hint.headers.insert(header::LINK, HeaderValue::from_static("</a>"));
            interim.send(hint);
            response.body = Body::full("hinted");
        }
        "/fails" => response.body = Body::boxed(Fails(false)),
        "/moved-with-body" => {
            response.head.status = StatusCode::FOUND;
            let place = HeaderValue::from_static("http://other.test/keep");
            response.head.headers.insert(header::LOCATION, place);
            body.collect(1 << 20).await.unwrap();
        }
        "/moved" => {
            response.head.status = StatusCode::FOUND;
            let place = HeaderValue::from_static("http://other.test/headers");
            response.head.headers.insert(header::LOCATION, place);
        }
        "/never" => pending().await,
        "/stuck" => response.body = Body::boxed(Stuck(false)),
        "/upgrade" => {
            response.head.status = StatusCode::SWITCHING_PROTOCOLS;
            response.head.upgrade = head.upgrade;
            response.body = body;
        }
        "/headers" => {
            let headers: Vec<_> = head.headers.iter().map(|(n, v)| format!("{n}: {v:?}")).collect();
            response.body = Body::full(format!(
                "{} {:?} {:?}\n{}",
                head.method,
                head.authority,
                head.path,
                headers.join("\n")
            ));
        }
        path => match path.strip_prefix("/script/") {
            Some(script) => response.body = scripted(script, body).await,
            None => response.body = Body::full(path.to_owned()),
        },
    }
    response
}

/// `AFTER/PIECES/END`: so many pieces of the request are read, so many are answered, and then that.
async fn scripted(script: &str, mut body: Body) -> Body {
    let mut numbers = script.split('/').map(|number| number.parse::<usize>().unwrap());
    let mut next = || numbers.next().unwrap();
    for _ in 0..next() {
        if !matches!(body.frame().await, Some(Ok(_))) {
            break;
        }
    }
    let pieces = vec![Frame::Data("answer".into()); next()];
    let end = next();
    if end == 5 {
        pending::<()>().await;
    }
    Body::boxed(Scripted { body, pieces, end })
}

struct Scripted {
    body: Body,
    pieces: Vec<Frame>,
    end: usize,
}

impl Pull for Scripted {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Next {
        if let Some(piece) = self.pieces.pop() {
            return Poll::Ready(Some(Ok(piece)));
        }
        match std::mem::take(&mut self.end) {
            0 => Poll::Ready(None),
            1 => {
                let sum = (HeaderName::from_static("x-sum"), HeaderValue::from_static("7"));
                Poll::Ready(Some(Ok(Frame::Trailers(HeaderMap::from_iter([sum])))))
            }
            2 => Poll::Ready(Some(Err(BodyError::Other("on purpose")))),
            // Never.
            3 => {
                self.end = 3;
                Poll::Pending
            }
            // When the request is over.
            end => {
                self.end = end;
                loop {
                    match self.body.poll_frame(cx) {
                        Poll::Ready(Some(Ok(_))) => {}
                        Poll::Ready(_) => return Poll::Ready(None),
                        Poll::Pending => return Poll::Pending,
                    }
                }
            }
        }
    }
}

struct Pieces(Vec<Frame>);
/// One piece, and an error.
struct Fails(bool);

type Next = Poll<Option<Result<Frame, BodyError>>>;

impl Pull for Pieces {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Next {
        Poll::Ready(self.0.pop().map(Ok))
    }
}

/// Pieces without end.
struct Endless;

impl Pull for Endless {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Next {
        Poll::Ready(Some(Ok(Frame::Data(vec![b'x'; 64 << 10].into()))))
    }
}

/// One piece and nothing more.
struct Stuck(bool);

impl Pull for Stuck {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Next {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(Frame::Data("begun".into()))))
    }
}

impl Pull for Fails {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Next {
        Poll::Ready(Some(if std::mem::replace(&mut self.0, true) {
            Err(BodyError::Other("on purpose"))
        } else {
            Ok(Frame::Data("begun".into()))
        }))
    }
}
