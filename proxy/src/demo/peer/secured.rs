//! TLS of a client that was told what to believe.
use culvert_identity::{
    armor,
    clock::{Clock, SystemClock},
    edge::client::{Asked, ClientSide},
};
use culvert_model::http::{
    secret::SecretRef,
    tls::{CommonTls, TlsVersion, Trust, UpstreamTls, Validation, ValidationSource},
};
use std::{fs, io, path::Path, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

/// Begins TLS with `host`, whose certificate has to have that name and to lead to one in `root`.
///
/// # Errors
///
/// When it is somebody else.
pub(super) async fn secured(
    host: &str,
    root: &Path,
    stream: TcpStream,
) -> io::Result<impl AsyncRead + AsyncWrite + Unpin> {
    let roots = armor::certificates(&fs::read(root)?).map_err(io::Error::other)?;
    let roots = roots.iter().map(|root| Arc::from(&**root)).collect();
    let trusted = Some(Trust::Certificates(roots));
    let here = Arc::new(Validation { trusted, ..Validation::default() });
    let common = CommonTls {
        min: TlsVersion::V1_2,
        max: TlsVersion::V1_3,
        ciphers: [].into(),
        curves: [].into(),
        certificates: [].into(),
        validation: Some(Arc::new(ValidationSource { here, secret: None })),
        alpn: ["http/1.1".into()].into(),
    };
    let context = UpstreamTls {
        common,
        sni: host.into(),
        sni_of_endpoint: false,
        validate_sni: true,
        max_session_keys: 0,
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let side = ClientSide::new(&context, None, &|_: &SecretRef| None, &clock);
    let side = side.map_err(io::Error::other)?;
    let (stream, _facts) =
        side.connect(Asked::default(), stream).await.map_err(io::Error::other)?;
    Ok(stream)
}
