//! The way to servers of discovery: clusters of the bootstrap, dialled as for any request.
use culvert_l7::{
    io::Io,
    upstream::{Ask, Connected, Upstreams},
};
use culvert_model::http::source::GrpcTarget;
use culvert_xds::{
    envoy::discover::{Reach, Way},
    transport::{BoxIo, upstream},
};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// By the clusters that there are.
#[derive(Debug)]
pub(super) struct ByClusters(pub(super) Arc<Upstreams>);

/// A connection, whose endpoint is busy as long as it lasts.
struct Busy(Connected);

impl Reach for ByClusters {
    fn reach(&self, target: &GrpcTarget) -> Result<Way, String> {
        let name = match target {
            GrpcTarget::Cluster(name) => name,
            GrpcTarget::Uri(address) => {
                return Ok(Way {
                    connect: upstream::plain(address),
                    authority: Arc::clone(address),
                    bearer: None,
                });
            }
        };
        let unknown = || format!("there is no cluster {name}");
        self.0.find(name).ok_or_else(unknown)?;
        let (upstreams, cluster) = (Arc::clone(&self.0), Arc::clone(name));
        let connect: upstream::Connect = Arc::new(move || {
            let (upstreams, cluster) = (Arc::clone(&upstreams), Arc::clone(&cluster));
            Box::pin(async move {
                let gone = || io::Error::other(format!("there is no cluster {cluster}"));
                let upstream = upstreams.find(&cluster).ok_or_else(gone)?;
                let nobody = |_| io::Error::other(format!("cluster {cluster} has no endpoint"));
                let raw = upstream.choose_raw(&Ask::default()).map_err(nobody)?;
                let connected = raw.connect_for_http().await;
                let connected = connected
                    .map_err(|error| io::Error::other(format!("cluster {cluster}: {error}")))?;
                Ok(Box::new(Busy(connected)) as BoxIo)
            })
        });
        // As Envoy names whom requests are for, where the name is one of a host.
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
        let authority = if name.bytes().all(is_host) { &**name } else { "discovery" };
        Ok(Way { connect, authority: authority.into(), bearer: None })
    }
}

impl Busy {
    fn io(self: Pin<&mut Self>) -> Pin<&mut Io> {
        Pin::new(&mut self.get_mut().0.io)
    }
}

impl AsyncRead for Busy {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.io().poll_read(cx, buf)
    }
}

impl AsyncWrite for Busy {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.io().poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.io().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io().poll_shutdown(cx)
    }
}
