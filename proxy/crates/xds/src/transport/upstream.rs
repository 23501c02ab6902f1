//! The way to the control plane.
use super::{Answer, BoxIo};
use hyper_util::rt::TokioIo;
use std::{
    fmt, fs, io,
    path::PathBuf,
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

/// Whether something else than the token proves who calls.
pub type OtherProof = Arc<dyn Fn() -> bool + Send + Sync>;

/// The way to one control plane.
#[derive(Clone)]
pub struct Upstream {
    connect: Connect,
    origin: Uri,
    token: Option<PathBuf>,
    other_proof: Option<OtherProof>,
    metadata: Vec<(String, String)>,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("\"{0}\" is not the address of a control plane")]
    Origin(String),
    #[error("cannot reach the control plane at {0}")]
    Connect(Uri, #[source] Error),
    #[error("cannot read the token {}", .0.display())]
    Token(PathBuf, #[source] io::Error),
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
        Ok(Self { connect, origin: uri, token: None, other_proof: None, metadata: Vec::new() })
    }

    /// Sends the content of a file along as a bearer token; read anew for each call.
    #[must_use]
    pub fn with_token(self, file: PathBuf) -> Self {
        Self { token: Some(file), ..self }
    }

    /// Goes on without the token's file while there is another proof.
    #[must_use]
    pub fn with_other_proof(self, other_proof: OtherProof) -> Self {
        Self { other_proof: Some(other_proof), ..self }
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
    /// When there is to be a token, it cannot be read, and nothing else proves who calls.
    pub fn request<T>(&self, message: T) -> Result<Request<T>, UpstreamError> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        let is_proven = || self.other_proof.as_ref().is_some_and(|proven| proven());
        let token = match self.token.as_ref().map(|file| (file, fs::read_to_string(file))) {
            Some((file, Ok(token))) => Some((file, token)),
            Some((_, Err(_))) if is_proven() => None,
            Some((file, Err(error))) => return Err(UpstreamError::Token(file.clone(), error)),
            None => None,
        };
        if let Some((file, token)) = token {
            let mut value = ascii(file.display(), &format!("Bearer {}", token.trim()))?;
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
        f.debug_struct("Upstream")
            .field("origin", &self.origin)
            .field("token", &self.token)
            .finish_non_exhaustive()
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
