//! The ways from a node to its control plane: for configuration, reports and certificates.
use crate::config::{Url, mesh::Upstream as Settings};
use culvert_identity::{
    bearer,
    ca::{files::Given, issuer::AuthorityIssuer},
    clock::SystemClock,
    issue::Issuer,
    istio::{self, IstioCa},
    join::{JoinError, Token, Whose, whose},
    node,
    store::Identities,
    trust::TrustStore,
    upstream::{Anchors, Server, Way},
};
use culvert_model::identity::{Identity, NotAnIdentity};
use culvert_xds::{
    envoy::discover,
    transport::{
        BoxIo,
        upstream::{Bearer, Connect, Upstream, UpstreamError, plain},
    },
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What leads to the control plane, before anybody goes.
#[derive(Debug)]
pub(crate) struct Ways {
    discovery: Towards,
    ca: Option<Towards>,
    /// Who serves L7; `None`: the same as discovery.
    l7: Option<Towards>,
    /// What is sent along for discovery and reports.
    token: Option<PathBuf>,
    cluster: String,
    report: bool,
    /// Of the node itself, when the control plane knows nodes by certificates.
    own: Option<Identity>,
    trust_domain: String,
}

/// One server.
#[derive(Clone, Debug)]
enum Towards {
    Plain(Url),
    Tls { url: Url, way: Way, token: Option<PathBuf> },
}

/// Why the settings lead nowhere.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WayError {
    #[error("cannot read the join token {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the join token {} is no good", path.display())]
    Token {
        path: PathBuf,
        #[source]
        source: JoinError,
    },
    #[error("the join token {} is for {of}, and this is {node}", path.display())]
    OtherNode { path: PathBuf, of: String, node: String },
    #[error("node {0} cannot have an identity")]
    Node(String, #[source] NotAnIdentity),
    #[error("the control plane cannot be called")]
    Upstream(#[from] UpstreamError),
}

/// Who a node is and where it lives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home<'a> {
    /// Or `NAMESPACE/NAME` of a gateway.
    pub(crate) node: &'a str,
    pub(crate) cluster: &'a str,
    /// When no token says it.
    pub(crate) trust_domain: &'a str,
}

impl Ways {
    /// The ways that the settings of a node name.
    ///
    /// # Errors
    ///
    /// When the join token is none, or another node's.
    pub(crate) fn open(
        settings: &Settings,
        l7: Option<&Url>,
        home: Home<'_>,
    ) -> Result<Self, WayError> {
        let Settings { control, name, join_token, root, ca, ca_token, report, network: _ } =
            settings;
        let token = join_token.as_deref().map(|path| read(path, home.node)).transpose()?;
        let trust_domain =
            token.as_ref().map_or(home.trust_domain, |token| token.trust_domain()).to_owned();
        let named = |url: &Url| Server::Name(name.clone().unwrap_or_else(|| url.host.clone()));
        let bearer = join_token.clone().or_else(|| ca_token.clone());
        let towards = |url: &Url, token: Option<PathBuf>| -> Result<_, WayError> {
            let (server, anchors) = match (root, join_token) {
                (Some(root), _) => (named(url), Anchors::File(root.clone())),
                (None, Some(token)) => {
                    let identity = node::control_plane(&trust_domain);
                    let identity = identity.map_err(|e| WayError::Node(home.node.to_owned(), e))?;
                    (Server::Identity(identity), Anchors::Token(token.clone()))
                }
                // Plain text alone: the settings see to it.
                (None, None) => return Ok(Towards::Plain(url.clone())),
            };
            if !url.tls {
                return Ok(Towards::Plain(url.clone()));
            }
            let way = Way::new(&url.address(), server, anchors);
            Ok(Towards::Tls { url: url.clone(), way, token })
        };
        let discovery = towards(control, bearer.clone())?;
        let l7 = l7.map(|url| towards(url, bearer.clone())).transpose()?;
        let other = ca_token.clone().or_else(|| join_token.clone());
        let ca = ca.as_ref().map(|url| towards(url, other)).transpose()?;
        let own = match whose(home.node) {
            Whose::Node(node) => {
                join_token.as_ref().map(|_| own(&trust_domain, node)).transpose()?
            }
            // It goes by its token alone.
            Whose::Gateway { .. } => None,
        };
        let (cluster, report) = (home.cluster.to_owned(), *report);
        Ok(Self { discovery, ca, l7, token: bearer, cluster, report, own, trust_domain })
    }

    /// The way to the control plane in this process, which listens at `url` and gave `token`.
    ///
    /// # Errors
    ///
    /// When the token is no good.
    pub(crate) fn home(
        url: Url,
        token: PathBuf,
        l7: Option<&Url>,
        home: Home<'_>,
    ) -> Result<Self, WayError> {
        let settings = Settings {
            control: url,
            name: None,
            join_token: Some(token),
            root: None,
            ca: None,
            ca_token: None,
            report: true,
            network: String::new(),
        };
        Self::open(&settings, l7, home)
    }

    /// The node's own, when it has one.
    pub(crate) fn own(&self) -> Option<&Identity> {
        self.own.as_ref()
    }

    pub(crate) fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// Where configuration comes from, for people.
    pub(crate) fn address(&self) -> String {
        self.discovery.url().to_string()
    }

    /// Believes the roots of the mesh too, from when they are known.
    #[must_use]
    pub(crate) fn with_mesh(self, trust: &TrustStore) -> Self {
        let with = |towards| match towards {
            Towards::Tls { url, way, token } => {
                Towards::Tls { url, way: way.with_mesh(trust.clone()), token }
            }
            plain @ Towards::Plain(_) => plain,
        };
        Self {
            discovery: with(self.discovery),
            ca: self.ca.map(with),
            l7: self.l7.map(with),
            ..self
        }
    }

    /// Shows the node's own certificate from when it has one, also to the [`issuer`](Self::issuer)
    /// that gives it.
    pub(crate) fn show(&self, identities: &Identities) {
        let Some(own) = &self.own else { return };
        let all = [Some(&self.discovery), self.ca.as_ref(), self.l7.as_ref()];
        for towards in all.into_iter().flatten() {
            if let Towards::Tls { way, .. } = towards {
                // Counts for all copies of it.
                drop(way.clone().with_own(identities.clone(), own.clone()));
            }
        }
    }

    /// For discovery.
    ///
    /// # Errors
    ///
    /// When it cannot be called so.
    pub(crate) fn discovery(&self) -> Result<Upstream, WayError> {
        let url = self.discovery.url();
        let upstream = Upstream::try_new(&url.to_string(), self.discovery.connect())?;
        let upstream = upstream.with_metadata("clusterid", &self.cluster);
        Ok(match self.bearer(&self.discovery) {
            Some(bearer) => upstream.with_bearer(bearer),
            None => upstream,
        })
    }

    /// For the discovery of HTTP engines.
    pub(crate) fn l7(&self) -> discover::Way {
        let towards = self.l7.as_ref().unwrap_or(&self.discovery);
        discover::Way {
            connect: towards.connect(),
            authority: towards.url().address().into(),
            // Not for others to read.
            bearer: self.bearer(towards).filter(|_| self.l7.is_none() || towards.url().tls),
        }
    }

    /// The token to show there, if there is one.
    fn bearer(&self, towards: &Towards) -> Option<Bearer> {
        let file = self.token.clone()?;
        let way = match towards {
            Towards::Tls { way, .. } => Some(way.clone()),
            Towards::Plain(_) => None,
        };
        let proven = move || way.as_ref().is_some_and(Way::shows_own);
        Some(Arc::new(move || Ok(bearer::shown(&file, &proven)?)))
    }

    /// For reports; `None`: nobody understands them.
    ///
    /// # Errors
    ///
    /// When it cannot be called so.
    pub(crate) fn report(&self) -> Result<Option<Upstream>, WayError> {
        self.report.then(|| self.discovery()).transpose()
    }

    /// Who signs; `None`: nobody is asked in plain text.
    pub(crate) fn issuer(&self) -> Option<Arc<dyn Issuer>> {
        let Towards::Tls { way, token, .. } = self.ca.as_ref().unwrap_or(&self.discovery) else {
            return None;
        };
        let (token, cluster) = (token.clone(), self.cluster.clone());
        let settings = istio::Settings { token, cluster, headers: Vec::new() };
        Some(Arc::new(IstioCa::new(way.clone(), settings)))
    }
}

impl Towards {
    fn url(&self) -> &Url {
        match self {
            Self::Plain(url) | Self::Tls { url, .. } => url,
        }
    }

    fn connect(&self) -> Connect {
        match self {
            Self::Plain(url) => plain(&url.address()),
            Self::Tls { way, .. } => {
                let way = way.clone();
                Arc::new(move || {
                    let way = way.clone();
                    Box::pin(async move { Ok(Box::new(way.connect().await?) as BoxIo) })
                })
            }
        }
    }
}

/// Signs in this process, with files that somebody gave.
///
/// # Errors
///
/// When they cannot be used.
pub(crate) fn given(
    folder: &Path,
    trust_domain: &str,
    worker: &culvert_runtime::drain::Worker,
) -> Result<Arc<dyn Issuer>, culvert_identity::ca::files::FilesError> {
    let authority = Given::in_folder(folder).follow(trust_domain, worker)?;
    Ok(Arc::new(AuthorityIssuer::new(authority, Arc::new(SystemClock))))
}

fn own(trust_domain: &str, node: &str) -> Result<Identity, WayError> {
    node::identity(trust_domain, node).map_err(|error| WayError::Node(node.to_owned(), error))
}

/// The join token of a file, when it is this node's.
fn read(path: &Path, node: &str) -> Result<Token, WayError> {
    let text = fs::read_to_string(path)
        .map_err(|source| WayError::Read { path: path.to_owned(), source })?;
    let token = Token::parse(text.trim())
        .map_err(|source| WayError::Token { path: path.to_owned(), source })?;
    if token.node() == node {
        return Ok(token);
    }
    let of = token.node().to_owned();
    Err(WayError::OtherNode { path: path.to_owned(), of, node: node.to_owned() })
}
