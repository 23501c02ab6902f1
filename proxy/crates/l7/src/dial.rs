//! The door out: how a connection to an endpoint is opened.
use crate::{io::Io, link::Link};
use std::{future::Future, io, net::SocketAddr, pin::Pin};
use tokio::net::{TcpSocket, TcpStream};

/// Opens connections to one endpoint.
///
/// At the edge a socket, with TLS or without; in a mesh the node's own ways.
pub trait Dial: Send + Sync {
    fn dial(&self) -> Dialling;
}

pub type Dialling = Pin<Box<dyn Future<Output = Result<Dialled, DialError>> + Send>>;

/// A connection that was opened.
#[derive(Debug)]
pub struct Dialled {
    pub io: Io,
    /// What both sides agreed on, if they spoke of it.
    pub protocol: Option<Protocol>,
    pub link: Link,
}

/// A version of HTTP, as far as connections are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    Http1,
    Http2,
}

/// Why there is no connection.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct DialError(pub String);

/// A plain socket.
#[derive(Clone, Copy, Debug)]
pub struct Tcp {
    pub to: SocketAddr,
    /// The address connections come from.
    pub from: Option<SocketAddr>,
}

impl Tcp {
    async fn connect(self) -> io::Result<TcpStream> {
        let Some(from) = self.from else { return TcpStream::connect(self.to).await };
        let socket = if from.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.bind(from)?;
        socket.connect(self.to).await
    }
}

impl Dial for Tcp {
    fn dial(&self) -> Dialling {
        let this = *self;
        Box::pin(async move {
            let tcp = this.connect().await?;
            tcp.set_nodelay(true)?;
            let link = Link::of(&tcp);
            Ok(Dialled { io: tcp.into(), protocol: None, link })
        })
    }
}

impl From<io::Error> for DialError {
    /// In the system's words, without their number.
    fn from(error: io::Error) -> Self {
        let text = error.to_string();
        let words = text.split(" (os error").next().unwrap_or_default();
        Self(format!("delayed connect error: {words}"))
    }
}
