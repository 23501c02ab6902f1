//! What decisions may depend on: the fields are the limit of it.
use std::{borrow::Cow, collections::BTreeMap, net::SocketAddr, sync::Arc, time::SystemTime};

use culvert_model::{
    facts::ConnFacts,
    http::{field::Field, runtime::RuntimeValues, value::Metadata},
    party::Party,
};
use http::{HeaderMap, HeaderName, Method, StatusCode};

/// What a request says before its body, as decisions see it.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    pub method: &'a Method,
    /// With its query; empty for CONNECT without one.
    pub path: &'a str,
    /// Empty if there is none.
    pub authority: &'a str,
    pub scheme: &'a str,
    /// Of an extended CONNECT.
    pub protocol: Option<&'a str>,
    pub headers: &'a HeaderMap,
}

/// What a response says before its body, as decisions see it.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    pub status: StatusCode,
    pub headers: &'a HeaderMap,
}

/// What is known of the connection that a request came by.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// The client, `x-forwarded-for` and the PROXY protocol believed.
    pub remote: Option<SocketAddr>,
    /// The client, the PROXY protocol believed.
    pub source: Option<SocketAddr>,
    /// The one that connected.
    pub direct_remote: Option<SocketAddr>,
    /// Where the connection was meant to go.
    pub local: Option<SocketAddr>,
    /// Where it arrived.
    pub direct_local: Option<SocketAddr>,
    /// It was meant for where it arrived, and that is not where we listen.
    pub taken: bool,
    /// SNI; empty if there is none.
    pub server_name: Arc<str>,
    /// `tls`, `raw_buffer`.
    pub transport: &'static str,
    /// What the client offered (before the handshake) or agreed to.
    pub protocols: Arc<[Arc<str>]>,
    /// What was proven: by a handshake here, or by whoever handed the connection over.
    pub tls: Option<Arc<Tls>>,
    /// As whom a node opens connections for it; `None`: we are no node.
    pub party: Option<Arc<Party>>,
    /// What the node that handed it over knows of it; `None`: nobody has.
    pub origin: Option<Arc<ConnFacts>>,
}

impl Connection {
    /// Whether the client itself speaks TLS with us.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.tls.is_some() && self.transport == "tls"
    }

    /// Where it was meant to go, if that was found out: another place than where we listen.
    #[must_use]
    pub fn restored(&self) -> Option<SocketAddr> {
        self.local.filter(|_| self.taken || self.local != self.direct_local)
    }
}

/// What a TLS handshake proved.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// `TLSv1.3`.
    pub version: &'static str,
    /// As OpenSSL writes it.
    pub cipher: Arc<str>,
    pub session: Arc<str>,
    /// `X25519MLKEM768`.
    pub group: &'static str,
    pub local: Option<Arc<Certificate>>,
    pub peer: Option<Arc<Certificate>>,
    /// Whether somebody we trust vouches for the peer's certificate.
    pub validated: bool,
    /// What the peer sent beside its own, in this order.
    pub chain: Arc<[Arc<Certificate>]>,
}

/// A certificate, as logs and rules see it.
#[derive(Clone, Debug, Default)]
pub struct Certificate {
    pub uris: Arc<[Arc<str>]>,
    pub names: Arc<[Arc<str>]>,
    pub addresses: Arc<[Arc<str>]>,
    pub emails: Arc<[Arc<str>]>,
    pub others: Arc<[Arc<str>]>,
    /// As RFC 2253 writes it.
    pub subject: Arc<str>,
    pub issuer: Arc<str>,
    /// Hexadecimal.
    pub serial: Arc<str>,
    pub sha1: Arc<str>,
    pub sha256: Arc<str>,
    /// PEM, escaped as a URL is.
    pub pem: Arc<str>,
    /// Of all certificates that were sent, so escaped.
    pub pem_chain: Arc<str>,
    /// From when to when it is valid.
    pub validity: Option<(SystemTime, SystemTime)>,
}

/// Strings that filters leave for others, by their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterState(pub BTreeMap<Arc<str>, Arc<str>>);

/// A request, in its place.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    pub head: Head<'a>,
    pub connection: &'a Connection,
    /// What filters said of it.
    pub metadata: &'a Metadata,
    pub state: &'a FilterState,
    pub runtime: &'a RuntimeValues,
    /// One number for all that is decided by chance of one request.
    pub dice: u64,
}

