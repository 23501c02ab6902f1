//! Questions that come in connections: several at once if need be, answered as answers come
//! (RFC 7766).
use crate::dns::{
    forward::Request,
    frame,
    message::{kind, query::Query},
    respond::{Next, Responder, Waiting},
    upstream::{Exchange, UpstreamError},
};
use culvert_runtime::{accept::accept_loop, drain::Worker};
use culvert_telemetry::metrics::dns::Protocol;
use std::{
    future::Future, io, net::SocketAddr, os::fd::AsFd as _, pin::pin, sync::Arc, time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tracing::debug;

/// Questions of one connection that may be unanswered.
const PIPELINE: usize = 16;

/// How long a connection may be silent between questions.
const IDLE: Duration = Duration::from_secs(10);

/// How long a question may take to come, and an answer to go, once it has begun.
const MESSAGE: Duration = Duration::from_secs(5);

/// Longer ones are no questions.
const REQUEST_MAX: u16 = 16 * 1024;

/// Answers on their way to the pod.
type Answers = mpsc::Sender<Vec<u8>>;

/// Accepts until the worker finishes.
///
/// # Errors
///
/// When the listener does not accept any more.
pub(crate) async fn serve(
    responder: &Arc<Responder>,
    listener: &TcpListener,
    resolver: SocketAddr,
    worker: &Worker,
) -> io::Result<()> {
    let serve = |io: TcpStream, _| {
        let (responder, worker) = (Arc::clone(responder), worker.clone());
        async move {
            // Who has too many, or came by itself, is closed to at once.
            if let Some(_permit) = responder.admit(io.as_fd()) {
                talk(&responder, io, resolver, &worker).await;
            }
        }
    };
    accept_loop(listener, worker, responder.node().reserve(), serve, |_, _| ()).await
}

/// Answers one connection's questions.
async fn talk(
    responder: &Arc<Responder>,
    mut io: TcpStream,
    resolver: SocketAddr,
    worker: &Worker,
) {
    let (reader, writer) = io.split();
    let (tx, rx) = mpsc::channel(PIPELINE);
    let mut answering = pin!(answer(writer, rx));
    tokio::select! {
        // Nobody takes the answers.
        () = &mut answering => return,
        () = read(responder, reader, resolver, (tx, worker)) => {}
    }
    // Who has said its last word still listens.
    answering.await;
}

/// Reads questions until there are no more.
async fn read(
    responder: &Arc<Responder>,
    mut reader: impl AsyncRead + Unpin,
    resolver: SocketAddr,
    (answers, worker): (Answers, &Worker),
) {
    // Not more than can be answered.
    while let Ok(permit) = answers.clone().reserve_owned().await {
        let request = tokio::select! {
            () = worker.finishing() => return,
            request = next(&mut reader) => request,
        };
        let Ok(request) = request else { return };
        match responder.receive(&request, resolver, Protocol::Tcp) {
            Next::Answer(answer) => drop(permit.send(answer)),
            Next::Ask(waiting) if is_transfer(&waiting) => {
                drop(permit);
                return transfer(responder, *waiting, &answers).await;
            }
            Next::Ask(waiting) => {
                let responder = Arc::clone(responder);
                worker.spawn(async move {
                    drop(permit.send(responder.ask(*waiting).await));
                });
            }
            // No request: what follows is none either.
            Next::Ignore => return,
        }
    }
}

/// One message, if it begins soon and then comes at once, however many bytes at a time.
async fn next(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let first = timeout(IDLE, reader.read_u8()).await??;
    let rest = async {
        let second = reader.read_u8().await?;
        match u16::from_be_bytes([first, second]) {
            length @ ..=REQUEST_MAX => frame::rest(reader, length).await,
            _ => Err(io::ErrorKind::FileTooLarge.into()),
        }
    };
    timeout(MESSAGE, rest).await?
}

async fn answer(mut writer: impl AsyncWrite + Unpin, mut answers: mpsc::Receiver<Vec<u8>>) {
    while let Some(answer) = answers.recv().await {
        match timeout(MESSAGE, frame::write(&mut writer, &answer)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

/// Whether the answer is a zone: many messages, of which only the asker knows the last.
fn is_transfer(waiting: &Waiting) -> bool {
    let query = waiting.request.query.as_ref();
    query.is_some_and(|Query { question, .. }| matches!(question.kind, kind::AXFR | kind::IXFR))
}

/// Passes on all that the resolver says, until it ends or is silent.
async fn transfer(responder: &Responder, waiting: Waiting, answers: &Answers) {
    let Request { bytes, resolver, .. } = &waiting.request;
    let exchange = Exchange {
        sockets: responder.forwarder().sockets(),
        resolver: *resolver,
        question: bytes,
        datagram: u16::MAX,
    };
    let passed: Result<(), UpstreamError> = async {
        let mut upstream = within(exchange.open_tcp(bytes), *resolver).await??;
        loop {
            let Ok(message) = timeout(IDLE, frame::read(&mut upstream)).await else { break };
            let Ok(message) = message else { break };
            if answers.send(message).await.is_err() {
                break;
            }
        }
        Ok(())
    }
    .await;
    if let Err(error) = passed {
        debug!(pod = %responder.pod(), %resolver, %error, "zone not transferred");
    }
}

async fn within<T>(
    what: impl Future<Output = T>,
    resolver: SocketAddr,
) -> Result<T, UpstreamError> {
    timeout(MESSAGE, what).await.map_err(|_elapsed| UpstreamError::Timeout { resolver })
}
