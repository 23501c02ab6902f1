//! Where a socket is.
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// An address of a listener or an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    Socket(SocketAddr),
    /// A host that is to be resolved; only where the kind of cluster resolves names.
    Name {
        host: Arc<str>,
        port: u16,
    },
    /// A Unix socket; a leading `@` means the abstract namespace.
    Pipe(Arc<str>),
}

impl Address {
    pub fn as_socket(&self) -> Option<SocketAddr> {
        match self {
            Self::Socket(addr) => Some(*addr),
            Self::Name { .. } | Self::Pipe(_) => None,
        }
    }

    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Socket(addr) => Some(addr.port()),
            Self::Name { port, .. } => Some(*port),
            Self::Pipe(_) => None,
        }
    }
}

/// As Envoy writes it.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(addr) => addr.fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
            Self::Pipe(path) => f.write_str(path),
        }
    }
}

/// Options of a socket that are given to the kernel as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketOption {
    pub level: i32,
    pub name: i32,
    pub value: SocketOptionValue,
    pub state: SocketState,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketOptionValue {
    Int(i32),
    Bytes(Arc<[u8]>),
}

/// When an option is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SocketState {
    #[default]
    Prebind,
    Bound,
    Listening,
}

/// Where connections to an upstream come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceAddress {
    pub ip: IpAddr,
    /// 0: any.
    pub port: u16,
}
