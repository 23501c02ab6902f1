//! Opening a connection to an endpoint: its socket, a PROXY header, TLS.
use super::{greeting, host::Host, mesh, pools::Key, socket, wire::Wire};
use crate::{
    dial::{Dial, DialError, Dialled, Dialling, Protocol},
    handshakes::Handshakes,
    io::Io,
    link::Link,
    pool::Speaks,
};
use culvert_identity::edge::client::Asked;
use culvert_model::http::address::Address;
use std::{
    error::Error as _,
    fmt::Write as _,
    sync::{Arc, atomic::Ordering},
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

/// Leads to one endpoint.
#[derive(Clone, Debug)]
pub(super) struct Door {
    pub(super) wire: Arc<Wire>,
    pub(super) host: Arc<Host>,
    pub(super) way: usize,
    /// All of the endpoint's.
    pub(super) to: Arc<[Address]>,
    pub(super) hostname: Arc<str>,
    pub(super) key: Key,
    /// `None`: no HTTP.
    pub(super) speaks: Option<Speaks>,
    /// Offered in place of what is spoken, if there is any.
    pub(super) alpn: Arc<[Arc<str>]>,
}

impl Dial for Door {
    fn dial(&self) -> Dialling {
        let this = self.clone();
        Box::pin(async move {
            this.host.connects.fetch_add(1, Ordering::Relaxed);
            let opened = this.open().await;
            if opened.is_err() {
                this.host.connect_failures.fetch_add(1, Ordering::Relaxed);
            }
            opened
        })
    }
}

impl Door {
    pub(super) fn is_secure(&self) -> bool {
        self.wire.ways.get(self.way).is_some_and(|way| way.tls.is_some())
    }

    pub(super) async fn open(&self) -> Result<Dialled, DialError> {
        let wire = &self.wire;
        let Some(way) = wire.ways.get(self.way) else {
            return Err(DialError("no transport socket".to_owned()));
        };
        let mut socket = match &wire.deps.mesh {
            None => socket::open(&self.to, &self.host, &wire.config).await?,
            Some(mesh) => {
                let party = self.key.party.as_deref();
                match mesh::open(&**mesh, party, &self.to, &self.host).await? {
                    mesh::Way::Outside(tcp) => socket::Socket::Tcp(tcp),
                    // Whatever the cluster says of TLS.
                    mesh::Way::Member(io, path) => {
                        let link = io.tcp().map_or_else(|| Link::new(None, None), Link::of);
                        return Ok(Dialled { io, protocol: None, link: link.through(path) });
                    }
                }
            }
        };
        if let Some(version) = way.greeting {
            let bytes = greeting::bytes(version, self.key.ends);
            match &mut socket {
                socket::Socket::Tcp(tcp) => tcp.write_all(&bytes).await?,
                socket::Socket::Unix(unix) => unix.write_all(&bytes).await?,
            }
        }
        let link = match &socket {
            socket::Socket::Tcp(tcp) => Link::of(tcp),
            socket::Socket::Unix(_) => Link::new(None, None),
        };
        let Some(context) = &way.tls else {
            return Ok(Dialled { io: socket.into(), protocol: None, link });
        };
        let sides = wire.sides.load_full();
        let clock = &wire.deps.clock;
        let side = if self.alpn.is_empty() {
            sides.side(self.way, context, self.speaks, clock)
        } else {
            sides.offering(&self.alpn, context, clock)
        };
        let side = side.map_err(|error| DialError(format!("TLS_error:|{error}")))?;
        let endpoint = (!self.hostname.is_empty()).then_some(&*self.hostname);
        let asked = Asked { sni: self.key.sni.as_deref(), endpoint };
        let counts = wire.tally.handshakes();
        match socket {
            socket::Socket::Tcp(tcp) => secured(&side, asked, (tcp, link), counts).await,
            socket::Socket::Unix(unix) => secured(&side, asked, (unix, link), counts).await,
        }
    }
}

async fn secured<IO: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    side: &culvert_identity::edge::client::ClientSide,
    asked: Asked<'_>,
    (io, link): (IO, Link),
    counts: &Handshakes,
) -> Result<Dialled, DialError> {
    let (io, facts) = side.connect(asked, io).await.map_err(|error| {
        counts.failed(&error);
        let mut text = format!("TLS_error:|{error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            // Writing to a string does not fail.
            let _written = write!(text, ": {error}");
            cause = error.source();
        }
        DialError(text)
    })?;
    counts.shaken(&facts);
    let protocol = facts.alpn.as_deref().and_then(|name| match name {
        b"h2" => Some(Protocol::Http2),
        b"http/1.1" | b"http/1.0" => Some(Protocol::Http1),
        _ => None,
    });
    Ok(Dialled { io: Io::boxed(io), protocol, link: link.secured(facts) })
}
