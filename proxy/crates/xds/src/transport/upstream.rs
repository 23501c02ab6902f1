//! The way to the control plane.
use super::{Answer, BoxIo};
use hyper_util::rt::TokioIo;
use std::{
    error, fmt, io,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::net::TcpStream;
use tonic::{
    Request, Status,
    metadata::{MetadataKey, MetadataValue},
    transport::{Channel, Endpoint, Error, Uri},
};
use tower_service::Service;

/// Nobody answers within this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A silent connection is asked whether it lives.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// And has this long to say so.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens one connection: the seam at which TLS comes in.
pub type Connect = Arc<dyn Fn() -> Answer<'static, io::Result<BoxIo>> + Send + Sync>;

/// The token to show with a call; asked for each.
pub type Bearer = Arc<dyn Fn() -> Result<Option<String>, NoBearer> + Send + Sync>;

/// Why a token that is to be shown is not there.
pub type NoBearer = Box<dyn error::Error + Send + Sync>;

/// The way to one control plane.
#[derive(Clone)]
pub struct Upstream {
    connect: Connect,
    origin: Uri,
    bearer: Option<Bearer>,
    metadata: Vec<(String, String)>,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("\"{0}\" is not the address of a control plane")]
    Origin(String),
    #[error("cannot reach the control plane at {0}")]
    Connect(Uri, #[source] Error),
    #[error("there is no token to show")]
    Token(#[source] NoBearer),
    #[error("{0} cannot be sent along")]
    Metadata(String),
    #[error("the control plane ended the stream: {}", .0.message())]
    Status(#[from] Box<Status>),
    #[error("the control plane closed the stream")]
    Closed,
}

impl Upstream {
    /// `origin` is what requests say whom they are for, as `https://host:port`.
    ///
    /// # Errors
    ///
    /// When `origin` is no such thing.
    pub fn try_new(origin: &str, connect: Connect) -> Result<Self, UpstreamError> {
        let not = || UpstreamError::Origin(origin.to_owned());
        let uri: Uri = origin.parse().map_err(|_form| not())?;
        if uri.scheme().is_none() || uri.authority().is_none() {
            return Err(not());
        }
        Ok(Self { connect, origin: uri, bearer: None, metadata: Vec::new() })
    }

    /// Shows a token.
    #[must_use]
    pub fn with_bearer(self, bearer: Bearer) -> Self {
        Self { bearer: Some(bearer), ..self }
    }

    /// Sends one more key and value along, such as `clusterid`.
    #[must_use]
    pub fn with_metadata(mut self, key: &str, value: &str) -> Self {
        self.metadata.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Opens a connection.
    ///
    /// # Errors
    ///
    /// When nobody answers in time.
    pub async fn channel(&self) -> Result<Channel, UpstreamError> {
        // Plain for the library: what is said over the connection is the closure's matter.
        Endpoint::from_static("http://control")
            .origin(self.origin.clone())
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .connect_with_connector(Connector(Arc::clone(&self.connect)))
            .await
            .map_err(|error| UpstreamError::Connect(self.origin.clone(), error))
    }

    /// A call with all that goes along.
    ///
    /// # Errors
    ///
    /// When there is to be a token and is none, or something cannot be sent along.
    pub fn request<T>(&self, message: T) -> Result<Request<T>, UpstreamError> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        let bearer = self.bearer.as_ref().map_or(Ok(None), |bearer| bearer());
        if let Some(bearer) = bearer.map_err(UpstreamError::Token)? {
            let mut value = ascii("the token", &format!("Bearer {bearer}"))?;
            value.set_sensitive(true);
            metadata.insert("authorization", value);
        }
        for (key, value) in &self.metadata {
            let name = MetadataKey::from_bytes(key.as_bytes())
                .map_err(|_form| UpstreamError::Metadata(key.clone()))?;
            metadata.insert(name, ascii(key, value)?);
        }
        Ok(request)
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl From<Status> for UpstreamError {
    fn from(status: Status) -> Self {
        Self::Status(Box::new(status))
    }
}

/// Connects without TLS, to `host:port`.
pub fn plain(address: &str) -> Connect {
    let address = Arc::<str>::from(address);
    Arc::new(move || {
        let address = Arc::clone(&address);
        Box::pin(async move {
            let stream = TcpStream::connect(&*address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as BoxIo)
        })
    })
}

fn ascii(
    what: impl fmt::Display,
    value: &str,
) -> Result<MetadataValue<tonic::metadata::Ascii>, UpstreamError> {
    value.parse().map_err(|_form| UpstreamError::Metadata(what.to_string()))
}

/// The closure as the library wants it.
struct Connector(Connect);

impl Service<Uri> for Connector {
    type Response = TokioIo<BoxIo>;
    type Error = io::Error;
    type Future = Answer<'static, io::Result<TokioIo<BoxIo>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connecting = (self.0)();
        Box::pin(async move { connecting.await.map(TokioIo::new) })
    }
}
