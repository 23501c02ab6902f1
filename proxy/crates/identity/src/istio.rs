//! The Istio CA protocol: whoever speaks it certifies us, be it our control plane or another's.
use crate::{
    armor,
    bearer::{self, BearerError},
    issue::{Answer, IssueError, Issued, Issuer, Request},
    upstream::Way,
};
use culvert_proto::{
    Struct, Value,
    istio::v1::auth::{
        IstioCertificateRequest, IstioCertificateResponse,
        istio_certificate_service_client::IstioCertificateServiceClient as Stub,
    },
    value::Kind,
};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::{
    future::Future,
    io,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tonic::{
    Code, Status,
    metadata::{Ascii, MetadataKey, MetadataValue},
    transport::{Channel, Endpoint, Uri},
};
use tower_service::Service;

/// Names whom a certificate is for, when that is not who asks.
pub const IMPERSONATED: &str = "ImpersonatedIdentity";

/// The key under which a cluster is named.
const CLUSTER: &str = "clusterid";

/// A silent connection is asked whether it lives.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// And has this long to say so.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How requests are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// A bearer token or a join token, read anew for each call; that it is gone matters only as
    /// long as there is no certificate to show.
    pub token: Option<PathBuf>,
    /// Empty: not sent.
    pub cluster: String,
    /// What else is sent along.
    pub headers: Vec<(String, String)>,
}

/// Asks over one connection, which is opened anew when it is lost.
#[derive(Debug)]
pub struct IstioCa {
    way: Way,
    settings: Settings,
    channel: Mutex<Option<Channel>>,
}

/// Why a call failed before it was made.
#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error(transparent)]
    Token(#[from] BearerError),
    #[error("{0} cannot be sent along")]
    Metadata(String),
    #[error("\"{0}\" is not the address of a control plane")]
    Address(String),
}

impl IstioCa {
    pub fn new(way: Way, settings: Settings) -> Self {
        Self { way, settings, channel: Mutex::new(None) }
    }

    async fn ask(&self, request: &Request) -> Result<Issued, IssueError> {
        let message = IstioCertificateRequest {
            csr: request.csr.pem(),
            validity_duration: i64::try_from(request.validity.as_secs()).unwrap_or(i64::MAX),
            metadata: Some(impersonated(&request.identity.to_string())),
        };
        let call = self.call(message).map_err(unreachable)?;
        let channel = self.channel().map_err(unreachable)?;
        match Stub::new(channel).create_certificate(call).await {
            Ok(response) => read(&response.into_inner()),
            Err(status) => {
                // The next one is opened with the trust and the certificate of its time.
                *self.channel.lock() = None;
                Err(refused(status))
            }
        }
    }

    fn channel(&self) -> Result<Channel, CallError> {
        let mut channel = self.channel.lock();
        if let Some(channel) = &*channel {
            return Ok(channel.clone());
        }
        let origin = format!("https://{}", self.way.address());
        let origin: Uri = origin.parse().map_err(|_form| CallError::Address(origin.clone()))?;
        // Plain for the library: the connector has done TLS.
        let opened = Endpoint::from_static("http://control")
            .origin(origin)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .connect_with_connector_lazy(Connector(self.way.clone()));
        Ok(channel.insert(opened).clone())
    }

    fn call<T>(&self, message: T) -> Result<tonic::Request<T>, CallError> {
        let mut request = tonic::Request::new(message);
        let metadata = request.metadata_mut();
        let Settings { token, cluster, headers } = &self.settings;
        // With a certificate that says who we are the file need not be there.
        let bearer = match token {
            Some(file) => bearer::shown(file, || self.way.shows_own())?,
            None => None,
        };
        if let Some(bearer) = bearer {
            let mut value = ascii("the token", &format!("Bearer {bearer}"))?;
            value.set_sensitive(true);
            metadata.insert("authorization", value);
        }
        if !cluster.is_empty() {
            metadata.insert(CLUSTER, ascii(CLUSTER, cluster)?);
        }
        for (key, value) in headers {
            let name = MetadataKey::from_bytes(key.as_bytes());
            let name = name.map_err(|_form| CallError::Metadata(key.clone()))?;
            metadata.insert(name, ascii(key, value)?);
        }
        Ok(request)
    }
}

impl Issuer for IstioCa {
    fn issue<'a>(&'a self, request: &'a Request) -> Answer<'a, Result<Issued, IssueError>> {
        Box::pin(self.ask(request))
    }
}

/// The leaf first, the roots last, what leads from one to the other between them.
fn read(response: &IstioCertificateResponse) -> Result<Issued, IssueError> {
    let [leading @ .., roots] = &*response.cert_chain else { return Err(short()) };
    if leading.is_empty() {
        return Err(short());
    }
    let certificates = |text: &String| {
        let read = armor::certificates(text.as_bytes());
        read.map_err(|error| IssueError::Answer(error.to_string()))
    };
    let chain = leading.iter().map(certificates).collect::<Result<Vec<_>, _>>()?;
    Ok(Issued { chain: chain.concat(), roots: certificates(roots)? })
}

/// The other way round: what the other end of the protocol answers.
#[must_use]
pub fn write(issued: &Issued) -> Vec<String> {
    let one = |der| armor::write(std::slice::from_ref(der));
    issued.chain.iter().map(one).chain([armor::write(&issued.roots)]).collect()
}

fn short() -> IssueError {
    IssueError::Answer("it has fewer than two certificates".to_owned())
}

fn impersonated(identity: &str) -> Struct {
    let value = Value { kind: Some(Kind::StringValue(identity.to_owned())) };
    Struct { fields: [(IMPERSONATED.to_owned(), value)].into() }
}

fn unreachable(error: CallError) -> IssueError {
    IssueError::Unreachable(Arc::new(error))
}

/// Whether somebody said no, or nobody said anything.
fn refused(status: Status) -> IssueError {
    match status.code() {
        Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded | Code::Unknown => {
            IssueError::Unreachable(Arc::new(status))
        }
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Internal
        | Code::DataLoss
        | Code::Unauthenticated => IssueError::Refused(status.message().to_owned()),
    }
}

fn ascii(what: &str, value: &str) -> Result<MetadataValue<Ascii>, CallError> {
    value.parse().map_err(|_form| CallError::Metadata(what.to_owned()))
}

/// The way as the library wants it.
struct Connector(Way);

impl Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let way = self.0.clone();
        Box::pin(async move { way.connect().await.map(TokioIo::new) })
    }
}
