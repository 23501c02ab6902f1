//! Who listens for strangers.
use super::{
    At, Labels, has_all,
    rule::HttpRule,
    stream::{TcpRule, TlsRule},
    traffic::{Credential, Name, Trust},
};
use culvert_model::name::ServiceName;
use std::{collections::BTreeSet, net::IpAddr, num::NonZeroU16, sync::Arc};

/// What one object has a gateway listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayPlan {
    pub at: At,
    /// Labels that the gateway has for it.
    pub labels: Labels,
    /// In the order in which they came: of two that claim a name on a port, the first has it.
    pub servers: Vec<Server>,
}

/// What an object has several gateways listen on: that of its own name, and those that it chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// All of these they have; none: every gateway there is.
    pub labels: Labels,
    /// When the object was made: of two that claim a name on a port, the older one has it.
    pub since: Option<Arc<str>>,
    /// Secrets in it are of the namespace of the gateway that shows them.
    pub plan: GatewayPlan,
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
    /// The same, to these services, by the names that proxies of Istio have for their clusters.
    TlsByCluster(BTreeSet<ServiceName>),
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
    /// A file of lists of what their authorities revoked.
    pub revoked: Option<Arc<str>>,
    pub min: Option<TlsVersion>,
    pub max: Option<TlsVersion>,
    /// Envoy's names; those that are not known are passed over.
    pub ciphers: Vec<Arc<str>>,
}

impl Chosen {
    /// Whether a gateway with these labels listens so.
    #[must_use]
    pub fn is_for(&self, labels: &Labels) -> bool {
        has_all(labels, &self.labels)
    }
}

impl ServerTls {
    /// The same with Secrets of `namespace`.
    #[must_use]
    pub fn beside(&self, namespace: &Arc<str>) -> Self {
        let beside = |credential: &Credential| match credential {
            Credential::Secret { name, .. } => {
                Credential::Secret { namespace: Arc::clone(namespace), name: Arc::clone(name) }
            }
            Credential::ConfigMap { .. } | Credential::Files { .. } | Credential::Own => {
                credential.clone()
            }
        };
        let trusted = |trust: &Trust| match trust {
            Trust::System => Trust::System,
            Trust::Only(credential) => Trust::Only(beside(credential)),
        };
        let client = match &self.client {
            ClientAuth::None => ClientAuth::None,
            ClientAuth::Optional { trust, names } => {
                ClientAuth::Optional { trust: trusted(trust), names: names.clone() }
            }
            ClientAuth::Required { trust, names } => {
                ClientAuth::Required { trust: trusted(trust), names: names.clone() }
            }
        };
        let credentials = self.credentials.iter().map(beside).collect();
        Self { credentials, client, ..self.clone() }
    }
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
