//! Who listens for strangers.
use super::{
    At,
    rule::HttpRule,
    stream::{TcpRule, TlsRule},
    traffic::{Credential, Name, Trust},
};
use std::{net::IpAddr, num::NonZeroU16, sync::Arc};

/// Everything that one gateway listens on, whichever objects say so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayPlan {
    pub at: At,
    /// In the order in which they came: of two that claim a name on a port, the first has it.
    pub servers: Vec<Server>,
}

/// One listener; several may have one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub at: At,
    pub name: Arc<str>,
    /// `None`: every address.
    pub address: Option<IpAddr>,
    pub port: NonZeroU16,
    /// Names it answers to (`a.example.com`, `*.example.com`, `*`); none: all.
    pub hosts: Vec<Arc<str>>,
    pub serves: Serves,
}

/// What is spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Serves {
    Http {
        hosts: Vec<VirtualHost>,
        /// Everything is sent to https instead.
        to_https: bool,
    },
    /// HTTP within TLS that ends here.
    Https {
        hosts: Vec<VirtualHost>,
        tls: ServerTls,
    },
    /// Bytes within TLS that ends here.
    TlsTerminated {
        rules: Vec<TcpRule>,
        tls: ServerTls,
    },
    /// TLS that is passed on by the name asked for.
    TlsPassed(Vec<TlsRule>),
    Tcp(Vec<TcpRule>),
    /// It cannot be: nobody listens, or connections are closed where others have the port.
    Nothing,
}

/// Rules for some hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualHost {
    /// `a.example.com`, `*.example.com` or `*`, without ports.
    pub domains: Vec<Arc<str>>,
    /// What no rule matches is answered by 404.
    pub rules: Vec<HttpRule>,
}

/// A server's side of TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// Never empty.
    pub credentials: Vec<Credential>,
    pub client: ClientAuth,
    pub min: Option<TlsVersion>,
    pub max: Option<TlsVersion>,
    /// Envoy's names; those that are not known are passed over.
    pub ciphers: Vec<Arc<str>>,
}

/// Whether clients prove who they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    #[default]
    None,
    /// If they show a certificate.
    Optional {
        trust: Trust,
        names: Vec<Name>,
    },
    Required {
        trust: Trust,
        names: Vec<Name>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    V1_2,
    V1_3,
}