/// Something with fields that can be looked up by name.
pub trait Fields {
    /// The first value.
    fn first(&self, name: &Field) -> Option<&[u8]>;

    /// All values, joined by commas.
    fn joined(&self, name: &Field) -> Option<Cow<'_, [u8]>>;

    /// Whether any value is as wanted; `None` if there is none.
    fn any(&self, name: &Field, wanted: impl Fn(&[u8]) -> bool) -> Option<bool>;
}

impl<'a> Head<'a> {
    /// The path up to its query and fragment.
    #[must_use]
    pub fn bare_path(&self) -> &'a str {
        bare(self.path)
    }

    /// Whether the request is of gRPC, by its content type.
    #[must_use]
    pub fn is_grpc(&self) -> bool {
        is_grpc(self.headers)
    }

    /// The value of a pseudo-header, if it is not empty.
    #[must_use]
    pub fn pseudo(&self, name: &Field) -> Option<&'a [u8]> {
        let value = match name {
            Field::Authority => self.authority,
            Field::Method => self.method.as_str(),
            Field::Path => self.path,
            Field::Scheme => self.scheme,
            Field::Protocol => self.protocol?,
            Field::Status | Field::Header(_) => return None,
        };
        (!value.is_empty()).then_some(value.as_bytes())
    }
}

/// A path up to its query and fragment.
#[must_use]
pub fn bare(path: &str) -> &str {
    path.find(['?', '#']).and_then(|end| path.get(..end)).unwrap_or(path)
}

/// Whether headers have the content type of gRPC.
#[must_use]
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(http::header::CONTENT_TYPE) else { return false };
    let rest = kind.as_bytes().strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| rest.is_empty() || matches!(rest.first(), Some(b'+' | b';')))
}

impl Fields for Head<'_> {
    fn first(&self, name: &Field) -> Option<&[u8]> {
        if let Field::Header(name) = name {
            self.headers.get(name).map(http::HeaderValue::as_bytes)
        } else {
            self.pseudo(name)
        }
    }

    fn joined(&self, name: &Field) -> Option<Cow<'_, [u8]>> {
        if let Field::Header(name) = name {
            joined(self.headers, name)
        } else {
            self.pseudo(name).map(Cow::Borrowed)
        }
    }

    fn any(&self, name: &Field, wanted: impl Fn(&[u8]) -> bool) -> Option<bool> {
        match self.pseudo(name) {
            Some(value) => Some(wanted(value)),
            None => self.headers.any(name, wanted),
        }
    }
}

impl Fields for Answer<'_> {
    fn first(&self, name: &Field) -> Option<&[u8]> {
        if *name == Field::Status {
            Some(self.status.as_str().as_bytes())
        } else {
            self.headers.first(name)
        }
    }

    fn joined(&self, name: &Field) -> Option<Cow<'_, [u8]>> {
        if *name == Field::Status {
            self.first(name).map(Cow::Borrowed)
        } else {
            self.headers.joined(name)
        }
    }

    fn any(&self, name: &Field, wanted: impl Fn(&[u8]) -> bool) -> Option<bool> {
        if *name == Field::Status {
            return Some(wanted(self.status.as_str().as_bytes()));
        }
        self.headers.any(name, wanted)
    }
}

impl Fields for HeaderMap {
    fn first(&self, name: &Field) -> Option<&[u8]> {
        let Field::Header(name) = name else { return None };
        self.get(name).map(http::HeaderValue::as_bytes)
    }

    fn joined(&self, name: &Field) -> Option<Cow<'_, [u8]>> {
        let Field::Header(name) = name else { return None };
        joined(self, name)
    }

    fn any(&self, name: &Field, wanted: impl Fn(&[u8]) -> bool) -> Option<bool> {
        let Field::Header(name) = name else { return None };
        let mut values = self.get_all(name).iter().peekable();
        values.peek()?;
        Some(values.any(|value| wanted(value.as_bytes())))
    }
}

fn joined<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Cow<'a, [u8]>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.as_bytes();
    let Some(second) = values.next() else { return Some(Cow::Borrowed(first)) };
    let mut all = first.to_vec();
    for value in std::iter::once(second).chain(values) {
        all.push(b',');
        all.extend_from_slice(value.as_bytes());
    }
    Some(Cow::Owned(all))
}
