//! The way to an API server.
use crate::fault::Fault;
use bytes::Bytes;
use http::{
    Method, Request,
    header::{ACCEPT, CONTENT_TYPE},
};
use http_body_util::BodyExt as _;
use hyper_util::{
    client::legacy::{Builder, connect::HttpConnector},
    rt::TokioExecutor,
};
use kube::{
    Config,
    client::{Body, ConfigExt as _},
    config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use serde::de::DeserializeOwned;
use std::{error::Error, fmt, path::PathBuf, time::Duration};
use tokio::time;
use tower::{BoxError, ServiceBuilder};

/// How long a connection may take to open.
const CONNECT: Duration = Duration::from_secs(5);

/// A server that is not there any more is noticed after about three of these.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// How long an answer may take, without what follows its head.
const ANSWER: Duration = Duration::from_secs(30);

/// How long a whole answer may take.
const WHOLE: Duration = Duration::from_secs(60);

/// A larger answer is not read.
const MAX_ANSWER: usize = 64 << 20;

/// An error of the API server is shorter.
const MAX_ERROR: usize = 64 << 10;

/// What everything is written in, and asked for in.
pub(crate) const JSON: &str = "application/json";

/// Some fields, whoever keeps them (RFC 7396).
pub(crate) const MERGE: &str = "application/merge-patch+json";

/// Some fields, and that they are ours: server-side apply.
pub(crate) const APPLY: &str = "application/apply-patch+yaml";

/// What others see as whose a field is.
pub(crate) const MANAGER: &str = "culvert-control";

/// Which API server, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// The one of the cluster that this process is a pod of, else that of the user's kubeconfig.
    #[default]
    Found,
    /// That of a kubeconfig; `file`: not the user's, `context`: not the one it says.
    Kubeconfig { file: Option<PathBuf>, context: Option<String> },
}

/// Speaks to one API server. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    kube: kube::Client,
    server: Box<str>,
}

/// Why there is no way to an API server.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    #[error("the kubeconfig cannot be used")]
    Kubeconfig(#[from] KubeconfigError),
    #[error("there is neither a kubeconfig nor a service account of a pod ({0})")]
    Nowhere(InClusterError, #[source] KubeconfigError),
    #[error("the way to {server} cannot be made ready")]
    Client { server: String, source: kube::Error },
}

impl Client {
    /// Makes the way ready; whether somebody is there shows when something is asked.
    ///
    /// Credentials are kept fresh: token files and programs that print tokens are asked again.
    ///
    /// # Errors
    ///
    /// When nothing says where the API server is, or what says it is no good.
    pub async fn new(reach: &Reach) -> Result<Self, ReachError> {
        let config = config(reach).await?;
        let server = config.cluster_url.to_string();
        let failed = |source| ReachError::Client { server: server.clone(), source };
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT));
        http.set_keepalive(Some(KEEPALIVE));
        http.set_keepalive_interval(Some(KEEPALIVE));
        http.set_keepalive_retries(Some(2));
        let https = config.rustls_https_connector_with_connector(http).map_err(failed)?;
        // Not kube's own stack, which logs every failure as an error and tries again by itself.
        let service = ServiceBuilder::new()
            .layer(config.base_uri_layer())
            .option_layer(config.auth_layer().map_err(failed)?)
            .layer(config.extra_headers_layer().map_err(failed)?)
            .map_err(BoxError::from)
            .service(Builder::new(TokioExecutor::new()).build(https));
        let kube = kube::Client::new(service, config.default_namespace);
        Ok(Self { kube, server: server.trim_end_matches('/').into() })
    }

    /// Where the API server is: `https://10.96.0.1`.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// For what kube knows how to ask.
    pub(crate) fn typed(&self) -> &kube::Client {
        &self.kube
    }

    /// The whole answer to a GET.
    ///
    /// # Errors
    ///
    /// When nobody answers in time, or the answer is an error or too long.
    pub(crate) async fn get(&self, path: &str, accept: &str) -> Result<Bytes, Fault> {
        let read = async {
            let body = self.open(path, accept).await?;
            whole(body, MAX_ANSWER).await
        };
        let late = || Fault::Unreachable(format!("no whole answer within {} s", WHOLE.as_secs()));
        time::timeout(WHOLE, read).await.unwrap_or_else(|_| Err(late()))
    }

    /// The answer to `body`, which is JSON of the type `content`.
    ///
    /// # Errors
    ///
    /// When nobody answers in time, or the answer is an error or too long.
    pub(crate) async fn send(
        &self,
        (method, path): (Method, &str),
        content: &str,
        body: Vec<u8>,
    ) -> Result<Bytes, Fault> {
        let request = Request::builder().method(method).uri(path).header(ACCEPT, JSON);
        let request = request.header(CONTENT_TYPE, content).body(Body::from(body));
        let read = async { whole(self.answer(request).await?, MAX_ANSWER).await };
        let late = || Fault::Unreachable(format!("no whole answer within {} s", ANSWER.as_secs()));
        time::timeout(ANSWER, read).await.unwrap_or_else(|_| Err(late()))
    }

    /// The answer to a GET as it comes.
    ///
    /// # Errors
    ///
    /// When nobody answers in time, or with an error.
    pub(crate) async fn open(&self, path: &str, accept: &str) -> Result<Body, Fault> {
        self.answer(Request::get(path).header(ACCEPT, accept).body(Body::empty())).await
    }

    async fn answer(&self, request: http::Result<Request<Body>>) -> Result<Body, Fault> {
        let request = request.map_err(|error| Fault::Garbled(error.to_string()))?;
        let late = || Fault::Unreachable(format!("no answer within {} s", ANSWER.as_secs()));
        let answer = time::timeout(ANSWER, self.kube.send(request)).await;
        let answer = answer.unwrap_or_else(|_| Err(kube::Error::Service(late().into())));
        let answer = answer.map_err(|error| Fault::Unreachable(chain(&error)))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer.into_body());
        }
        let said = whole(answer.into_body(), MAX_ERROR).await.unwrap_or_default();
        Err(Fault::of_answer(status.as_u16(), &said))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("server", &self.server).finish_non_exhaustive()
    }
}

async fn config(reach: &Reach) -> Result<Config, ReachError> {
    let (file, context) = match reach {
        Reach::Kubeconfig { file, context } => (file, context.clone()),
        Reach::Found => {
            let inside = match Config::incluster_env() {
                Ok(config) => return Ok(config),
                Err(error) => error,
            };
            let options = KubeConfigOptions::default();
            let outside = Config::from_kubeconfig(&options).await;
            return outside.map_err(|error| ReachError::Nowhere(inside, error));
        }
    };
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    Ok(match file {
        Some(file) => {
            Config::from_custom_kubeconfig(Kubeconfig::read_from(file)?, &options).await?
        }
        None => Config::from_kubeconfig(&options).await?,
    })
}

async fn whole(mut body: Body, most: usize) -> Result<Bytes, Fault> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Fault::Unreachable(chain(&error)))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > most {
            return Err(Fault::Garbled(format!("an answer of more than {most} bytes")));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.into())
}

/// What an answer says.
pub(crate) fn read<T: DeserializeOwned>(answer: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(answer).map_err(|error| Fault::Garbled(error.to_string()))
}

/// An error and its causes in one line, each once.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}
