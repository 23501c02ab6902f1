//! One question to a pod's resolver, from the pod's namespace.
//!
//! The bytes are the pod's, but for the id. Each try has an id and a port of its own, so that who
//! does not see the question cannot guess an answer to it.
use crate::dns::{frame, message::reply};
use culvert_runtime::dice::dice;
use culvert_telemetry::metrics::dns::Protocol;
use std::{fmt, io, net::SocketAddr, os::fd::BorrowedFd, sync::Arc, time::Duration};
use tokio::{
    net::{TcpStream, UdpSocket},
    time::timeout,
};

/// How long each try waits for an answer. Together less than the five seconds after which most
/// resolvers of applications ask again.
const PATIENCE: [Duration; 3] =
    [Duration::from_millis(1000), Duration::from_millis(1500), Duration::from_millis(2000)];

/// How long all of it may take by TCP.
const TCP_PATIENCE: Duration = Duration::from_millis(4500);

/// Sockets in the pod's namespace that are the proxy's own: what they send is not captured again.
pub trait Sockets: fmt::Debug + Send + Sync + 'static {
    /// A socket that is connected to `resolver`, from a port that the kernel chose.
    ///
    /// # Errors
    ///
    /// Those of `socket(2)` and `connect(2)`.
    fn udp(&self, resolver: SocketAddr) -> io::Result<std::net::UdpSocket>;

    /// A socket of which the connection is in progress.
    ///
    /// # Errors
    ///
    /// Those of `socket(2)` and `connect(2)`.
    fn tcp(&self, resolver: SocketAddr) -> io::Result<std::net::TcpStream>;

    /// Whether a connection that was accepted had been meant for a resolver.
    fn is_captured(&self, accepted: BorrowedFd<'_>) -> bool;
}

/// Why a resolver did not answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("cannot open a socket to {resolver}")]
    Open {
        resolver: SocketAddr,
        #[source]
        source: Arc<io::Error>,
    },
    #[error("nobody answers questions at {resolver}")]
    Refused { resolver: SocketAddr },
    #[error("lost {resolver}")]
    Lost {
        resolver: SocketAddr,
        #[source]
        source: Arc<io::Error>,
    },
    #[error("no answer from {resolver}")]
    Timeout { resolver: SocketAddr },
    #[error("{resolver} did not answer the last time, and that was a moment ago")]
    Down { resolver: SocketAddr },
    #[error("there are as many questions under way as there may be")]
    Busy,
    #[error("the pod is being let go")]
    Cut,
}

/// What is asked, and of whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange<'a> {
    pub(crate) sockets: &'a dyn Sockets,
    pub(crate) resolver: SocketAddr,
    /// A whole message.
    pub(crate) question: &'a [u8],
    /// The largest datagram that is taken as an answer.
    pub(crate) datagram: u16,
}

impl Exchange<'_> {
    /// The answer, with some id.
    pub(crate) async fn run(self, by: Protocol) -> Result<Vec<u8>, UpstreamError> {
        let resolver = self.resolver;
        match by {
            Protocol::Udp => self.by_udp().await,
            Protocol::Tcp => {
                let answer = timeout(TCP_PATIENCE, self.by_tcp()).await;
                answer.unwrap_or(Err(UpstreamError::Timeout { resolver }))
            }
        }
    }

    async fn by_udp(self) -> Result<Vec<u8>, UpstreamError> {
        let mut error = UpstreamError::Timeout { resolver: self.resolver };
        for patience in PATIENCE {
            match timeout(patience, self.try_udp()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(why)) => error = why,
                Err(_) => error = UpstreamError::Timeout { resolver: self.resolver },
            }
        }
        Err(error)
    }

    async fn try_udp(self) -> Result<Vec<u8>, UpstreamError> {
        let socket = self.sockets.udp(self.resolver).map_err(|error| self.opening(error))?;
        let socket = registered(socket).map_err(|error| self.opening(error))?;
        let question = self.with_new_id();
        socket.send(&question).await.map_err(|error| self.lost(error))?;
        // One more, to see that there was more.
        let mut answer = vec![0; usize::from(self.datagram).max(512) + 1];
        loop {
            let length = socket.recv(&mut answer).await.map_err(|error| self.lost(error))?;
            let received = answer.get(..length).unwrap_or_default();
            // Who guesses is not listened to; who was asked may still answer.
            if reply::answers(received, &question) == Ok(true) {
                answer.truncate(length);
                return Ok(reply::fitted(answer, self.datagram));
            }
        }
    }

    async fn by_tcp(self) -> Result<Vec<u8>, UpstreamError> {
        let question = self.with_new_id();
        let mut stream = self.open_tcp(&question).await?;
        loop {
            let answer = frame::read(&mut stream).await.map_err(|error| self.lost(error))?;
            if reply::answers(&answer, &question) == Ok(true) {
                return Ok(answer);
            }
        }
    }

    /// A connection on which `question` was asked.
    pub(crate) async fn open_tcp(self, question: &[u8]) -> Result<TcpStream, UpstreamError> {
        let stream = self.sockets.tcp(self.resolver).map_err(|error| self.opening(error))?;
        let connected = async {
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream)?;
            stream.writable().await?;
            stream.take_error()?.map_or(Ok(()), Err)?;
            frame::write(&mut stream, question).await?;
            Ok(stream)
        };
        connected.await.map_err(|error| self.lost(error))
    }

    fn with_new_id(self) -> Vec<u8> {
        let [a, b, ..] = dice().to_be_bytes();
        reply::with_id(self.question.to_vec(), u16::from_be_bytes([a, b]))
    }

    fn opening(self, error: io::Error) -> UpstreamError {
        UpstreamError::Open { resolver: self.resolver, source: Arc::new(error) }
    }

    fn lost(self, error: io::Error) -> UpstreamError {
        let resolver = self.resolver;
        if error.kind() == io::ErrorKind::ConnectionRefused {
            UpstreamError::Refused { resolver }
        } else {
            UpstreamError::Lost { resolver, source: Arc::new(error) }
        }
    }
}

fn registered(socket: std::net::UdpSocket) -> io::Result<UdpSocket> {
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}
